"""A gateway whose event loop is stuck ends, and says where."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

import aiohttp
import pytest

from tests.gateway.fake_triton import FakeTriton

PROGRAM = """
import re, sys, time
from gateway import server, stuck
from gateway.__main__ import main

def hang(*_):
    {what}

stuck.LIMIT_S, stuck.RENEWAL_S = 1.0, 0.1
server.Gateway.report_health = hang
sys.exit(main([]))
"""
HANGS = {
    "it waits": "time.sleep(60)",
    "it computes": "while True: pass",
    "it computes and lets no thread in": "re.match('(a+)+$', 'a' * 99 + 'b')",
}


@pytest.mark.parametrize("what", HANGS.values(), ids=HANGS.keys())
async def test_a_gateway_that_is_stuck_ends_and_says_where(triton: FakeTriton, what: str) -> None:
    environment = {**os.environ, "GATEWAY_PORT": "0", "GATEWAY_TRITON": triton.address}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM.format(what=what), env=environment, stderr=PIPE
    )
    assert process.stderr is not None
    started = (await process.stderr.readline()).decode()
    address = started.partition("listening on ")[2].partition(",")[0]
    async with aiohttp.ClientSession() as client:
        for _ in range(15):  # while the loop turns, time may go by
            async with client.get(f"http://{address}/readyz") as response:
                assert response.status == 200
            await asyncio.sleep(0.1)
        with pytest.raises(aiohttp.ClientError):
            await client.get(f"http://{address}/healthz")
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 1
    assert "in hang" in said
