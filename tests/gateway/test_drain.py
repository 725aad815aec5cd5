"""How a server that is told to go lets its sessions end, and takes no more."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection

from gateway.messages import Flush
from gateway.session import Session
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.memory_peer import MemoryPeer
from tests.gateway.support import (
    END_AUDIO,
    HOP_SAMPLES,
    Server,
    errors,
    finals,
    receive_all,
    send_all,
    tone,
)
from tests.gateway.test_server import get, refusal

QUIET_S = 0.1


@pytest.fixture(autouse=True)
def _soon_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.session.QUIET_S", QUIET_S)
    monkeypatch.setattr("gateway.session.LOOK_S", 0.01)


@asynccontextmanager
async def draining(server: Server, grace_s: float = 30) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.gateway.drain(grace_s))
    await asyncio.sleep(0.02)
    yield task
    await task


async def test_it_takes_no_new_streams_and_says_why(server: Server, triton: FakeTriton) -> None:
    async with server.connect() as client:
        await client.send("{}")
        await client.send(tone(HOP_SAMPLES).tobytes())
        async with draining(server):
            refused = await refusal(server)
            body = json.loads(refused.response.body or b"")
            assert (refused.response.status_code, body["type"]) == (503, "stopping")
            assert refused.response.headers["Retry-After"]
            status, readiness = await get(server, "/readyz")
            assert (status, readiness["ready"]) == (503, False)
            assert readiness["reason"] == "this server is stopping"
            status, health = await get(server, "/healthz")
            assert (status, health["free_streams"]) == (200, 0)


async def test_idle_sessions_get_their_last_final_and_1012(server: Server) -> None:
    async with server.connect() as fresh, server.connect() as idle, server.connect() as silent:
        audio = tone(HOP_SAMPLES + 5).tobytes()
        await idle.send("{}")
        await idle.send(audio)
        await silent.send("{}")
        await asyncio.sleep(QUIET_S)
        async with draining(server) as drained:
            for client, texts in ((fresh, []), (silent, []), (idle, [text_of(audio)])):
                frames = await receive_all(client)
                assert [final["transcript"] for final in finals(frames)] == texts
                assert errors(frames) == []
                assert client.close_code == 1012
            await asyncio.wait_for(drained, 1)


async def begin(server: Server, triton: FakeTriton, audio: bytes) -> ClientConnection:
    """A client whose first audio is on its way."""
    client: ClientConnection = await server.connect()
    await client.send("{}")
    await client.send(audio)
    async with asyncio.timeout(5):
        while not triton.hops:
            await asyncio.sleep(0.005)
    return client


async def test_a_live_session_goes_on_to_its_regular_end(
    server: Server, triton: FakeTriton
) -> None:
    audio = tone(41 * HOP_SAMPLES).tobytes()
    first, audio_left = audio[: 2 * HOP_SAMPLES], audio[2 * HOP_SAMPLES :]
    async with await begin(server, triton, first) as live, draining(server) as drained:
        for start in range(0, len(audio_left), 2 * HOP_SAMPLES):
            await live.send(audio_left[start : start + 2 * HOP_SAMPLES])
            await asyncio.sleep(QUIET_S / 10)
        assert not drained.done()
        await live.send(END_AUDIO)
        (final,) = finals(await receive_all(live))
        assert final["transcript"] == text_of(audio)
        assert live.close_code == 1000
        await asyncio.wait_for(drained, 1)


async def test_a_live_session_that_pauses_is_ended_then(server: Server, triton: FakeTriton) -> None:
    live = await begin(server, triton, tone(HOP_SAMPLES).tobytes())
    async with draining(server) as drained:
        await asyncio.sleep(QUIET_S / 4)
        assert not drained.done()
        assert len(finals(await receive_all(live))) == 1
        assert live.close_code == 1012


async def test_a_session_that_waits_for_answers_is_not_idle(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.session.QUIET_S", 0)
    triton.delay_s = lambda _: 0.3
    async with serve(max_audio_in_flight_s=0.1) as server, server.connect() as file:
        audio = tone(5 * HOP_SAMPLES).tobytes()
        await file.send("{}")
        await file.send(audio)
        await file.send(END_AUDIO)
        while not triton.hops:
            await asyncio.sleep(0.005)
        async with draining(server):
            (final,) = finals(await receive_all(file))
        assert final["transcript"] == text_of(audio)
        assert file.close_code == 1000


async def test_when_the_grace_is_over_what_is_being_said_becomes_final(
    server: Server, triton: FakeTriton
) -> None:
    async with await begin(server, triton, tone(HOP_SAMPLES).tobytes()) as live:

        async def speak() -> None:
            while True:
                await live.send(tone(HOP_SAMPLES).tobytes())
                await asyncio.sleep(QUIET_S / 10)

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(0.35):
            await server.gateway.drain(0.3)
        await server.gateway.stop()
        frames = await receive_all(live)
        assert len(finals(frames)) == 1
        assert live.close_code == 1012
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
    await server.leaves_nothing(triton)


async def test_without_sessions_there_is_nothing_to_wait_for(server: Server) -> None:
    async with asyncio.timeout(1):
        await server.gateway.drain(30)


async def test_a_peer_that_flushes_while_the_server_drains_is_told(server: Server) -> None:
    peer = MemoryPeer("{}", tone(HOP_SAMPLES).tobytes(), Flush())
    async with draining(server):
        end = await Session(peer, server.gateway.shared).run()
    assert end.code == 1012
    assert [frame["type"] for frame in peer.frames] == ["transcription", "flush"]


async def test_audio_behind_the_end_is_ignored_without_an_error(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0.1 if hop.end else 0
    client = await begin(server, triton, tone(HOP_SAMPLES).tobytes())
    async with draining(server):
        while not triton.hops[-1].end:
            await asyncio.sleep(0.005)
        await send_all(client, tone(4 * HOP_SAMPLES).tobytes())
        frames = await receive_all(client)
    assert len(finals(frames)) == 1
    assert errors(frames) == []
