"""Audio without speech: music, noise, silence, next to nothing. Nothing may be made up."""

import numpy as np
import pytest

from pipeline.audio import SAMPLE_RATE
from scripts.recording import pcm_bytes
from scripts.server import Server
from tests.end_to_end.recordings import GREGSON, MUSIC, audio, errors_in, samples, silence
from tests.end_to_end.sessions import ACKNOWLEDGED, FINISHED, Session, transcribe

NOISE_S = 5
PARTIALS = {"streaming_params": {"enable_partial_transcripts": True}}


def noise(level: float) -> bytes:
    """White noise, of this standard deviation."""
    samples_of_noise = np.random.default_rng(1).standard_normal(NOISE_S * SAMPLE_RATE) * level
    return pcm_bytes(np.clip(samples_of_noise, -32_768, 32_767).astype(np.int16))


def hum() -> bytes:
    """A mains hum with its overtones."""
    time_s = np.arange(NOISE_S * SAMPLE_RATE) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * 50 * n * time_s) / n for n in range(1, 6))
    return pcm_bytes((np.asarray(tones) * 3000).astype(np.int16))


def clicks() -> bytes:
    """Two a second, far louder than speech."""
    track = np.zeros(NOISE_S * SAMPLE_RATE, np.int16)
    track[:: SAMPLE_RATE // 2] = 30_000
    return pcm_bytes(track)


def says_nothing(session: Session) -> bool:
    """No text that is not flagged."""
    return all(
        segment["text"] == "" or segment["possible_hallucination"]
        for message in session.transcriptions
        for segment in message["segments"]
    )


@pytest.mark.parametrize("language", ["en", "auto"])
async def test_music_is_not_told_as_speech(language: str, server: Server) -> None:
    options = {"whisper_params": {"audio_language": language}}
    assert says_nothing(await transcribe(server, audio(MUSIC, MUSIC), options))


@pytest.mark.parametrize("level", [30, 300, 3000, 20_000])
async def test_noise_is_not_told_as_speech(level: int, server: Server) -> None:
    assert says_nothing(await transcribe(server, noise(level), PARTIALS))


@pytest.mark.parametrize("make", [hum, clicks])
async def test_hums_and_clicks_are_not_told_as_speech(make: object, server: Server) -> None:
    assert callable(make)
    assert says_nothing(await transcribe(server, make(), PARTIALS))


async def test_speech_after_music_and_silence_is_heard(server: Server) -> None:
    session = await transcribe(server, audio(MUSIC) + silence(2) + audio(GREGSON))
    unflagged = [s["text"] for s in session.segments if not s["possible_hallucination"]]
    assert errors_in(" ".join(unflagged), GREGSON).errors == 0


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\x01\x02", b"\x01\x02\x03", silence(0.02), silence(6)],
    ids=["empty", "half a sample", "one sample", "one and a half", "20 ms", "silence"],
)
async def test_a_stream_without_speech_ends_as_any_other(data: bytes, server: Server) -> None:
    session = await transcribe(server, data, PARTIALS)
    assert session.frames == [ACKNOWLEDGED, FINISHED]


async def test_an_odd_byte_at_the_end_changes_nothing(server: Server) -> None:
    session = await transcribe(server, audio(GREGSON) + b"\x7f")
    plain = await transcribe(server, audio(GREGSON))
    assert (session.text, session.spans) == (plain.text, plain.spans)
    assert session.errors == []


async def test_speech_at_full_scale_and_clipped_is_heard(server: Server) -> None:
    loud = np.clip(samples(GREGSON).astype(np.int32) * 8, -32_768, 32_767).astype(np.int16)
    session = await transcribe(server, pcm_bytes(loud))
    assert errors_in(session.text, GREGSON).errors <= 2
