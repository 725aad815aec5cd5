"""The websocket gateway: it accepts, checks, decodes, re-blocks into hops, forwards and relays.

It recognises nothing itself. Of the pipeline it knows `pipeline.audio`, the stream options and the
tensor contract; only `gateway.triton` knows gRPC, only `gateway.connection` and `gateway.server`
know aiohttp.
"""
