"""OpenAI's Realtime transcription with unmodified clients: the openai package, LiveKit's plugin.

The openai package parses every event into its own types, so a key that it needs and does not get
would show here.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents.stt import SpeechEvent, SpeechEventType, SpeechStream
from livekit.plugins import openai as livekit_openai
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from pipeline.audio import SAMPLE_BYTES
from scripts.recording import pcm_bytes
from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, GREGSON, JFK, errors_in, mulaw, samples
from tests.end_to_end.sessions import foreign, no_stream_is_left

Event = dict[str, Any]
RATE = 24_000
PCM = {"type": "audio/pcm", "rate": RATE}
PACKET_S = 0.1
PATIENCE_S = 20
KEY = "none is asked for"
ITEM_EVENTS = "conversation.item.input_audio_transcription."


def reading(*names: str, pause_s: float = 1.0) -> bytes:
    """Recordings as 24 kHz PCM, each with a pause behind it."""
    pause = bytes(round(pause_s * RATE) * SAMPLE_BYTES)
    return b"".join(pcm_bytes(samples(name, RATE)) + pause for name in names)


class Heard:
    """A transcription session and what it has been told, as JSON again."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []

    async def set(self, **parts: Any) -> Event:
        session: Any = {"type": "transcription", "audio": {"input": {"format": PCM, **parts}}}
        await self.connection.session.update(session=session)
        return await self.until("session.updated")

    async def append(
        self, audio: bytes, speed: float = 4, byte_rate: int = RATE * SAMPLE_BYTES
    ) -> None:
        size = round(byte_rate * PACKET_S)
        for start in range(0, len(audio), size):
            data = base64.b64encode(audio[start : start + size]).decode()
            await self.connection.input_audio_buffer.append(audio=data)
            await asyncio.sleep(PACKET_S / speed)

    async def until(self, kind: str, times: int = 1) -> Event:
        """Receive up to an event of this type; the last of so many."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = (await self.connection.recv()).model_dump(mode="json")
                self.events.append(event)
                times -= event["type"] == kind
                if not times:
                    return event

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def transcripts(self) -> list[str]:
        return [event["transcript"] for event in self.of(f"{ITEM_EVENTS}completed")]

    @property
    def deltas(self) -> list[Event]:
        return self.of(f"{ITEM_EVENTS}delta")


@asynccontextmanager
async def session(server: Server, **headers: str) -> AsyncIterator[Heard]:
    client = AsyncOpenAI(api_key=KEY, base_url=f"http://{server.settings.address}/v1")
    query: dict[str, object] = {"intent": "transcription"}
    async with client.realtime.connect(extra_query=query, extra_headers=headers) as connection:
        heard = Heard(connection)
        yield heard
    await client.close()


async def test_turns_end_themselves_and_deltas_come_while_somebody_speaks(server: Server) -> None:
    async with session(server) as heard:
        created = await heard.until("session.created")
        assert created["session"]["type"] == "transcription"
        updated = await heard.set(transcription={"model": "gpt-4o-transcribe", "language": "en"})
        assert updated["session"]["audio"]["input"]["transcription"]["language"] == "en"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(heard.append(reading(GREGSON, DASHWOOD), speed=2))
            await heard.until(f"{ITEM_EVENTS}completed", times=2)
    first, second = heard.transcripts
    assert errors_in(first, GREGSON).errors == 0
    assert errors_in(second, DASHWOOD).errors == 0
    committed = heard.of("input_audio_buffer.committed")
    assert committed[1]["previous_item_id"] == committed[0]["item_id"]
    completed = heard.of(f"{ITEM_EVENTS}completed")
    assert [event["item_id"] for event in completed] == [c["item_id"] for c in committed]
    before_its_end = heard.events[: heard.events.index(committed[0])]
    assert any(event in before_its_end for event in heard.deltas)
    starts = [event["audio_start_ms"] for event in heard.of("input_audio_buffer.speech_started")]
    stops = [event["audio_end_ms"] for event in heard.of("input_audio_buffer.speech_stopped")]
    assert starts[0] < stops[0] < starts[1] < stops[1]
    assert await no_stream_is_left(server)


async def test_deltas_add_up_to_what_stays(server: Server) -> None:
    async with session(server) as heard:
        await heard.set(transcription={"model": "whisper-1", "language": "en"})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(heard.append(reading(DASHWOOD), speed=1))
            completed = await heard.until(f"{ITEM_EVENTS}completed")
    assert len(heard.deltas) >= 3
    added_up = "".join(event["delta"] for event in heard.deltas)
    assert errors_in(added_up, DASHWOOD).errors <= 1
    assert errors_in(completed["transcript"], DASHWOOD).errors == 0


async def test_without_turn_detection_a_commit_ends_the_turn_and_nothing_is_lost(
    server: Server,
) -> None:
    async with session(server) as heard:
        await heard.set(transcription={"model": "whisper-1"}, turn_detection=None)
        await heard.append(reading(GREGSON, DASHWOOD, pause_s=0.8), speed=8)
        assert heard.of("input_audio_buffer.committed") == []
        await heard.connection.input_audio_buffer.commit()
        await heard.append(reading(JFK, pause_s=0), speed=8)
        await heard.connection.input_audio_buffer.commit()
        await heard.until(f"{ITEM_EVENTS}completed", times=2)
    first, second = heard.transcripts
    errors = errors_in(first, GREGSON, DASHWOOD)
    assert errors.deletions + errors.substitutions <= 1
    assert errors.insertions <= 6  # a cut in mid-sentence, after 10 s: Whisper goes on by itself
    assert errors_in(second, JFK).rate_percent < 15
    seconds = [e["usage"]["seconds"] for e in heard.of(f"{ITEM_EVENTS}completed")]
    assert seconds[1] == pytest.approx(11, abs=1)
    assert {e["item_id"] for e in heard.deltas} == {
        e["item_id"] for e in heard.of("input_audio_buffer.committed")
    }


async def test_a_commit_longer_than_a_window_of_whisper_is_transcribed_whole(
    server: Server,
) -> None:
    names = (JFK, DASHWOOD, JFK, GREGSON)
    async with session(server) as heard:
        await heard.set(transcription={"model": "whisper-1"}, turn_detection=None)
        audio = reading(*names, pause_s=0.5)
        assert len(audio) / RATE / SAMPLE_BYTES > 31
        await heard.append(audio, speed=16)
        await heard.connection.input_audio_buffer.commit()
        await heard.until(f"{ITEM_EVENTS}completed")
    (transcript,) = heard.transcripts
    assert errors_in(transcript, *names).rate_percent < 10


async def test_a_clear_drops_what_was_not_committed(server: Server) -> None:
    async with session(server) as heard:
        await heard.set(transcription={"model": "whisper-1"}, turn_detection=None)
        await heard.append(reading(DASHWOOD, pause_s=0), speed=8)
        await heard.connection.input_audio_buffer.clear()
        await heard.until("input_audio_buffer.cleared")
        await heard.append(reading(GREGSON, pause_s=0), speed=8)
        await heard.connection.input_audio_buffer.commit()
        await heard.until(f"{ITEM_EVENTS}completed")
    assert errors_in(heard.transcripts[0], GREGSON).errors == 0


async def test_a_session_may_be_set_anew_in_the_middle(server: Server) -> None:
    async with session(server) as heard:
        await heard.set(transcription={"model": "whisper-1"}, turn_detection=None)
        await heard.append(reading(GREGSON, pause_s=0), speed=8)
        await heard.connection.input_audio_buffer.commit()
        await heard.until(f"{ITEM_EVENTS}completed")
        await heard.set(format={"type": "audio/pcmu"})
        await heard.append(mulaw(DASHWOOD, 8_000), speed=8, byte_rate=8_000)
        await heard.connection.input_audio_buffer.commit()
        await heard.until(f"{ITEM_EVENTS}completed")
    assert errors_in(heard.transcripts[0], GREGSON).errors == 0
    assert errors_in(heard.transcripts[1], DASHWOOD).errors <= 1


async def test_a_commit_without_audio_and_an_unknown_format_are_errors_and_nothing_more(
    server: Server,
) -> None:
    async with session(server) as heard:
        await heard.connection.input_audio_buffer.commit(event_id="mine")
        empty = (await heard.until("error"))["error"]
        assert (empty["code"], empty["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
        bad: Any = {"type": "transcription", "audio": {"input": {"format": {"type": "opus"}}}}
        await heard.connection.session.update(session=bad)
        unknown = (await heard.until("error"))["error"]
        assert unknown["param"] == "session.audio.input.format.type"
        assert "audio/pcma" in unknown["message"]
        await heard.connection.response.create()
        assert (await heard.until("error"))["error"]["param"] == "type"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(heard.append(reading(GREGSON)))
            await heard.until(f"{ITEM_EVENTS}completed")
    assert errors_in(heard.transcripts[0], GREGSON).errors == 0


def url(server: Server, query: str = "intent=transcription") -> str:
    return f"ws://{server.settings.address}/v1/realtime?{query}"


async def test_a_browser_of_the_beta_is_understood(server: Server) -> None:
    protocols = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    offered = [Subprotocol(name.replace(" ", "-")) for name in protocols]
    async with foreign(url(server), subprotocols=offered) as talking:
        assert talking.client.subprotocol == "realtime"
        assert (await talking.receive())["type"] == "transcription_session.created"
        settings = {"input_audio_format": "pcm16", "turn_detection": None}
        await talking.send({"type": "transcription_session.update", "session": settings})
        updated = await talking.receive()
        assert updated["type"] == "transcription_session.updated"
        assert updated["session"]["turn_detection"] is None
        audio = reading(GREGSON, pause_s=0)
        for start in range(0, len(audio), 96_000):
            data = base64.b64encode(audio[start : start + 96_000]).decode()
            await talking.send({"type": "input_audio_buffer.append", "audio": data})
        await talking.send({"type": "input_audio_buffer.commit"})
        while (event := await talking.receive())["type"] != f"{ITEM_EVENTS}completed":
            pass
    assert errors_in(event["transcript"], GREGSON).errors == 0
    assert "conversation.item.created" in {frame["type"] for frame in talking.session.frames}


async def test_a_conversation_is_refused_in_openai_s_shape(server: Server) -> None:
    with pytest.raises(InvalidStatus) as raised:
        async with foreign(url(server, "intent=conversation")):
            pass
    response = raised.value.response
    assert response.status_code == 400
    error = json.loads(response.body or b"")["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "intent")


async def test_a_message_that_is_too_large_is_told_as_an_event_and_closed(server: Server) -> None:
    async with foreign(url(server)) as talking:
        await talking.send("x" * (8 * 2**20 + 1))
        closed = await talking.receive_all()
    assert closed.close_code == 1009
    assert "too large" in closed.frames[-1]["error"]["message"]
    assert await no_stream_is_left(server)


# LiveKit's plugin, as a voice agent uses it: frames pushed, events read.

FINAL, INTERIM = SpeechEventType.FINAL_TRANSCRIPT, SpeechEventType.INTERIM_TRANSCRIPT


async def push(stream: SpeechStream, pcm: bytes, speed: float) -> None:
    size = RATE // 50 * SAMPLE_BYTES
    for start in range(0, len(pcm), size):
        data = pcm[start : start + size]
        stream.push_frame(rtc.AudioFrame(data, RATE, 1, len(data) // SAMPLE_BYTES))
        await asyncio.sleep(0.02 / speed)


async def heard_by_livekit(
    server: Server, model: str, pcm: bytes, finals: int
) -> list[SpeechEvent]:
    async with aiohttp.ClientSession() as http:
        stt = livekit_openai.STT(
            model=model,
            use_realtime=True,
            api_key=KEY,
            base_url=f"http://{server.settings.address}/v1",
        )
        stt._session = http  # what an agent's job gives it
        stream = stt.stream()
        events: list[SpeechEvent] = []
        pushing = asyncio.create_task(push(stream, pcm, speed=2))
        async with asyncio.timeout(PATIENCE_S):
            while sum(event.type is FINAL for event in events) < finals:
                events.append(await anext(stream))
        pushing.cancel()
        await asyncio.wait([pushing])
        await stream.aclose()
        await stt.aclose()
    return events


def texts(events: Sequence[SpeechEvent], kind: SpeechEventType) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type is kind]


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-mini-transcribe",  # turns end themselves
        "gpt-live-transcribe",  # the plugin's own voice activity detection commits
    ],
)
async def test_livekit_s_plugin_hears_two_readings(server: Server, model: str) -> None:
    events = await heard_by_livekit(server, model, reading(GREGSON, DASHWOOD), finals=2)
    first, second = texts(events, FINAL)
    assert errors_in(first, GREGSON).errors <= 1
    assert errors_in(second, DASHWOOD).errors <= 1
    assert any(text.startswith("He turned") for text in texts(events, INTERIM))
    order = [event.type for event in events if event.type not in (INTERIM, FINAL)]
    assert order[:2] == [SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH]
    assert await no_stream_is_left(server)
