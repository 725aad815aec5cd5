"""deepgram-sdk, unmodified, pointed at this server: its live transcription from start to end."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.server import Server
from tests.end_to_end.recordings import (
    DASHWOOD,
    DATA,
    GREGSON,
    JFK,
    audio,
    errors_in,
    mulaw,
    silence,
)
from tests.end_to_end.sessions import Talk, foreign, no_stream_is_left

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it still uses websockets.legacy
    from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
    from deepgram.listen.v1.socket_client import AsyncV1SocketClient

pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")

Message = dict[str, Any]
PCM = {"encoding": "linear16", "sample_rate": 16_000}
PACKET_S = 0.1
PATIENCE_S = 20
TWO_READINGS = audio(GREGSON) + silence(0.8) + audio(DASHWOOD) + silence(0.8)


class Heard:
    """What a live transcription has been told, as JSON again."""

    def __init__(self, socket: AsyncV1SocketClient) -> None:
        self.socket = socket
        self.messages: list[Message] = []

    async def send(self, pcm: bytes, speed: float = 4, byte_rate: int = 2 * SAMPLE_RATE) -> None:
        size = round(byte_rate * PACKET_S)
        for start in range(0, len(pcm), size):
            await self.socket.send_media(pcm[start : start + size])
            await asyncio.sleep(PACKET_S / speed)

    async def until(self, kind: str, **fields: Any) -> Message:
        """Receive up to a message of this type with these fields."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                received = await self.socket.recv()
                message: Message = json.loads(received.json())
                self.messages.append(message)
                if message["type"] == kind and fields.items() <= message.items():
                    return message

    async def until_closed(self) -> ConnectionClosed:
        with pytest.raises(ConnectionClosed) as raised:
            await self.until("nothing that there is")
        return raised.value

    def of(self, kind: str, **fields: Any) -> list[Message]:
        return [m for m in self.messages if m["type"] == kind and fields.items() <= m.items()]

    @property
    def text(self) -> str:
        return " ".join(text_of(result) for result in self.of("Results", is_final=True)).strip()


def text_of(result: Message) -> str:
    text: str = result["channel"]["alternatives"][0]["transcript"]
    return text


@asynccontextmanager
async def listening(server: Server, **options: Any) -> AsyncIterator[Heard]:
    address = server.settings.address
    environment = DeepgramClientEnvironment(
        base=f"http://{address}",
        production=f"ws://{address}",
        agent=f"ws://{address}",
        agent_rest=f"http://{address}",
    )
    client = AsyncDeepgramClient(api_key="none is asked for", environment=environment)
    async with client.listen.v1.connect(model="nova-3", **(PCM | options)) as socket:
        yield Heard(socket)


async def test_a_stream_gets_interim_results_finals_and_a_summary_and_closes(
    server: Server,
) -> None:
    options = {"interim_results": "true", "vad_events": "true", "smart_format": "true"}
    async with listening(server, **options) as heard:
        await heard.send(TWO_READINGS)
        await heard.socket.send_close_stream()
        assert (await heard.until_closed()).rcvd.code == 1000  # type: ignore[union-attr]
    assert errors_in(heard.text, GREGSON, DASHWOOD).errors == 0
    assert len(heard.of("Results", is_final=False)) >= 4
    assert [result["speech_final"] for result in heard.of("Results", is_final=True)] == [True] * 2
    assert heard.messages[0]["type"] == "SpeechStarted"
    assert len(heard.of("SpeechStarted")) == 2
    summary = heard.messages[-1]
    assert summary["type"] == "Metadata"
    assert summary["duration"] == pytest.approx(len(TWO_READINGS) / SAMPLE_BYTES / SAMPLE_RATE)
    assert await no_stream_is_left(server)


async def test_words_have_times_within_their_result(server: Server) -> None:
    async with listening(server) as heard:
        await heard.send(audio(DASHWOOD), speed=8)
        await heard.socket.send_close_stream()
        await heard.until("Metadata")
    (result,) = heard.of("Results")
    words = result["channel"]["alternatives"][0]["words"]
    assert " ".join(word["punctuated_word"] for word in words) == text_of(result)
    assert words[0]["word"] == words[0]["punctuated_word"].lower()
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert result["start"] - 0.2 <= times[0] < times[-1] <= result["start"] + result["duration"] + 1
    assert all(0 < word["confidence"] <= 1 for word in words)


async def test_finalize_gives_what_was_said_so_far_and_nothing_is_lost(server: Server) -> None:
    reading = audio(DASHWOOD)
    half = len(reading) // 4 * 2
    async with listening(server) as heard:
        await heard.send(reading[:half], speed=8)
        await heard.socket.send_finalize()
        first = await heard.until("Results", from_finalize=True)
        await heard.send(reading[half:], speed=8)
        await heard.socket.send_finalize()
        second = await heard.until("Results", from_finalize=True)
        await heard.socket.send_finalize()
        empty = await heard.until("Results", from_finalize=True)
        await heard.socket.send_close_stream()
        await heard.until("Metadata")
    assert text_of(first)
    assert text_of(second)
    assert text_of(empty) == ""
    assert first["start"] + first["duration"] <= second["start"] + 0.5
    assert errors_in(heard.text, DASHWOOD).errors <= 3  # it was cut somewhere in a word


