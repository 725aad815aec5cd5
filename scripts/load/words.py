"""Words of transcripts as the load test compares them. Pure; it knows no times and no streams.

Case and punctuation are not compared: a comma that comes and goes is no word taken back. In
scripts that put no spaces between words every character counts as one.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from pipeline.stability import UNSPACED

_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['’][^\W_{UNSPACED}]+)*")


def tokens(text: str) -> list[str]:
    """The words of a text in order, in the form in which they are compared."""
    return [token.replace("’", "'") for token in _TOKEN.findall(text.casefold())]


def matches(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Indices of the words that both have in the same order."""
    found = SequenceMatcher(None, first, second, autojunk=False)
    for start, other, length in found.get_matching_blocks():
        for offset in range(length):
            yield start + offset, other + offset


def taken_back(before: Sequence[str], after: Sequence[str]) -> int:
    """Words of a text that the next one no longer has."""
    return len(before) - sum(1 for _ in matches(before, after))


def erased(before: Sequence[str], after: Sequence[str]) -> int:
    """Words of a text from the first one on that the next text has otherwise."""
    kept = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        kept += 1
    return len(before) - kept
