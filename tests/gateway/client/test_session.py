"""Sessions through networks that break and servers that stop: nothing is lost or told twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.client import (
    ClientError,
    ConnectError,
    Error,
    LostError,
    MetadataError,
    NotReadingError,
    Options,
    RecognitionError,
    Reconnect,
    RefusedError,
    RestartError,
    ServerFailedError,
    Session,
    Transcription,
    UnauthorizedError,
    transcribe,
)
from gateway.client.errors import AddressError, GarbledError
from gateway.client.resumption import MAX_AHEAD_S
from tests.gateway.client.cutting_proxy import CuttingProxy
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.support import HOP_SAMPLES, Server, speech, tone
from tests.scripts.fake_gateway import FakeGateway, end_audio, transcription
from tests.scripts.fake_gateway import Session as Served

SEEDS = range(20)
AUDIO = speech(*SEEDS).tobytes()
TEXTS = [text_of(tone(3 * HOP_SAMPLES, seed).tobytes()) for seed in SEEDS]
PACKET_BYTES = 1000
QUICKLY = Reconnect(give_up_after_s=3, least_delay_s=0.01, most_delay_s=0.02)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that ask for patience ask for little of it."""
    for kind in (LostError, ServerFailedError, RestartError, ConnectError):
        monkeypatch.setattr(kind, "retry_after_s", 0.01)


def packets(audio: bytes = AUDIO, size: int = PACKET_BYTES) -> list[bytes]:
    return [audio[start : start + size] for start in range(0, len(audio), size)]


async def slowly(audio: bytes = AUDIO) -> AsyncIterator[bytes]:
    """Packets that give the server time to answer meanwhile."""
    for packet in packets(audio):
        await asyncio.sleep(0.002)
        yield packet


async def drain(session: Session) -> None:
    async for _ in session:
        pass


@asynccontextmanager
async def broken_network(server: Server, cuts: Sequence[int]) -> AsyncIterator[CuttingProxy]:
    host, port = server.address.split(":")
    async with CuttingProxy(host, int(port), cuts) as proxy:
        yield proxy


async def test_a_whole_session_through_an_unbroken_network(server: Server) -> None:
    url = f"ws://{server.address}/v1/websocket"
    told = [said async for said in transcribe(url, packets(), Options(words=True))]
    assert [said.transcript for said in told] == TEXTS
    assert [said.transcription_num for said in told] == [*SEEDS]
    assert all(isinstance(said, Transcription) and said.is_final for said in told)


@pytest.mark.parametrize(
    "cuts",
    [[300], [5_000], [30_000], [60_000], [10_000, 10_000, 10_000], [300] * 5, [2_000, 70_000]],
    ids=str,
)
async def test_after_a_lost_connection_every_utterance_is_told_once_with_its_own_time(
    server: Server, cuts: list[int]
) -> None:
    async with broken_network(server, cuts) as network:
        url = f"ws://{network.address}/v1/websocket"
        async with Session(url, reconnect=QUICKLY) as session:
            sending = asyncio.create_task(session.send_all(slowly()))
            told = [message async for message in session]
            await sending
    assert [said.transcript for said in told if isinstance(said, Transcription)] == TEXTS
    assert session.reconnections == len(cuts)
    utterance_s = 4 * HOP_SAMPLES / 16_000
    for number, said in enumerate(told):
        assert isinstance(said, Transcription)
        assert said.transcription_num == number
        assert said.end_s == pytest.approx((number + 1) * utterance_s, abs=0.002)


async def test_partials_of_an_utterance_keep_its_number_when_it_is_heard_again(
    server: Server, triton: FakeTriton
) -> None:
    async with broken_network(server, [9_000]) as network:
        url = f"ws://{network.address}/v1/websocket"
        told = [
            said
            async for said in transcribe(url, slowly(), Options(partials=True), reconnect=QUICKLY)
        ]
    numbers = [said.transcription_num for said in told]
    assert numbers == sorted(numbers)
    assert [said.transcript for said in told if said.is_final] == TEXTS
    assert any(not said.is_final for said in told)


