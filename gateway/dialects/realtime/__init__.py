"""OpenAI's Realtime API for transcription: `GET /v1/realtime?intent=transcription`.

After https://developers.openai.com/api/docs/guides/realtime-transcription, in its present form and
in that of its beta. `config` is what a session is set to, `events` the shapes of what is sent,
`items` makes conversation items of transcriptions, `dialect` hears the client, `entrance` is the
upgrade. Conversations with a model are another API; there is no model here that answers.
"""
