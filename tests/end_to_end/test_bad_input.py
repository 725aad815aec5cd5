"""Bad input: a clear error and the right close code, and no effect on a stream beside it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from scripts.server import Server
from tests.end_to_end.recordings import GREGSON, JFK, audio, errors_in, silence
from tests.end_to_end.sessions import (
    ACKNOWLEDGED,
    END_AUDIO,
    FINISHED,
    Frame,
    no_stream_is_left,
    talk,
    transcribe,
)

REFUSED, TOO_LARGE = 1008, 1009
LARGEST_MESSAGE_BYTES = 8 * 2**20


@asynccontextmanager
async def a_stream_beside_it(server: Server) -> AsyncIterator[None]:
    """Another session that runs meanwhile; it must hear what it hears alone."""
    async with asyncio.TaskGroup() as tasks:
        other = tasks.create_task(transcribe(server, audio(GREGSON), speed=8))
        yield
    assert errors_in(other.result().text, GREGSON).errors == 0
    assert other.result().errors == []
    assert await no_stream_is_left(server)


BAD_METADATA = [
    ('{"whisper_params": ', "malformed JSON"),
    ("", "malformed JSON"),
    ("[]", "accepted is a JSON object"),
    ("null", "accepted is a JSON object"),
    ('"{}"', "accepted is a JSON object"),
    ('{"streaming_params": {"sample_rate": NaN}}', "NaN is not JSON"),
    ('{"streaming_vad_config": {"threshold": Infinity}}', "Infinity is not JSON"),
    ('{"streaming_vad_config": {"threshold": 1e999}}', "streaming_vad_config.threshold"),
    ('{"streaming_vad_config": {"threshold": -0.0}}', "above 0 and below 1"),
    ('{"colour": 1}', "colour: unknown field; accepted are whisper_params"),
    ('{"whisper_params": {"colour": 1}}', "whisper_params.colour: unknown field"),
    ('{"whisper_params": []}', "whisper_params: found []; accepted is an object"),
    ('{"whisper_params": {"prompt": 1}}', "whisper_params.prompt: found 1; accepted is a string"),
    ('{"whisper_params": {"audio_language": "xx"}}', "whisper_params.audio_language"),
    ('{"whisper_params": {"audio_language": ""}}', "whisper_params.audio_language"),
    ('{"whisper_params": {"language_options": ["en", "xx"]}}', "language_options[1]"),
    ('{"streaming_params": {"encoding": "opus"}}', "pcm_s16le or pcm_mulaw"),
    ('{"streaming_params": {"sample_rate": 96000}}', "at least 8000 and at most 48000"),
    ('{"streaming_params": {"sample_rate": -16000}}', "at least 8000 and at most 48000"),
    ('{"streaming_params": {"sample_rate": 16000.5}}', "accepted is an integer"),
    ('{"streaming_params": {"sample_rate": "16000"}}', "accepted is an integer"),
    ('{"streaming_params": {"sample_rate": 1e400}}', "streaming_params.sample_rate"),
    ('{"streaming_diarization_config": {"max_speakers": 2}}', "diarization is not supported"),
    ('{"include_timing_info": "yes"}', "accepted is true or false"),
    ('{"type": "end_audio"}', "it must come first"),
    ('{"whisper_params": {"prompt": "' + "a" * 5000 + '"}}', "of length 4096 at most"),
    ('{"whisper_params": {"prompt": "' + "a" * 70_000 + '"}}', "65536 at most"),
    ('{"a":' * 10_000, "nested too deeply"),
    ('{"\\ud800": 1}', "unknown field"),
    ('{"whisper_params": {"audio_language": "\\ud800"}}', "whisper_params.audio_language"),
]


@pytest.mark.parametrize(("metadata", "complaint"), BAD_METADATA)
async def test_bad_metadata_is_refused_by_name(
    metadata: str, complaint: str, server: Server
) -> None:
    async with talk(server, metadata) as talking:
        session = await talking.receive_all()
    assert [frame["type"] for frame in session.frames] == ["error"]
    assert complaint in session.errors[0]
    assert session.frames[0]["body"]["message"] == session.errors[0]
    assert len(session.errors[0]) < 1000
    assert session.close_code == REFUSED


async def test_a_surrogate_in_the_prompt_is_refused_or_taken_but_never_a_defect(
    server: Server,
) -> None:
    async with talk(server, '{"whisper_params": {"prompt": "\\ud800"}}') as talking:
        await talking.send(audio(GREGSON), END_AUDIO)
        session = await talking.receive_all()
    assert session.close_code in (1000, REFUSED)


async def test_audio_before_the_metadata_is_refused(server: Server) -> None:
    async with a_stream_beside_it(server), talk(server) as talking:
        await talking.send(audio(GREGSON))
        session = await talking.receive_all()
    assert "before the metadata" in session.errors[0]
    assert session.close_code == REFUSED


async def test_an_end_without_metadata_is_refused(server: Server) -> None:
    async with a_stream_beside_it(server), talk(server, END_AUDIO) as talking:
        session = await talking.receive_all()
    assert "must come first" in session.errors[0]
    assert session.close_code == REFUSED


@pytest.mark.parametrize("before_metadata", [True, False])
async def test_a_message_that_is_too_large_is_refused(
    before_metadata: bool, server: Server
) -> None:
    async with (
        a_stream_beside_it(server),
        talk(server, None if before_metadata else {}) as talking,
    ):
        await talking.send(bytes(LARGEST_MESSAGE_BYTES + 1))
        session = await talking.receive_all()
    assert "too large" in session.errors[0]
    assert session.close_code == TOO_LARGE


async def test_a_message_of_the_greatest_size_is_transcribed(server: Server) -> None:
    reading = silence(1) + audio(JFK)
    packet = bytes(LARGEST_MESSAGE_BYTES - len(reading)) + reading
    session = await transcribe(server, packet, packet_bytes=LARGEST_MESSAGE_BYTES)
    assert errors_in(session.text, JFK).rate_percent < 15
    assert session.spans[0][0] > 240


BAD_TEXTS: list[str | Frame] = [
    '{"type": "finalize"}',
    '{"terminate_session": true}',
    '{"type": ',
    "",
    "\0",
    "[]",
    "NaN",
    '{"type": "\\ud800"}',
    '{"type": ["end_audio"]}',
    "[" * 60_000,
    "x" * 70_000,
]


async def test_bad_texts_in_the_middle_are_told_and_the_session_goes_on(server: Server) -> None:
    speech = audio(GREGSON)
    half = len(speech) // 2
    async with a_stream_beside_it(server), talk(server, {}) as talking:
        await talking.send(speech[:half], *BAD_TEXTS, speech[half:], END_AUDIO)
        session = await talking.receive_all()
    assert len(session.errors) == len(BAD_TEXTS)
    assert all(error.startswith(("malformed JSON", "unknown message")) for error in session.errors)
    assert all(len(error) < 300 for error in session.errors)
    assert errors_in(session.text, GREGSON).errors == 0
    assert session.close_code == 1000


async def test_a_text_that_is_no_utf_8_ends_the_session(server: Server) -> None:
    async with a_stream_beside_it(server), talk(server, {}) as talking:
        await talking.client.send(b"\xff\xfe\xfd", text=True)
        session = await talking.receive_all()
    assert session.close_code == 1007


async def test_a_health_check_is_answered_in_mid_utterance(server: Server) -> None:
    async with talk(server, {}) as talking:
        await talking.send(audio(GREGSON), {"type": "health_check"}, END_AUDIO)
        session = await talking.receive_all()
    assert {"type": "health_check", "body": {"status": "ok"}} in session.frames
    assert errors_in(session.text, GREGSON).errors == 0


async def test_audio_and_a_second_end_after_the_end_are_told_and_change_nothing(
    server: Server,
) -> None:
    async with a_stream_beside_it(server), talk(server, {}) as talking:
        await talking.send(audio(GREGSON), END_AUDIO, audio(JFK), END_AUDIO)
        session = await talking.receive_all()
    assert len(session.errors) == 2
    assert errors_in(session.text, GREGSON).errors == 0
    assert session.frames.count(ACKNOWLEDGED) == session.frames.count(FINISHED) == 1
    assert session.close_code == 1000


async def test_a_wrong_rate_is_heard_as_it_is_declared_and_does_no_harm(server: Server) -> None:
    """48 kHz audio that is declared as 8 kHz is six times as long; nothing of it may linger."""
    metadata = json.dumps({"streaming_params": {"sample_rate": 8000}})
    async with a_stream_beside_it(server), talk(server, metadata) as talking:
        await talking.send(audio(JFK), END_AUDIO)
        session = await talking.receive_all()
    assert session.close_code == 1000
    assert session.errors == []
