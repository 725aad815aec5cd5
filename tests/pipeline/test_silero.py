"""Silero VAD: scores do not depend on how frames are grouped, and tell speech from the rest."""

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE, VAD_CONTEXT_SAMPLES, VAD_FRAME_SAMPLES
from pipeline.silero import SileroState, SileroVad, frame_levels
from tests.pipeline.support import CLIPS, SILERO_VAD_ONNX, recording

Frames = NDArray[np.int16]


def as_frames(audio: NDArray[np.int16]) -> Frames:
    count = len(audio) // VAD_FRAME_SAMPLES
    return audio[: count * VAD_FRAME_SAMPLES].reshape(count, VAD_FRAME_SAMPLES)


def score(vad: SileroVad, frames: Frames) -> list[float]:
    return vad.score([frames], [SileroState()])[0]


def noise(level: float) -> Frames:
    samples = np.random.default_rng(1).normal(0, level * 32768, 2 * SAMPLE_RATE)
    return as_frames(samples.astype(np.int16))


@pytest.fixture(scope="module")
def clips() -> list[Frames]:
    """Recordings of different lengths."""
    return [as_frames(recording(path)[:48_000]) for path in sorted(CLIPS.glob("*/*.wav"))[:5]]


def test_scores_are_those_of_the_reference_way_to_call_the_model(
    vad: SileroVad, jfk: NDArray[np.int16]
) -> None:
    session = onnxruntime.InferenceSession(SILERO_VAD_ONNX)
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros((1, VAD_CONTEXT_SAMPLES), np.float32)
    expected = []
    for frame in as_frames(jfk):
        samples = np.concatenate([context, frame[None].astype(np.float32) / 32768], axis=1)
        inputs = {"input": samples, "state": state, "sr": np.array(SAMPLE_RATE, np.int64)}
        probability, state = session.run(None, inputs)
        context = samples[:, -VAD_CONTEXT_SAMPLES:]
        expected.append(float(probability[0, 0]))
    np.testing.assert_allclose(score(vad, as_frames(jfk)), expected, atol=1e-5)


def test_frames_one_by_one_score_as_many_at_once(vad: SileroVad, jfk: NDArray[np.int16]) -> None:
    frames, state = as_frames(jfk)[:150], SileroState()
    one_by_one = [vad.score([frame[None]], [state])[0][0] for frame in frames]
    assert one_by_one == score(vad, frames)


def test_a_batch_of_streams_scores_as_each_alone(vad: SileroVad, clips: list[Frames]) -> None:
    lengths = [0, 1, len(clips[2]), 40, len(clips[4]) - 7]
    streams = [frames[:length] for frames, length in zip(clips, lengths, strict=True)]
    together = vad.score(streams, [SileroState() for _ in streams])
    assert together == [score(vad, frames) for frames in streams]


def test_streams_of_equally_many_frames_score_as_each_alone(
    vad: SileroVad, clips: list[Frames]
) -> None:
    streams = [frames[:30] for frames in clips]
    together = vad.score(streams, [SileroState() for _ in streams])
    assert together == [score(vad, frames) for frames in streams]


def test_a_streams_state_is_its_own_and_goes_on(vad: SileroVad, clips: list[Frames]) -> None:
    states = [SileroState() for _ in clips]
    halves = [(frames[:20], frames[20:45]) for frames in clips]
    first = vad.score([half for half, _ in halves], states)
    second = vad.score([half for _, half in halves], states)
    for frames, before, after in zip(clips, first, second, strict=True):
        assert before + after == score(vad, frames[:45])


def test_no_streams_have_no_scores(vad: SileroVad) -> None:
    assert vad.score([], []) == []


def test_speech_scores_high(vad: SileroVad, jfk: NDArray[np.int16]) -> None:
    probabilities = np.array(score(vad, as_frames(jfk)))
    assert np.mean(probabilities > 0.5) > 0.6
    assert probabilities.max() > 0.99


@pytest.mark.parametrize("level", [0.0, 0.001, 0.01, 0.1])
def test_silence_and_noise_score_low(vad: SileroVad, level: float) -> None:
    assert max(score(vad, noise(level))) < 0.5


def test_levels_are_in_decibels_of_full_scale() -> None:
    full = np.full((1, VAD_FRAME_SAMPLES), -32768, np.int16)
    half = np.full((1, VAD_FRAME_SAMPLES), 16384, np.int16)
    levels = frame_levels(np.concatenate([full, half, np.zeros_like(full)]))
    assert levels == pytest.approx([0.0, -6.02, -100.0], abs=0.01)


def test_no_frames_have_no_levels() -> None:
    assert frame_levels(np.empty((0, VAD_FRAME_SAMPLES), np.int16)) == []
