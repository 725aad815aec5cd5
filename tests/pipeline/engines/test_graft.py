"""Silence grafted behind short windows: every state stays at its own position."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import MAX_ENCODER_STATES
from pipeline.engines.graft import (
    LEAST_GRAFTED_STATES,
    LENGTH_STEP_STATES,
    THIN_STATES,
    SilenceTail,
    joined_length,
    thin_length,
)

WIDTH = 4
SPEECH_STATES = 75


def states(count: int, value: float) -> NDArray[np.float32]:
    return np.full((count, WIDTH), value, np.float32)


@pytest.fixture
def tail() -> SilenceTail:
    """States whose values tell their position."""
    positions = np.arange(MAX_ENCODER_STATES, dtype=np.float32)
    return SilenceTail(np.repeat(positions[:, None], WIDTH, axis=1), SPEECH_STATES)


@pytest.mark.parametrize("count", [SPEECH_STATES, 150, 400])
def test_silence_follows_the_window_at_its_own_position(tail: SilenceTail, count: int) -> None:
    joined = tail.join(states(count, -1))
    assert joined.shape == (joined_length(count), WIDTH)
    assert joined.dtype == np.float32
    assert np.all(joined[:count] == -1)
    np.testing.assert_array_equal(joined[count:, 0], np.arange(count, len(joined)))


def test_joined_lengths_are_few_and_hold_enough_silence() -> None:
    lengths = [joined_length(count) for count in range(1, MAX_ENCODER_STATES + 1)]
    assert len(set(lengths)) <= MAX_ENCODER_STATES // LENGTH_STEP_STATES
    assert lengths == sorted(lengths)
    for count, length in enumerate(lengths, start=1):
        assert length == MAX_ENCODER_STATES or length - count >= LEAST_GRAFTED_STATES


def test_the_longest_window_is_whispers_and_has_no_room_for_silence(tail: SilenceTail) -> None:
    window = states(MAX_ENCODER_STATES, -1)
    np.testing.assert_array_equal(tail.join(window), window)


def test_a_window_that_would_show_the_tails_own_speech_is_refused(tail: SilenceTail) -> None:
    with pytest.raises(ValueError, match=r"74 states is too short .* at least 75"):
        tail.join(states(SPEECH_STATES - 1, -1))


@pytest.mark.parametrize("count", [SPEECH_STATES, 400, MAX_ENCODER_STATES - 3])
def test_a_thin_tail_reaches_from_the_window_to_thirty_seconds(
    tail: SilenceTail, count: int
) -> None:
    joined = tail.join_thin(states(count, -1), thin_length(count))
    assert len(joined) == min(count + THIN_STATES, MAX_ENCODER_STATES)
    assert np.all(joined[:count] == -1)
    picked = joined[count:, 0]
    assert picked[0] == count
    assert picked[-1] == MAX_ENCODER_STATES - 1
    assert np.ptp(np.diff(picked)) <= 1


def test_thin_tails_fill_windows_up_to_one_length(tail: SilenceTail) -> None:
    length = thin_length(300)
    assert {len(tail.join_thin(states(n, -1), length)) for n in (80, 200, 300)} == {length}


def test_joining_leaves_the_tail_as_it_was(tail: SilenceTail) -> None:
    tail.join(states(100, -1))[:] = 0
    joined = tail.join(states(100, -1))
    np.testing.assert_array_equal(joined[100:, 0], np.arange(100, len(joined)))
