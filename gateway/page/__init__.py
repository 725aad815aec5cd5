"""The web page at `/`: `serve.py` serves what lies in `static/`, which is served as it is written.

The page is one more client of docs/protocol.md. Nothing of it is built, fetched from elsewhere, or
known to the rest of the gateway.
"""
