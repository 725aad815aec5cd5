"""Whatever ends a session, its sequence in Triton is ended too: no stage keeps its state.

The gateway runs in the test's own process here, in front of the real Triton, so that the test
knows the ids of its sequences and can ask Triton for them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway import uplink
from gateway.sequence import Hop, Sequencer, random_sequence_id
from gateway.server import GATEWAY, create_app
from gateway.settings import Settings
from gateway.triton import Triton
from pipeline.options import StreamOptions
from scripts.server import Server as RealServer
from tests.end_to_end.recordings import DASHWOOD, audio
from tests.end_to_end.sessions import END_AUDIO, Talk, talk_at
from tests.gateway.support import Server

HALF_SAID = audio(DASHWOOD)[: len(audio(DASHWOOD)) // 2]


@pytest.fixture
def sequences(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of the sequences that the gateway has begun."""
    begun: list[int] = []

    def recorded_id() -> int:
        begun.append(random_sequence_id())
        return begun[-1]

    def sequencer(options: StreamOptions) -> Sequencer:
        return Sequencer(options, recorded_id)

    monkeypatch.setattr(uplink, "Sequencer", sequencer)
    return begun


@pytest.fixture
async def gateway(server: RealServer, sequences: list[int]) -> AsyncIterator[Server]:
    settings = Settings(port=0, triton=server.settings.gateway.triton)
    app = create_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    try:
        yield Server(settings, app[GATEWAY], runner)
    finally:
        await app[GATEWAY].stop()
        await runner.cleanup()


async def refusal(server: RealServer, sequence_id: int) -> str | None:
    """Triton's error for one more hop of a sequence; None if the sequence goes on."""
    triton = Triton(server.settings.gateway.triton)
    stream = triton.open_stream()
    try:
        await stream.send(Hop(0, sequence_id, 0, b"", 0, ""))
        return (await stream.receive()).error
    finally:
        await stream.close()
        await triton.close()


@asynccontextmanager
async def half_a_session(gateway: Server) -> AsyncIterator[Talk]:
    """A session whose hops are all on their way to Triton, in mid-utterance."""
    async with talk_at(f"ws://{gateway.address}/websocket", {}) as talking:
        await talking.send_audio(HALF_SAID)
        await talking.send({"type": "health_check"})
        await talking.receive()
        yield talking


async def test_a_sequence_that_is_open_is_known_to_triton(
    gateway: Server, sequences: list[int], server: RealServer
) -> None:
    """The counterpart of the tests below: the question can be answered with no."""
    async with half_a_session(gateway):
        assert await refusal(server, sequences[0]) is None


@pytest.mark.parametrize(
    ("last", "how"),
    [
        (END_AUDIO, {}),
        (None, {}),
        (b"\xff\xfe", {"text": True}),
        (bytes(8 * 2**20 + 1), {}),
    ],
    ids=["regular end", "vanished", "no UTF-8", "too large"],
)
async def test_however_a_session_ends_triton_forgets_its_sequence(
    last: str | bytes | None,
    how: dict[str, Any],
    gateway: Server,
    sequences: list[int],
    server: RealServer,
) -> None:
    async with half_a_session(gateway) as talking:
        if last is None:
            talking.client.transport.abort()
        else:
            await talking.client.send(last, **how)
            await talking.receive_all()
    await gateway.gateway.stop()  # waits for what the session still has to do
    assert gateway.sessions_tasks() == []
    assert len(sequences) == 1
    error = await refusal(server, sequences[0])
    assert error is not None
    assert "START" in error


async def test_a_server_that_stops_ends_its_sequences(
    gateway: Server, sequences: list[int], server: RealServer
) -> None:
    async with half_a_session(gateway) as talking:
        await gateway.gateway.stop()
        session = await talking.receive_all()
    assert session.close_code == 1012
    assert len(session.finals) == 1
    assert await refusal(server, sequences[0]) is not None
