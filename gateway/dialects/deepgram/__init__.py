"""Deepgram's live transcription: `GET /v1/listen`, audio in, `Results` out.

After https://developers.deepgram.com/reference/speech-to-text/listen-streaming. `options` reads the
query, `frames` has the shapes of what is sent, `dialect` the conversation, `entrance` the upgrade.
"""
