"""livekit-plugins-baseten, unmodified, as a voice agent uses it: frames pushed, events read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents.stt import SpeechEvent, SpeechEventType, SpeechStream
from livekit.plugins import baseten

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, GREGSON, audio, errors_in, silence
from tests.end_to_end.sessions import no_stream_is_left

FRAME_SAMPLES = SAMPLE_RATE // 50
"""20 ms: what an agent gets from a room."""
SPEED = 2
PAUSE_S = 0.8
TWO_READINGS = audio(GREGSON) + silence(PAUSE_S) + audio(DASHWOOD) + silence(PAUSE_S)
PATIENCE_S = 5
"""For the last events after the last frame."""
INTERIM, FINAL = SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT


@asynccontextmanager
async def plugin(server: Server, **options: Any) -> AsyncIterator[baseten.STT]:
    async with aiohttp.ClientSession() as http:
        stt = baseten.STT(
            model_endpoint=server.settings.url,
            api_key="none is asked for",
            http_session=http,
            **options,
        )
        yield stt
        await stt.aclose()


async def push(stream: SpeechStream, pcm: bytes) -> None:
    """Frame by frame, paced, and then the end of the input."""
    size = FRAME_SAMPLES * SAMPLE_BYTES
    for start in range(0, len(pcm), size):
        data = pcm[start : start + size]
        stream.push_frame(rtc.AudioFrame(data, SAMPLE_RATE, 1, len(data) // SAMPLE_BYTES))
        await asyncio.sleep(FRAME_SAMPLES / SAMPLE_RATE / SPEED)
    stream.end_input()


async def heard(stream: SpeechStream, pcm: bytes, finals: int) -> list[SpeechEvent]:
    """The events until there are so many finals, or the server has had time for them."""
    events: list[SpeechEvent] = []
    pushing = asyncio.create_task(push(stream, pcm))
    patience_s = len(pcm) / SAMPLE_BYTES / SAMPLE_RATE / SPEED + PATIENCE_S
    try:
        async with asyncio.timeout(patience_s):
            while sum(event.type is FINAL for event in events) < finals:
                events.append(await anext(stream))
    except TimeoutError:
        pass
    finally:
        pushing.cancel()
        await asyncio.wait([pushing])
        await stream.aclose()
    return events


def texts(events: Sequence[SpeechEvent], kind: SpeechEventType) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type is kind]


async def test_it_hears_two_readings_with_interim_transcripts_and_finals(server: Server) -> None:
    async with plugin(server) as stt:
        events = await heard(stt.stream(), TWO_READINGS, finals=2)
    first, second = texts(events, FINAL)
    assert errors_in(first, GREGSON).errors == 0
    assert errors_in(second, DASHWOOD).errors == 0
    interims = texts(events, INTERIM)
    assert len(interims) >= 4
    assert any(interim.startswith("He turned sharply") for interim in interims)
    assert any(interim.startswith("And Mr. John Dashwood") for interim in interims)
    assert await no_stream_is_left(server)


async def test_its_finals_carry_language_times_and_words(server: Server) -> None:
    async with plugin(server) as stt:
        events = await heard(stt.stream(), TWO_READINGS, finals=2)
    final = [event for event in events if event.type is FINAL][1].alternatives[0]
    assert final.language == "en"
    assert 0.5 < final.confidence <= 1
    starts_s = len(audio(GREGSON) + silence(PAUSE_S)) / SAMPLE_BYTES / SAMPLE_RATE
    assert abs(final.start_time - starts_s - 0.3) < 0.2
    assert final.words is not None
    assert " ".join(final.words) == final.text


async def test_at_8_khz_it_hears_the_same(server: Server) -> None:
    async with plugin(server, sample_rate=8000) as stt:
        events = await heard(stt.stream(), audio(DASHWOOD) + silence(PAUSE_S), finals=1)
    assert errors_in(" ".join(texts(events, FINAL)), DASHWOOD).errors <= 1


async def test_declaring_mulaw_it_sends_pcm_all_the_same_and_noise_is_not_told_as_speech(
    server: Server,
) -> None:
    """The encoding is taken at its word, so 16-bit samples are heard as noise; no harm is done."""
    async with plugin(server, encoding="pcm_mulaw") as stt:
        events = await heard(stt.stream(), audio(GREGSON) + silence(PAUSE_S), finals=1)
    assert texts(events, FINAL) == []
    assert await no_stream_is_left(server)