async def test_a_connection_lost_behind_the_end_of_the_audio_is_made_anew_too(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda _: 0.02
    length = len(AUDIO) + len(packets()) * 8  # frames have headers
    async with broken_network(server, [length]) as network:
        url = f"ws://{network.address}/v1/websocket"
        told = [said async for said in transcribe(url, packets(), reconnect=QUICKLY)]
    assert [said.transcript for said in told] == TEXTS
    assert network.connections == 2


async def test_a_server_that_restarts_is_waited_for(serve: Serve) -> None:
    """The one that stops gives the open utterance its final; the other goes on behind it."""
    told = []
    async with serve() as first, serve() as second, broken_network(first, []) as network:
        url = f"ws://{network.address}/v1/websocket"
        async with Session(url, reconnect=QUICKLY) as session:
            sending = asyncio.create_task(session.send_all(slowly()))
            async for said in session:
                assert isinstance(said, Transcription)
                told.append(said)
                if len(told) == 5:
                    network.lead_to(second.address)
                    await first.gateway.stop()
            await sending
    assert session.reconnections == 1
    assert [said.transcript for said in told[:5]] == TEXTS[:5]
    assert [said.transcription_num for said in told] == [*range(len(told))]
    ends_s = [said.end_s or 0 for said in told]
    assert ends_s == sorted(ends_s)
    assert ends_s[-1] == pytest.approx(len(AUDIO) / 32_000, abs=0.002)


async def test_audio_is_kept_back_while_the_server_reads_none() -> None:
    may_read = asyncio.Event()

    async def read_late(session: Served) -> None:
        await may_read.wait()
        async for _ in session.socket:
            pass

    second = bytes(32_000)
    async with FakeGateway(read_late) as gateway, Session(gateway.url) as session:
        sending = asyncio.create_task(session.send_all([second] * 200))
        await asyncio.sleep(0.1)
        assert not sending.done()
        assert session._resumption.kept_bytes <= (MAX_AHEAD_S + 1) * len(second)
        sending.cancel()
        await asyncio.wait([sending])
        may_read.set()


async def test_all_may_be_sent_before_anything_is_read(server: Server) -> None:
    async with Session(f"ws://{server.address}/v1/websocket") as session:
        await session.send_all(packets())
        told = [message async for message in session]
    assert len(told) == len(TEXTS)


@pytest.mark.parametrize(
    ("code", "kind", "again"),
    [
        (1008, MetadataError, False),
        (1011, ServerFailedError, True),
        (1012, RestartError, True),
        (1013, NotReadingError, False),
    ],
)
async def test_a_close_code_is_an_error_that_says_whether_to_try_again(
    code: int, kind: type[ClientError], again: bool
) -> None:
    async def close(session: Served) -> None:
        text = "whisper_params.prompt: found 1"
        await session.say({"type": "error", "message": text, "body": {"message": text}})
        await session.socket.close(code)

    async with FakeGateway(close) as gateway, Session(gateway.url, reconnect=None) as session:
        with pytest.raises(kind) as raised:
            await drain(session)
    error = raised.value
    assert isinstance(error, kind)
    assert error.code == code  # type: ignore[attr-defined]
    assert error.reason == "whisper_params.prompt: found 1"  # type: ignore[attr-defined]
    assert (error.retry_after_s is not None) is again


async def test_what_cannot_be_mended_is_not_tried_again() -> None:
    async def close(session: Served) -> None:
        await session.socket.close(1008)

    async with FakeGateway(close) as gateway, Session(gateway.url) as session:
        with pytest.raises(MetadataError):
            await drain(session)
    assert len(gateway.sessions) == 1


async def test_a_server_that_stays_away_ends_the_session(server: Server) -> None:
    gives_up = Reconnect(give_up_after_s=0.1, least_delay_s=0.01, most_delay_s=0.02)
    async with broken_network(server, [300]) as network:
        url = f"ws://{network.address}/v1/websocket"
        async with Session(url, reconnect=gives_up) as session:
            network.take_no_more()
            sending = asyncio.create_task(session.send_all(slowly()))
            with pytest.raises(ConnectError):
                await drain(session)
            with pytest.raises(ConnectError):
                await sending


async def test_a_refusal_says_what_the_server_says(serve: Serve) -> None:
    async with serve(max_streams=1) as server, server.connect():
        with pytest.raises(RefusedError) as raised:
            await Session(f"ws://{server.address}/v1/websocket").__aenter__()
    assert (raised.value.status, raised.value.kind) == (503, "too_many_streams")
    assert raised.value.retry_after_s is not None
    assert raised.value.retry_after_s >= 5


async def test_a_missing_key_is_no_reason_to_try_again(serve: Serve) -> None:
    async with serve(api_keys=("one",)) as server:
        url = f"ws://{server.address}/v1/websocket"
        with pytest.raises(UnauthorizedError, match="it wants an API key") as raised:
            await Session(url).__aenter__()
        assert raised.value.retry_after_s is None
        with pytest.raises(UnauthorizedError, match="the API key is wrong"):
            await Session(url, api_key="two").__aenter__()
        async with Session(url, api_key="one") as session:
            await session.end()
            assert [message async for message in session] == []


@pytest.mark.parametrize(
    ("url", "kind"),
    [("ws://127.0.0.1:9/", ConnectError), ("http://x", AddressError), ("nothing", AddressError)],
)
async def test_an_address_without_a_server(url: str, kind: type[ClientError]) -> None:
    with pytest.raises(kind):
        await Session(url).__aenter__()


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"type": "transcription", "segments": 1}'], ids=str
)
async def test_a_server_that_talks_nonsense_ends_the_session(text: str) -> None:
    async def talk(session: Served) -> None:
        await session.socket.send(text)
        await session.hear()

    async with FakeGateway(talk) as gateway, Session(gateway.url) as session:
        with pytest.raises(GarbledError):
            await drain(session)


async def test_errors_that_do_not_end_the_session_are_told(server: Server) -> None:
    async def stumble(session: Served) -> None:
        await session.hear()
        await session.say({"type": "error", "body": {"message": "one window is lost"}})
        await session.say(transcription("the rest"), {"type": "news"}, end_audio("finished"))

    async with FakeGateway(stumble) as gateway:
        async with Session(gateway.url) as session:
            await session.end()
            error, said = [message async for message in session]
        assert isinstance(error, Error)
        assert error.message == error.body.message == "one window is lost"
        assert isinstance(said, Transcription)
        with pytest.raises(RecognitionError, match="one window is lost"):
            _ = [said async for said in transcribe(gateway.url, [])]


async def test_leaving_a_session_early_leaves_no_task(server: Server, triton: FakeTriton) -> None:
    async with Session(f"ws://{server.address}/v1/websocket") as session:
        await session.send(AUDIO[:2000])
    await server.leaves_nothing(triton)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("client-")]


async def test_the_first_message_is_the_metadata() -> None:
    async def listen(session: Served) -> None:
        await session.hear()
        await session.finish()

    async with FakeGateway(listen) as gateway:
        _ = [said async for said in transcribe(gateway.url, [b"ab"], Options(language="fr"))]
    (session,) = gateway.sessions
    assert json.loads(json.dumps(session.metadata))["whisper_params"] == {"audio_language": "fr"}
    assert session.audio == b"ab"
