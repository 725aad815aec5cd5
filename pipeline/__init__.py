"""The pipeline behind the Triton stages: audio in, transcription messages out.

One module per stage (`voice_activity`, `log_mel`, `engines`, `transcript`) on top of small pure
modules (`audio`, `contract`, `options`, `endpointing`, `language`, `tokens`). Only `triton`
knows Triton's Python API. Nothing here knows the gateway or the websocket protocol's framing.
"""
