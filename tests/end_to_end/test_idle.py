"""Five hundred connections on which nobody speaks, and eight on which somebody does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect

from scripts.load.processes import sample, server_processes
from scripts.server import Server, Settings
from tests.end_to_end.recordings import JFK, audio, errors_in
from tests.end_to_end.sessions import Frame, no_stream_is_left, transcribe
from tests.serving import serving_environment

IDLE, LIVE = 500, 8
ASKED: Frame = {
    "include_timing_info": True,
    "streaming_params": {"enable_partial_transcripts": True, "partial_transcript_interval_s": 1},
}
MOST_BYTES_EACH = 200_000
TRIES = 3
"""The machine may be busy with something else in one half of a comparison."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with room for all of them."""
    most = str(2 * (IDLE + LIVE))
    environment = serving_environment(
        {
            "GATEWAY_MAX_STREAMS": most,
            "GATEWAY_BURST_STREAMS": most,
            "GATEWAY_MAX_PARTIAL_DELAY_S": "3600",  # the machine may be busy with something else
            "GATEWAY_MAX_FINAL_DELAY_S": "3600",
            "GATEWAY_PING_S": "2",
        }
    )
    settings = Settings.from_environment(environment)
    logs = tmp_path_factory.mktemp("logs")
    with Server(settings, environment=environment, logs=logs) as running:
        yield running


@asynccontextmanager
async def idle_connections(server: Server, count: int) -> AsyncIterator[list[ClientConnection]]:
    """Half of them have said what they want, and none says more; all answer pings."""
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(count):
            client = await stack.enter_async_context(connect(server.settings.url, proxy=None))
            if number % 2:
                await client.send("{}")
            clients.append(client)
        yield clients


async def latencies(server: Server) -> list[float]:
    """How late each message to the live streams was."""
    sessions = await asyncio.gather(
        *(transcribe(server, audio(JFK), ASKED, speed=1) for _ in range(LIVE))
    )
    for session in sessions:
        assert errors_in(session.text, JFK).rate_percent < 30
    return sorted(
        message["pipeline_latency"] for session in sessions for message in session.transcriptions
    )


def gateway_memory(server: Server) -> int:
    return sample(server_processes(server.settings.url)).server["gateway"].memory_bytes


def suffers(early: list[float], late: list[float]) -> bool:
    """Whether what comes in company is later than what comes alone."""
    pairs = [(early[int(share * len(early))], late[int(share * len(late))]) for share in (0.5, 0.9)]
    return any(in_company >= 1.5 * alone + 0.3 for alone, in_company in pairs)


async def test_live_streams_do_not_suffer_from_idle_connections(roomy: Server) -> None:
    await latencies(roomy)  # the first streams find cold caches
    for _ in range(TRIES):
        alone = await latencies(roomy)
        before = gateway_memory(roomy)
        async with idle_connections(roomy, IDLE) as clients:
            each = (gateway_memory(roomy) - before) / IDLE
            in_company = await latencies(roomy)
            assert all(client.close_code is None for client in clients)
        assert each < MOST_BYTES_EACH
        assert await no_stream_is_left(roomy)
        if not suffers(alone, in_company):
            return
    raise AssertionError((alone, in_company))
