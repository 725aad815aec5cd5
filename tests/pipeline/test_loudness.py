"""Loudness: quiet is raised, loud is lowered, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.loudness import MAX_GAIN_DB, TARGET_LEVEL_DB, even_out_loudness

Waveform = NDArray[np.float32]


def tone(level_db: float, seconds: float = 3.0) -> Waveform:
    """A sine of an RMS level."""
    time_s = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    amplitude = np.sqrt(2) * 10 ** (level_db / 20)
    wave: Waveform = (amplitude * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
    return wave


def level_db(waveform: Waveform) -> float:
    return float(10 * np.log10(np.mean(np.square(waveform)) + 1e-12))


@pytest.mark.parametrize("level", [-50.0, -35.0, TARGET_LEVEL_DB, -15.0, -12.0])
def test_an_even_level_becomes_the_target(level: float) -> None:
    assert level_db(even_out_loudness(tone(level))) == pytest.approx(TARGET_LEVEL_DB, abs=0.2)


def test_the_gain_has_a_limit() -> None:
    assert level_db(even_out_loudness(tone(-70.0))) == pytest.approx(-70 + MAX_GAIN_DB, abs=0.2)


def test_quiet_passages_come_nearer_to_loud_ones() -> None:
    waveform = np.concatenate([tone(-45.0), tone(-15.0)])
    evened = even_out_loudness(waveform)
    second = SAMPLE_RATE
    difference_db = level_db(evened[-second:]) - level_db(evened[:second])
    assert abs(difference_db) < 1


def test_what_is_in_a_recording_is_kept(jfk: NDArray[np.int16]) -> None:
    waveform = jfk.astype(np.float32) / 32768
    evened = even_out_loudness(waveform)
    assert np.all(np.sign(evened) == np.sign(waveform))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 20_000), st.floats(0, 4), st.integers(0, 9))
def test_length_and_range_hold(samples: int, level: float, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, level, samples)
    waveform = np.clip(noise, -1, 1).astype(np.float32)
    evened = even_out_loudness(waveform)
    assert len(evened) == samples
    assert evened.dtype == np.float32
    assert np.all(np.abs(evened) <= 1)


def test_silence_stays_silent() -> None:
    assert not np.any(even_out_loudness(np.zeros(SAMPLE_RATE, np.float32)))
