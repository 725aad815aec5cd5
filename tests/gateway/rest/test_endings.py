"""How requests end that do not come to their regular end, and what a slow engine or client does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.rest import listeners, peer
from pipeline.audio import SAMPLE_RATE
from tests.gateway import fake_triton
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton
from tests.gateway.rest.http_client import TRANSCRIPTIONS, form, post, wav
from tests.gateway.support import HOP_SAMPLES, Server, silence, speech, tone

SPEECH = wav(speech(1, 2))
LONG = wav(tone(60 * SAMPLE_RATE))
MANY_UTTERANCES = wav(speech(*range(400), hops=1))


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "LOOK_S", 0.01)


async def until_hops(triton: FakeTriton, count: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(triton.hops) < count:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def asking(
    server: Server, file: bytes, **fields: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a whole request has been sent, and nothing is read yet."""
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    body = form(file, **fields)()
    data = await body.as_bytes()
    content_type = body.headers["Content-Type"]
    writer.write(
        f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_client_that_goes_away_ends_its_session(
    server: Server, triton: FakeTriton, stream: str
) -> None:
    triton.delay_s = lambda _: 0.2
    async with asking(server, LONG, stream=stream) as (_, writer):
        await until_hops(triton)
        writer.transport.abort()
        await server.leaves_nothing(triton)
    assert sum(hop.samples for hop in triton.hops) < 60 * SAMPLE_RATE


async def test_a_file_is_decoded_no_faster_than_the_engine_takes_it(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.silent = True
    async with serve(max_audio_in_flight_s=2) as server, asking(server, LONG):
        await until_hops(triton, 2 * SAMPLE_RATE // HOP_SAMPLES)
        await asyncio.sleep(0.1)
        assert sum(hop.samples for hop in triton.hops) <= 2 * SAMPLE_RATE


async def test_an_engine_that_is_gone_is_503(serve: Serve, triton: FakeTriton) -> None:
    async with serve(recovery_timeout_s=0.2) as server:
        await triton.stop()
        answer = await post(server, SPEECH)
        assert (answer.status, answer.error["code"]) == (503, "engine_unavailable")
        assert answer.error["type"] == "server_error"


async def test_a_transcript_with_a_hole_is_no_transcript(serve: Serve, triton: FakeTriton) -> None:
    triton.error = lambda hop: "out of memory" if hop.samples and hop.index > 2 else None
    async with serve() as server:
        answer = await post(server, SPEECH)
        assert answer.status == 500
        assert "a part of the audio could not be transcribed" in answer.error["message"]


async def test_in_a_stream_of_events_an_error_is_the_last_event(
    serve: Serve, triton: FakeTriton
) -> None:
    triton.error = lambda hop: "out of memory" if hop.samples and hop.index > 5 else None
    async with serve() as server:
        answer = await post(server, SPEECH, stream="true")
        assert answer.status == 200
        *told, last = answer.events
        assert {event["type"] for event in told} <= {"transcript.text.delta"}
        assert set(last) == {"error"}
        assert set(last["error"]) == {"message", "type", "param", "code"}


async def test_a_server_that_stops_says_so(serve: Serve, triton: FakeTriton) -> None:
    triton.delay_s = lambda _: 0.3
    async with serve() as server:
        asked = asyncio.create_task(post(server, LONG))
        await until_hops(triton)
        await server.gateway.stop()
        answer = await asked
        assert (answer.status, answer.error["code"]) == (503, "stopping")


async def test_a_client_that_reads_no_events_is_not_waited_for(
    serve: Serve, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_triton, "text_of", lambda _: "word " * 50_000)
    async with (
        serve(send_timeout_s=0.05) as server,
        asking(server, MANY_UTTERANCES, stream="true") as (reader, _),
    ):
        await reader.readline()  # the answer has begun; the reader's own limit stops it soon
        await server.leaves_nothing(triton)
    assert len(triton.hops) < 2 * 400


async def test_while_nothing_is_said_comments_keep_the_connection_open(
    server: Server, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "COMMENT_AFTER_S", 0.02)
    triton.delay_s = lambda _: 0.2
    answer = await post(server, wav(silence(2000)), stream="true")
    assert ": still working\n\n" in answer.text
    assert [event["type"] for event in answer.events] == ["transcript.text.done"]


async def test_the_place_is_free_again_after_every_ending(serve: Serve) -> None:
    async with serve(max_streams=1) as server:
        for file in (SPEECH, b"", b"no audio", SPEECH[:100]):
            assert (await post(server, file)).status in (200, 400)
            assert not server.gateway.sessions


async def test_many_requests_at_once_get_their_own_text(server: Server) -> None:
    files = [wav(speech(seed, hops=5)) for seed in range(16)]
    alone = [(await post(server, file)).json["text"] for file in files]
    together = await asyncio.gather(*(post(server, file) for file in files))
    assert [answer.json["text"] for answer in together] == alone
