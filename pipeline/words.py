"""Words of a text and their times: from token alignments to what clients see.

Pure. The text comes out exactly as it went in: joined, the words are the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.audio import samples_to_s
from pipeline.tokens import WhisperTokenizer

UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Written without spaces: openai/whisper's tokenizer takes every character for a word there."""


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


def split_words(
    tokenizer: WhisperTokenizer, tokens: Sequence[int], language: str
) -> list[tuple[str, int]]:
    """Words of a text with the number of tokens each is made of; punctuation stays with its word.

    A word begins with a space, or, in languages without spaces, with every letter.
    """
    words: list[tuple[str, int]] = []
    for piece, count in _whole_pieces(tokenizer, tokens):
        spaced = piece.startswith(" ") or language in UNSPACED_LANGUAGES
        has_letters = any(character.isalnum() for character in piece)
        if words and not (spaced and has_letters) and not _is_opening(piece):
            text, so_far = words[-1]
            words[-1] = (text + piece, so_far + count)
        elif words and _is_opening(words[-1][0]):
            text, so_far = words[-1]
            words[-1] = (text + piece, so_far + count)
        else:
            words.append((piece, count))
    return [(text.strip(), count) for text, count in words]


def _is_opening(piece: str) -> bool:
    """Whether a piece is punctuation that belongs to the word after it."""
    return piece.strip() in {'"', "'", "(", "[", "{", "“", "‘", "«", "¿", "¡", "-", "„"} and (
        piece.startswith(" ") or piece.strip() in {"(", "[", "{", "“", "‘", "«", "¿", "¡", "„"}
    )


def _whole_pieces(tokenizer: WhisperTokenizer, tokens: Sequence[int]) -> list[tuple[str, int]]:
    """Pieces of text with their number of tokens: a token may hold part of a character only."""
    pieces: list[tuple[str, int]] = []
    begun: list[int] = []
    for token in tokens:
        begun.append(token)
        piece = tokenizer.decode(begun)
        if "\N{REPLACEMENT CHARACTER}" not in piece:
            pieces.append((piece, len(begun)))
            begun = []
    return pieces


def time_words(
    words: Sequence[tuple[str, int]],
    alignments: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    step_samples: int,
    origin: int,
    start: int,
    end: int,
) -> list[Word]:
    """Words with their times.

    Args:
        words: each with its number of tokens.
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
    for text, count in words:
        begin = _clamp(origin + begins.get(token, 0) * step_samples, earliest, end)
        after = begins.get(token + count)
        stop = end if after is None else _clamp(origin + after * step_samples, begin, end)
        known = list(probabilities[token : token + count])
        timed.append(Word(text, begin, stop, sum(known) / len(known) if known else 0.0))
        token, earliest = token + count, stop
    return timed


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
