"""The audio and the scores that the endpointing core keeps."""

import pytest

from pipeline.audio import SAMPLE_BYTES, VAD_FRAME_BYTES, VAD_FRAME_SAMPLES
from pipeline.scored_audio import ScoredAudio

ORIGIN = 1000
PCM = bytes(range(256)) * (4 * VAD_FRAME_BYTES // 256)
"""Four frames."""


@pytest.fixture
def audio() -> ScoredAudio:
    kept = ScoredAudio(ORIGIN)
    kept.append(PCM, [0.1, 0.5, 0.9, 0.2], [-10.0, -20.0, -30.0, -40.0])
    return kept


def test_frames_have_positions_from_the_streams_origin_on(audio: ScoredAudio) -> None:
    assert (audio.start, audio.end) == (ORIGIN, ORIGIN + 4 * VAD_FRAME_SAMPLES)
    assert audio.position_of(2) == ORIGIN + 2 * VAD_FRAME_SAMPLES
    assert audio.frame_at(audio.position_of(2)) == audio.frame_at(audio.position_of(3) - 1) == 2


def test_what_is_forgotten_leaves_frames_and_positions_as_they_were(audio: ScoredAudio) -> None:
    start, end = audio.position_of(2), audio.position_of(4)
    before = audio.pcm(start, end)
    audio.forget_before(2)
    audio.forget_before(1)
    assert (audio.first_frame, audio.end_frame, audio.start) == (2, 4, start)
    assert audio.pcm(start, end) == before == PCM[2 * VAD_FRAME_BYTES :]
    assert audio.probability(2) == 0.9
    assert audio.scores(2, 4) == [(0.9, -30.0), (0.2, -40.0)]


def test_voiced_frames_reach_the_threshold(audio: ScoredAudio) -> None:
    assert audio.voiced(range(4), 0.5) == [1, 2]
    assert audio.voiced(range(2, 4), 0.95) == []


def test_the_tail_lies_behind_the_last_frame(audio: ScoredAudio) -> None:
    audio.append_tail(b"tail")
    assert audio.pcm(audio.end, audio.end + 4 // SAMPLE_BYTES) == b"tail"
