"""Other streaming protocols, each spoken over the same session as our own.

A dialect is sans-I/O: a client's messages go in and become a session's, a session's frames go in
and become the client's. `peer` puts one between a connection and a session, `entrances` lists them.
No dialect knows asyncio, aiohttp, Triton or numpy; docs/protocols.md says what each supports.
"""