async def test_close_stream_gets_the_open_utterance_s_final(server: Server) -> None:
    async with listening(server) as heard:
        await heard.send(audio(GREGSON), speed=16)
        await heard.socket.send_close_stream()
        await heard.until_closed()
    assert errors_in(heard.text, GREGSON).errors == 0


async def test_an_utterance_end_is_told_once_no_word_follows(server: Server) -> None:
    options = {"interim_results": "true", "utterance_end_ms": 1000}
    async with listening(server, **options) as heard:
        await heard.send(audio(GREGSON) + silence(3), speed=1)
        end = await heard.until("UtteranceEnd")
        await heard.socket.send_close_stream()
        await heard.until("Metadata")
    assert len(heard.of("UtteranceEnd")) == 1
    (final,) = heard.of("Results", is_final=True)
    assert end["last_word_end"] == final["channel"]["alternatives"][0]["words"][-1]["end"]


async def test_a_silent_stream_stays_open_and_keep_alive_is_not_answered(server: Server) -> None:
    async with listening(server) as heard:
        for _ in range(3):
            await heard.socket.send_keep_alive()
            await asyncio.sleep(0.5)
        await heard.send(audio(GREGSON), speed=8)
        await heard.socket.send_close_stream()
        await heard.until("Metadata")
    assert {message["type"] for message in heard.messages} == {"Results", "Metadata"}
    assert errors_in(heard.text, GREGSON).errors == 0


async def test_telephony_and_files_are_heard_as_well(server: Server) -> None:
    async with listening(server, encoding="mulaw", sample_rate=8_000) as heard:
        await heard.send(mulaw(DASHWOOD, 8_000), speed=8, byte_rate=8_000)
        await heard.socket.send_close_stream()
        await heard.until("Metadata")
    assert errors_in(heard.text, DASHWOOD).errors <= 1
    async with listening(server, encoding=None, sample_rate=None) as heard:
        await heard.send((DATA / "jfk.wav").read_bytes(), speed=8)
        await heard.socket.send_close_stream()
        await heard.until("Metadata")
    assert errors_in(heard.text, JFK).rate_percent < 15


async def test_what_is_no_audio_closes_with_data_0000(server: Server) -> None:
    async with listening(server, encoding=None, sample_rate=None) as heard:
        await heard.socket.send_media(b"OggS" + bytes(1000))
        closed = await heard.until_closed()
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1008
    assert closed.rcvd.reason.startswith("DATA-0000")
    assert await no_stream_is_left(server)


def raw(server: Server, query: str) -> AbstractAsyncContextManager[Talk]:
    """A plain websocket, for what the SDK would not send."""
    return foreign(f"ws://{server.settings.address}/v1/listen?{query}")


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("encoding=opus", "encoding: found opus; accepted are linear16, mulaw, alaw"),
        ("encoding=linear16", "sample_rate"),
        ("encoding=linear16&sample_rate=16000&language=xx", "language: found"),
        ("callback=http://127.0.0.1/", "callback: not supported"),
    ],
)
async def test_a_bad_query_is_a_bad_request_in_deepgram_s_shape(
    server: Server, query: str, complaint: str
) -> None:
    with pytest.raises(InvalidStatus) as raised:
        async with raw(server, query):
            pass
    response = raised.value.response
    body = json.loads(response.body or b"")
    assert response.status_code == 400
    assert body["err_code"] == "Bad Request"
    assert body["err_msg"].startswith(complaint)
    assert body["err_msg"] == response.headers["dg-error"]
    assert body["request_id"] == response.headers["dg-request-id"]


async def test_bad_texts_are_told_and_the_stream_goes_on(server: Server) -> None:
    async with raw(server, "encoding=linear16&sample_rate=16000") as talking:
        response = talking.client.response
        assert response is not None
        assert response.headers["dg-request-id"]
        for text in ("{broken", '{"type": "Fly"}', "[" * 60_000):
            await talking.send(text)
            error = await talking.receive()
            assert (error["type"], error["variant"]) == ("Error", "SchemaError")
        await talking.send(audio(GREGSON), {"type": "CloseStream"})
        session = await talking.receive_all()
    *_, result, summary = session.frames
    assert errors_in(text_of(result), GREGSON).errors == 0
    assert summary["type"] == "Metadata"
    assert session.close_code == 1000


async def test_a_message_that_is_too_large_is_closed_with_its_reason(server: Server) -> None:
    async with raw(server, "encoding=linear16&sample_rate=16000") as talking:
        await talking.send(bytes(8 * 2**20 + 1))
        session = await talking.receive_all()
    assert (session.frames, session.close_code) == ([], 1009)
    assert "too large" in (talking.client.close_reason or "")
