"""What a session has heard in a file: its finals, as one text with words and times.

Pure. It takes the finals' frames as docs/protocol.md has them and knows no format of OpenAI's.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.messages import Frame
from pipeline.language import AUTO, UNDETERMINED, UNSPACED_LANGUAGES

LEAST_PROBABILITY = 1e-4
"""Probabilities are told with four digits, so some are told as 0."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as it stands in its segment's text, with the space before it."""

    text: str
    start_s: float
    end_s: float
    prob: float


class Transcript:
    """The finals so far. Taking one costs the same however many there are."""

    def __init__(self, language: str = AUTO) -> None:
        """`language` is the one that was asked for, or `auto`."""
        self._language = language
        self._finals: list[Frame] = []
        self._texts: list[str] = []  # each with the separator in front of it
        self._separator = ""

    def add(self, final: Frame) -> str:
        """Take a final; what it adds to the text."""
        text = final["transcript"]
        added = self._separator + text if text else ""
        if text:
            self._separator = _separator_behind(final)
        self._finals.append(final)
        self._texts.append(added)
        return added

    @property
    def text(self) -> str:
        """The whole text: what `add` has told, joined."""
        return "".join(self._texts)

    @property
    def main_language(self) -> str:
        """The code of the language of most of the speech; `und` when nothing was said."""
        if self._language != AUTO:
            return self._language
        seconds: Counter[str] = Counter()
        for final in self._finals:
            seconds[final["language_code"]] += final["audio_length_sec"]
        return max(seconds, key=lambda code: seconds[code], default=UNDETERMINED)

    @property
    def languages(self) -> list[str]:
        """The codes of all languages that were heard, the one of most speech first."""
        heard = [final["language_code"] for final in self._finals if final["transcript"]]
        main = self.main_language
        return sorted({*heard} - {UNDETERMINED}, key=lambda code: (code != main, code))

    def segments(self) -> Iterator[tuple[Frame, float]]:
        """Every segment, and the probability of its average token."""
        for final in self._finals:
            for segment in final["segments"]:
                yield segment, max(final["confidence"], LEAST_PROBABILITY)

    def words(self) -> Iterator[TimedWord]:
        """Every word. Joined, they are the text."""
        for index in range(len(self._finals)):
            yield from self._words_of(index)

    def last_words(self) -> Iterator[TimedWord]:
        """The words of the last final. Joined, they are what it has added to the text."""
        return self._words_of(len(self._finals) - 1)

    def _words_of(self, index: int) -> Iterator[TimedWord]:
        final, text = self._finals[index], self._texts[index]
        separator = text[: len(text) - len(final["transcript"])]
        for segment in final["segments"]:
            for word in timed_words(segment):
                yield TimedWord(separator + word.text, word.start_s, word.end_s, word.prob)
                separator = ""
            separator = _separator_behind(segment)


def _separator_behind(told: Frame) -> str:
    return "" if told["language_code"] in UNSPACED_LANGUAGES else " "


def timed_words(segment: Frame) -> list[TimedWord]:
    """A segment's words with the text between them, so that joined they are its text.

    Without word times, the text's words spread evenly over the segment's time.
    """
    text, words = segment["text"], segment["word_timestamps"]
    found: list[TimedWord] = []
    cursor = 0
    for word in words or _spread(segment):
        at = text.find(word["word"], cursor)
        if at < 0:
            continue
        end = at + len(word["word"])
        found.append(
            TimedWord(text[cursor:end], word["start_time"], word["end_time"], word["prob"])
        )
        cursor = end
    if found and cursor < len(text):
        last = found[-1]
        found[-1] = TimedWord(last.text + text[cursor:], last.start_s, last.end_s, last.prob)
    return found


def log_probability(prob: float) -> float:
    """The natural logarithm of a probability as it is told, which may be 0."""
    return round(math.log(max(prob, LEAST_PROBABILITY)), 4)


def _spread(segment: Frame) -> Iterator[Frame]:
    words = segment["text"].split()
    start_s = segment["start_time"]
    length_s = segment["end_time"] - start_s
    total, before = max(1, sum(map(len, words))), 0
    for word in words:
        after = before + len(word)
        yield {
            "word": word,
            "start_time": round(start_s + length_s * before / total, 3),
            "end_time": round(start_s + length_s * after / total, 3),
            "prob": 1.0,
        }
        before = after
