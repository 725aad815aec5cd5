"""Whenever a session is cut, Triton is told to forget its sequence: a race, so it is run often."""

import asyncio

import pytest

from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import HOP_SAMPLES, tone


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_that_vanishes_as_the_server_stops_leaves_no_sequence(
    serve: Serve, triton: FakeTriton, turns: int
) -> None:
    for _ in range(5):
        async with serve() as server:
            client = await server.connect()
            await client.send("{}")
            await client.send(tone(8 * HOP_SAMPLES).tobytes())
            while not triton.sequences:
                await asyncio.sleep(0.001)
            client.transport.abort()
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.gateway.stop()
            assert server.sessions_tasks() == []
        assert triton.sequences == {}
