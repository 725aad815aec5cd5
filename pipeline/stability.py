"""Stable partials: which words of a hypothesis are shown, and which of them stay.

Local agreement (LocalAgreement-2 of Macháček et al., 2023): words that two consecutive hypotheses
of a segment agree on are committed. Pure; it knows texts alone, no times, languages or engines.

Rules:

- Words are compared without case and punctuation. In scripts without spaces every character is a
  word, whatever language the text is said to be in.
- The committed prefix only grows, and keeps the spelling in which it was committed. It ends with a
  letter: what stands behind its last word is known only with the word after that, and a full stop
  that becomes a comma would flicker.
- A partial shows the committed prefix and the rest of its hypothesis. Where speech runs on behind
  the window, the last word may be cut in two, and the full stop behind it is the cut's: both are
  held back. What is committed never is.
- A hypothesis that contradicts the committed prefix is aligned to it with the fewest edits, so
  that what is shown behind the prefix neither repeats its words nor lacks one.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff"  # Hiragana, Katakana
    "\u3400-\u9fff"  # Han
)
"""Scripts without spaces between words, as ranges of a regular expression's character class."""
_MARKS = "\u200c\u200d" + "".join(  # joiners, and what hangs on letters, as vowels in Hindi
    chr(code) for code in range(0x300, 0x1_0000) if unicodedata.category(chr(code))[0] == "M"
)
_LETTER = rf"(?:[^\W_{UNSPACED}]|[{_MARKS}])"
_LETTERS = rf"(?:[^\W_{UNSPACED}]+|[{_MARKS}]+)"
_INNER = rf"(?:['’](?={_LETTER})|(?<=\d)[.,:](?=\d))"  # it's, l'été, 10:30
_WORD = re.compile(rf"[{UNSPACED}][{_MARKS}]*|{_LETTERS}(?:{_LETTERS}|{_INNER})*")
_GOES_ON = re.compile(rf"(?<={_LETTER})(?:{_LETTER}|{_INNER})")


class Partial(NamedTuple):
    """What is shown of a segment, and how much of it, from its beginning, stays."""

    text: str
    committed: str


class _Word(NamedTuple):
    """A word as it is compared, and where in its text its last letter ends."""

    key: str
    end: int


def stabilise(hypothesis: str, previous: str, committed: str, interrupted: bool) -> Partial:
    """What a partial shows of a hypothesis.

    Args:
        hypothesis: of the segment so far.
        previous: the hypothesis before it; empty when there is none.
        committed: what the hypotheses up to `previous` have committed.
        interrupted: whether speech runs on behind the window's end.
    """
    kept, heard, before = _words(committed), _words(hypothesis), _words(previous)
    begin = _behind(kept, heard)
    agreed = begin + _agreement(heard[begin:], before[_behind(kept, before) :])
    shown = max(agreed, len(heard) - 1)
    ends = [word.end for word in heard]
    stop = ends[shown - 1] if shown else 0
    return Partial(
        _joined(committed, hypothesis, ends, begin, stop if interrupted else len(hypothesis)),
        _joined(committed, hypothesis, ends, begin, ends[agreed - 1] if agreed else 0),
    )


def _joined(committed: str, hypothesis: str, ends: Sequence[int], begin: int, stop: int) -> str:
    """The committed prefix and a hypothesis from behind its first `begin` words up to `stop`."""
    if not committed:
        return hypothesis[:stop]
    if not begin:
        return committed  # nothing was heard
    text = committed + hypothesis[ends[begin - 1] : stop]
    if _GOES_ON.match(text, len(committed)):  # a word replaced a character of another script
        return f"{committed} {text[len(committed) :]}"
    return text


def _words(text: str) -> list[_Word]:
    found = _WORD.finditer(text)
    return [_Word(word.group().casefold().replace("’", "'"), word.end()) for word in found]


def _agreement(first: Sequence[_Word], second: Sequence[_Word]) -> int:
    """How many words both begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a.key != b.key), min(len(first), len(second)))


def _behind(kept: Sequence[_Word], heard: Sequence[_Word]) -> int:
    """How many of the words heard stand for the committed ones."""
    same = _agreement(kept, heard)
    if same == len(kept):
        return same
    return same + _shortest_edit([w.key for w in kept[same:]], [w.key for w in heard[same:]])


def _shortest_edit(kept: Sequence[str], heard: Sequence[str]) -> int:
    """How many of the words heard become the kept ones with the fewest edits (Levenshtein).

    The most where several numbers will do: a committed word was heard twice before, so it is
    rather misheard now than was never said.
    """
    edits = list(range(len(heard) + 1))
    for key in kept:
        diagonal, edits[0] = edits[0], edits[0] + 1
        for i, other in enumerate(heard):
            fewest = min(diagonal + (key != other), edits[i] + 1, edits[i + 1] + 1)
            diagonal, edits[i + 1] = edits[i + 1], fewest
    return min(range(len(edits)), key=lambda count: (edits[count], -count))
