"""Word errors between what was said and what was heard, after Whisper's text normalisation.

The normalisers are openai/whisper's own, packaged as whisper-normalizer: the English one knows
numbers, abbreviations and spellings, the basic one drops case and punctuation.
"""

from dataclasses import dataclass
from functools import cache
from typing import Self

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer


@dataclass(frozen=True)
class WordErrors:
    """Counts that add up over recordings."""

    words: int = 0
    """Words that were said."""
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate_percent(self) -> float:
        """Word error rate; with nothing said there is no rate (nan)."""
        return 100 * self.errors / self.words if self.words else float("nan")

    def __add__(self, other: Self) -> "WordErrors":
        return WordErrors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def word_errors(said: str, heard: str, language: str) -> WordErrors:
    """Errors of one recording by the alignment with the fewest of them."""
    said, heard = normalized(said, language), normalized(heard, language)
    if not said:
        return WordErrors(insertions=len(heard.split()))
    found = jiwer.process_words(said, heard)
    words = found.hits + found.substitutions + found.deletions
    return WordErrors(words, found.substitutions, found.deletions, found.insertions)


def normalized(text: str, language: str) -> str:
    """The text as it is compared."""
    return " ".join(str(_normalizer(language)(text)).split())


@cache
def _normalizer(language: str) -> EnglishTextNormalizer | BasicTextNormalizer:
    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer()
