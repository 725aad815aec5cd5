"""The interval of a difference of word error rates."""

import numpy as np
import pytest

from scripts.bootstrap import difference_interval

WORDS = [10] * 200


def test_where_every_recording_differs_by_the_same_rate_there_is_no_chance() -> None:
    assert difference_interval([10, 20, 40], [2, 4, 8], [1, 2, 4]) == pytest.approx((10.0, 10.0))


def test_the_same_errors_in_both_are_no_difference() -> None:
    assert difference_interval([5, 6], [3, 0], [3, 0]) == (0.0, 0.0)


def test_it_is_about_that_of_a_normal_distribution_where_there_are_many() -> None:
    more = np.random.default_rng(7).integers(0, 4, len(WORDS))
    interval = difference_interval(WORDS, list(more), [0] * len(WORDS))
    assert interval is not None
    mean, error = 10 * more.mean(), 10 * more.std() / np.sqrt(len(WORDS))
    assert interval == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=error / 5)


def test_systems_that_err_on_the_same_recordings_are_told_apart_better() -> None:
    hard = np.random.default_rng(8).integers(0, 8, len(WORDS))
    paired = difference_interval(WORDS, list(hard + 1), list(hard))
    apart = difference_interval(WORDS, list(hard + 1), list(hard[::-1]))
    assert paired is not None
    assert apart is not None
    assert paired[1] - paired[0] < (apart[1] - apart[0]) / 2


def test_it_is_the_same_every_time() -> None:
    draws = {difference_interval([5, 6, 7], [1, 0, 3], [0, 2, 2]) for _ in range(3)}
    assert len(draws) == 1


@pytest.mark.parametrize("words", [[], [5], [5, 0, 0], [0, 0]])
def test_of_fewer_than_two_recordings_with_words_nothing_is_said(words: list[int]) -> None:
    zeros = [0] * len(words)
    assert difference_interval(words, zeros, zeros) is None
