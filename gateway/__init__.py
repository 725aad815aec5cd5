"""The websocket gateway: it accepts, checks, decodes, re-blocks into hops, forwards and relays.

It recognises nothing itself. Of the pipeline it knows `pipeline.audio`, the stream options and the
tensor contract; only `gateway.triton` knows gRPC. What it serves is a session with a peer: a
websocket of its own protocol or, through a dialect, of another one, or a file that came by HTTP.
"""
