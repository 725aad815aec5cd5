"""Clients that vanish or stop reading: nothing of them is left, and nobody else notices."""

import asyncio
import contextlib
import re
import socket
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, GREGSON, JFK, audio, errors_in
from tests.end_to_end.sessions import Talk, live_streams, no_stream_is_left, talk, transcribe

PARTIALS = {"streaming_params": {"enable_partial_transcripts": True}}
HALF_SAID = audio(DASHWOOD)[: len(audio(DASHWOOD)) // 2]
SEND_TIMEOUT_S = 10
"""The gateway's default patience with a client that does not read."""
FULL_S = 60
"""Until what lies between server and client is full, megabytes: messages are taken at a pace."""


def windows_decoded(server: Server) -> int:
    """How many windows the engine has answered, by Triton's own counters."""
    url = f"http://127.0.0.1:{server.settings.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as response:
        metrics = response.read().decode()
    found = re.search(r'^nv_inference_request_success\{model="whisper".*\} (\d+)', metrics, re.M)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("way", ["abort", "close"])
async def test_a_client_that_vanishes_in_mid_utterance_leaves_nothing(
    way: str, server: Server
) -> None:
    async with talk(server, PARTIALS) as talking:
        await talking.send_audio(HALF_SAID, speed=8)
        assert await live_streams(server) == 1
        if way == "abort":
            talking.client.transport.abort()
    assert await no_stream_is_left(server)
    assert errors_in((await transcribe(server, audio(GREGSON))).text, GREGSON).errors == 0


async def test_an_utterance_that_nobody_waits_for_is_not_decoded(server: Server) -> None:
    assert await no_stream_is_left(server)
    before = await asyncio.to_thread(windows_decoded, server)
    async with talk(server, {}) as talking:
        await talking.send_audio(HALF_SAID, speed=8)
        talking.client.transport.abort()
    assert await no_stream_is_left(server)
    assert await asyncio.to_thread(windows_decoded, server) == before
    await transcribe(server, audio(GREGSON))
    assert await asyncio.to_thread(windows_decoded, server) > before


async def test_ten_clients_that_vanish_at_once_leave_nothing(server: Server) -> None:
    async def vanish(after_s: int) -> None:
        async with talk(server, PARTIALS) as talking:
            await talking.send_audio(audio(JFK)[: after_s * 32_000])
            talking.client.transport.abort()

    await asyncio.gather(*(vanish(after_s) for after_s in range(10)))
    assert await no_stream_is_left(server)
    assert errors_in((await transcribe(server, audio(GREGSON))).text, GREGSON).errors == 0


async def test_a_client_that_sends_no_audio_can_leave(server: Server) -> None:
    async with talk(server, {}):
        assert await live_streams(server) == 1
    assert await no_stream_is_left(server)


async def test_a_client_that_stops_reading_is_closed_and_disturbs_nobody(server: Server) -> None:
    async with talk(server, {}, sock=with_small_buffer(server)) as talking:
        flooding = asyncio.create_task(flood(talking))
        other = await transcribe(server, audio(JFK))
        assert not flooding.done()
        async with asyncio.timeout(SEND_TIMEOUT_S + FULL_S):
            await flooding
    assert errors_in(other.text, JFK).errors <= 2
    assert await no_stream_is_left(server)


def with_small_buffer(server: Server) -> socket.socket:
    """A connected socket that takes in little unread."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.connect((server.settings.gateway.host, server.settings.gateway.port))
    own.setblocking(False)
    return own


async def flood(talking: Talk) -> None:
    """Ask until the server closes, and read no answer: `websockets` stops after some frames."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await talking.send({"type": "x" * 80})
            await asyncio.sleep(0)
