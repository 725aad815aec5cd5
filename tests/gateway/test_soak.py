"""Many short sessions with a gateway in a process of its own: its memory stays what it was.

`scripts/soak.py` does the same for hours, with the real server.
"""

import asyncio
import json

import psutil
import pytest

from tests.gateway.fake_triton import FakeTriton
from tests.gateway.support import END_AUDIO, finals, receive_all, speech
from tests.gateway.test_signals import Running, running

WARM_UP, SESSIONS, SIDE_BY_SIDE = 600, 900, 15
LEFT_PER_SESSION_BYTES = 4_000
"""A session that leaks would leave forty thousand; allocators leave a few."""
METADATA = json.dumps({"streaming_params": {"enable_partial_transcripts": True}})


async def play(gateway: Running, count: int) -> None:
    audio = speech(1, 2).tobytes()

    async def one(number: int) -> None:
        async with gateway.connect() as client:
            await client.send(METADATA)
            await client.send(audio)
            if number % 5 == 0:
                client.transport.abort()
                return
            await client.send(END_AUDIO)
            assert len(finals(await receive_all(client))) == 2

    for start in range(0, count, SIDE_BY_SIDE):
        await asyncio.gather(*(one(start + number) for number in range(SIDE_BY_SIDE)))


@pytest.mark.timeout(240)
async def test_a_thousand_sessions_leave_no_memory_and_no_file(triton: FakeTriton) -> None:
    async with running(triton, GATEWAY_BURST_STREAMS=1000) as gateway:
        process = psutil.Process(gateway.process.pid)
        await play(gateway, WARM_UP)
        memory, files = process.memory_info().rss, process.num_fds()
        await play(gateway, SESSIONS)
        left = (process.memory_info().rss - memory) / SESSIONS
        assert left < LEFT_PER_SESSION_BYTES
        assert process.num_fds() <= files + SIDE_BY_SIDE
