"""Subtitles: words with times become cues that can be read, as SRT or WebVTT.

Pure. A cue has at most two lines of 42 columns and lasts 7 s at most, which are the limits of the
Timed Text Style Guide of Netflix; wide characters of East Asia count as two columns. A cue ends
with its sentence, before a pause, or, when it is full, behind a comma of its second half.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.rest.transcript import TimedWord

LINE_COLUMNS = 42
MAX_CUE_S = 7.0
MIN_CUE_S = 1.0
"""A shorter sentence shares its cue with the next one."""
PAUSE_S = 0.8
SENTENCE_ENDS = ".?!…。！？"
CLAUSE_ENDS = ",;:、，；："
CLOSING = "\"'”’»)]」』"


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen, and from when to when."""

    start_s: float
    end_s: float
    text: str
    """One line, or two with a line break between them."""


def srt(words: Iterable[TimedWord]) -> str:
    """SubRip: numbered cues."""
    return "".join(
        f"{number}\n{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(cues(words), 1)
    )


def vtt(words: Iterable[TimedWord]) -> str:
    """WebVTT, with the characters escaped that its cue text gives a meaning."""
    told = (
        f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n{_escaped(cue.text)}\n\n"
        for cue in cues(words)
    )
    return "WEBVTT\n\n" + "".join(told)


def cues(words: Iterable[TimedWord]) -> Iterator[Cue]:
    """The cues, in order, not overlapping."""
    waiting: list[TimedWord] = []
    for word in words:
        while waiting and _is_full(waiting, word):
            count = _cut(waiting)
            yield _cue(waiting[:count])
            del waiting[:count]
        if waiting and (word.start_s - waiting[-1].end_s >= PAUSE_S or _is_sentence(waiting)):
            yield _cue(waiting)
            waiting = []
        waiting.append(word)
    if waiting:
        yield _cue(waiting)


def _is_full(words: Sequence[TimedWord], word: TimedWord) -> bool:
    lines = _lines(_text([*words, word]))
    too_long = any(_columns(line) > LINE_COLUMNS for line in lines)
    return too_long or word.end_s - words[0].start_s > MAX_CUE_S


def _is_sentence(words: Sequence[TimedWord]) -> bool:
    long_enough = words[-1].end_s - words[0].start_s >= MIN_CUE_S
    return long_enough and _ends_with(words[-1], SENTENCE_ENDS)


def _cut(words: Sequence[TimedWord]) -> int:
    """How many of the words of a full cue it keeps."""
    for count in range(len(words), len(words) // 2, -1):
        if _ends_with(words[count - 1], SENTENCE_ENDS + CLAUSE_ENDS):
            return count
    return len(words)


def _ends_with(word: TimedWord, marks: str) -> bool:
    return word.text.rstrip().rstrip(CLOSING).endswith(tuple(marks))


def _cue(words: Sequence[TimedWord]) -> Cue:
    return Cue(words[0].start_s, words[-1].end_s, "\n".join(_lines(_text(words))))


def _text(words: Sequence[TimedWord]) -> str:
    return "".join(word.text for word in words).strip()


def _lines(text: str) -> list[str]:
    """One line, or two of nearly the same length if that would be too long."""
    if _columns(text) <= LINE_COLUMNS:
        return [text]
    breaks = [at for at, character in enumerate(text) if character == " "]
    breaks = breaks or list(range(1, len(text)))
    best = min(breaks, key=lambda at: abs(_columns(text[:at]) - _columns(text[at:])))
    return [text[:best].rstrip(), text[best:].lstrip()]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _time(seconds: float, separator: str) -> str:
    ms = round(1000 * seconds)
    return (
        f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{separator}{ms % 1000:03}"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
