"""OpenAI's transcription API over HTTP: a whole file in, its transcript out.

A thin shell around the same session that a websocket has: `peer` feeds it a file's audio and
collects its frames. What is asked for (`form`), what is answered (`formats`, `subtitles`, `events`)
and how errors look (`errors`) are pure; `routes`, `upload`, `listeners` and `transcribing` know
aiohttp, only `decoding` knows FFmpeg. Nothing here knows Triton.
"""
