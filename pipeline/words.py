"""Words of a text and their times: from token alignments to what clients see.

Pure. The text comes out exactly as it went in: joined, the words are the text.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.audio import samples_to_s
from pipeline.language import UNSPACED_LANGUAGES
from pipeline.tokens import WhisperTokenizer

OPENING = "([{“‘«„¿¡「『（《〈【"
STRAIGHT_QUOTES = "\"'"
"""Punctuation of the word after it; straight quotes only where a space stands before them."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word, its positions in samples of the stream, and its probability."""

    text: str
    start: int
    end: int
    prob: float

    def message(self) -> dict[str, Any]:
        """The word as an entry of `word_timestamps`."""
        return {
            "word": self.text,
            "start_time": samples_to_s(self.start),
            "end_time": samples_to_s(self.end),
            "prob": round(self.prob, 4),
        }


@dataclass(frozen=True, slots=True)
class Spelling:
    """Text of a word or of a part of it, its number of tokens, and how many are spoken.

    Behind the last letter nothing is spoken: a pause is aligned to the punctuation there.
    """

    text: str
    tokens: int
    spoken: int

    def __add__(self, other: "Spelling") -> "Spelling":
        spoken = self.tokens + other.spoken if other.has_letters else self.spoken
        return Spelling(self.text + other.text, self.tokens + other.tokens, spoken)

    @property
    def has_letters(self) -> bool:
        """Whether there is more to it than punctuation."""
        return any(character.isalnum() for character in self.text)

    @property
    def is_opening(self) -> bool:
        """Whether it is punctuation that belongs to the word after it."""
        mark, spaced = self.text.strip(), self.text.startswith(" ")
        if spaced and mark == "-":
            return True
        return all(c in OPENING or (spaced and c in STRAIGHT_QUOTES) for c in mark)


def join_texts(texts: Iterable[str], language: str | None) -> str:
    """Texts in their order as one, with spaces where the language has them; some may be empty."""
    return ("" if language in UNSPACED_LANGUAGES else " ").join(text for text in texts if text)


def split_words(
    tokenizer: WhisperTokenizer, tokens: Sequence[int], language: str
) -> list[Spelling]:
    """Words of a text; punctuation stays with its word.

    A word begins with a space, or, in languages without spaces, with every letter.
    """
    unspaced = language in UNSPACED_LANGUAGES

    def goes_on(word: Spelling, piece: Spelling) -> bool:
        if piece.text.startswith(" "):
            return False
        begins = piece.is_opening or (piece.has_letters and word.has_letters)
        return not (unspaced and begins)

    words = _joined(_joined(_whole_pieces(tokenizer, tokens), goes_on), _is_punctuation)
    return [replace(word, text=word.text.strip()) for word in words]


def _is_punctuation(before: Spelling, after: Spelling) -> bool:
    """Whether one is the other's punctuation."""
    return not before.has_letters or not (after.has_letters or after.is_opening)


def _joined(
    parts: Iterable[Spelling], belong: Callable[[Spelling, Spelling], bool]
) -> list[Spelling]:
    """Parts, each joined to the one before where they `belong` together."""
    joined: list[Spelling] = []
    for part in parts:
        if joined and belong(joined[-1], part):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _whole_pieces(tokenizer: WhisperTokenizer, tokens: Sequence[int]) -> list[Spelling]:
    """The smallest pieces of whole characters: a token may hold part of a character only."""
    pieces: list[Spelling] = []
    begun: list[int] = []
    for token in tokens:
        begun.append(token)
        piece = tokenizer.decode(begun)
        if "\N{REPLACEMENT CHARACTER}" not in piece:
            pieces.append(Spelling(piece, len(begun), len(begun)))
            begun = []
    return pieces


def time_words(
    words: Sequence[Spelling],
    alignments: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    step_samples: int,
    origin: int,
    start: int,
    end: int,
) -> list[Word]:
    """Words with their times.

    Args:
        words: in their order; a word ends with its last letter.
        alignments: the path of (token index, time step), both rising, as CTranslate2's `align`.
        probabilities: of each token.
        step_samples: samples of one time step.
        origin: position of time step 0.
        start: position that no word begins before.
        end: position that no word goes beyond.
    """
    begins: dict[int, int] = {}
    for token, step in alignments:
        begins.setdefault(token, step)
    timed, token, earliest = [], 0, start
    for word in words:
        begin = _clamp(origin + begins.get(token, 0) * step_samples, earliest, end)
        after = begins.get(token + word.spoken)
        stop = end if after is None else _clamp(origin + after * step_samples, begin, end)
        known = list(probabilities[token : token + word.spoken])
        timed.append(Word(word.text, begin, stop, sum(known) / len(known) if known else 0.0))
        token, earliest = token + word.tokens, stop
    return timed


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
