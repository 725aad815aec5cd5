"""Guesses go on where the text stands, and are bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.speculation import REMEMBERED, LastTexts, continuation

TOKENS = st.lists(st.integers(0, 5), max_size=12)


@pytest.mark.parametrize(
    ("guess", "said", "expected"),
    [
        ([1, 2, 3, 4], [], [1, 2, 3]),
        ([1, 2, 3, 4], [1, 2], [3, 4]),
        ([1, 2, 3, 4, 5], [1, 9, 3], [4, 5]),  # a token was replaced
        ([1, 2, 3, 4, 5], [1, 9, 2], [3, 4, 5]),  # one was put in
        ([1, 2, 3, 4, 5], [1, 3], [4, 5]),  # one was left out
        ([1, 2, 3, 4, 5], [1, 9], [3, 4, 5]),  # the last one fits nowhere
        ([7, 1, 8, 9, 7, 2, 8], [3, 3, 3, 3, 7], [2, 8]),  # the nearest of two places
        ([1, 2, 5, 1, 3, 5], [1, 3], [5]),  # two tokens tell more than one
        ([1, 2], [1, 2], []),
        ([], [1], []),
    ],
)
def test_a_guess_goes_on_behind_the_last_tokens(
    guess: list[int], said: list[int], expected: list[int]
) -> None:
    assert continuation(guess, said, most=3) == expected


@given(TOKENS, TOKENS, st.integers(0, 5))
def test_a_continuation_is_a_bounded_piece_of_the_guess(
    guess: list[int], said: list[int], most: int
) -> None:
    found = continuation(guess, said, most)
    assert len(found) <= most
    pieces = [guess[begin : begin + len(found)] for begin in range(len(guess) + 1)]
    assert found in pieces


@given(TOKENS, st.integers(0, 12))
def test_a_right_guess_goes_on_to_its_end(guess: list[int], known: int) -> None:
    distinct = list(dict.fromkeys(guess))
    assert continuation(distinct, distinct[:known], 99) == distinct[known:]


def test_the_last_text_of_an_utterance_is_kept() -> None:
    texts = LastTexts()
    texts.remember((1, 0), [1])
    texts.remember((1, 1), [2])
    texts.remember((1, 0), [3])
    assert [texts.of((1, 0)), texts.of((1, 1)), texts.of((2, 0))] == [[3], [2], []]


def test_the_oldest_utterances_are_forgotten() -> None:
    texts = LastTexts()
    for stream in range(REMEMBERED):
        texts.remember((stream, 0), [stream])
    texts.remember((0, 0), [7])  # the first is spoken on
    texts.remember((REMEMBERED, 0), [8])
    assert [texts.of((stream, 0)) for stream in (0, 1, 2)] == [[7], [], [2]]
