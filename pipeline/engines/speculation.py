"""Guesses of what a window's text will be, taken from what its utterance's last window said.

A decoder checks a whole guess in one step and keeps what it would have said itself (Leviathan et
al., 2023, "Fast Inference from Transformers via Speculative Decoding", with the last text in place
of a smaller model), so a guess changes what a text costs, never the text. Pure: tokens only.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

REMEMBERED = 512
"""Utterances whose last text is kept, a few hundred bytes each."""
GUESSED_AFTER_MISS = 6
"""Tokens guessed in a step that follows a wrong guess: a row costs a fraction of a step."""


class LastTexts:
    """The last text of each utterance. Calls may come from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: OrderedDict[tuple[int, int], list[int]] = OrderedDict()

    def of(self, utterance: tuple[int, int]) -> list[int]:
        """Tokens of an utterance's last text, empty if there was none."""
        with self._lock:
            return self._texts.get(utterance, [])

    def remember(self, utterance: tuple[int, int], tokens: list[int]) -> None:
        """Keep an utterance's text in place of its last one."""
        with self._lock:
            self._texts[utterance] = tokens
            self._texts.move_to_end(utterance)
            if len(self._texts) > REMEMBERED:
                self._texts.popitem(last=False)


def continuation(guess: Sequence[int], said: Sequence[int], most: int) -> list[int]:
    """At most `most` tokens that may follow what has been said, if the guess is about right.

    They follow the place in the guess where its tokens are the last ones said: two of them, else
    one, and of several places the nearest to where the text stands. With no such place the last
    token is taken to stand for the guess's own.
    """
    for length in (2, 1):
        if length > len(said):
            continue
        last = list(said[-length:])
        ends = range(length, len(guess) + 1)
        places = [end for end in ends if list(guess[end - length : end]) == last]
        if places:
            nearest = min(places, key=lambda end: abs(end - len(said)))
            return list(guess[nearest : nearest + most])
    return list(guess[len(said) : len(said) + most])
