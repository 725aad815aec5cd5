"""What a user of a stream experiences, computed from its track. Pure functions.

| measure | meaning |
|---|---|
| lag | from the end of a word to the first message that shows it |
| first partial | from the beginning of an utterance to its first partial with text |
| final latency | from the end of an utterance's speech plus the asked silence to its final |
| held | the median word of the last third of the stream was seen within 2 s |
| flicker | words of a partial that the next message no longer has, per word shown in the end |
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from scripts.error_rate import WordErrors, word_errors
from scripts.load.track import Played, Shown, Track, Word
from scripts.load.words import erased, matches, taken_back, tokens

HELD_WITHIN_S = 2.0
HELD_SHARE = 1 / 3
"""Of the stream, at its end: queues that grow have grown by then."""

_TIME_TOLERANCE_S = 0.5
"""How far the times in messages and those of the words may be apart."""
_LONGEST_UTTERANCE_S = 30.0
_OVERLAP_S = 0.2
"""A final belongs to every recording whose speech it overlaps by more than this."""
_ROUNDING_S = 0.01
"""Of times on the wire. A silence shorter than the asked one did not end the utterance."""


class Quantiles(NamedTuple):
    """Nearest-rank quantiles: each is one of the values."""

    number: int
    p50: float | None
    p95: float | None
    p99: float | None
    most: float | None


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest of the sorted values that so large a share does not exceed."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def quantiles(values: Iterable[float]) -> Quantiles:
    """The quantiles that reports show; None where there are no values."""
    ordered = sorted(values)
    return Quantiles(
        len(ordered),
        quantile(ordered, 0.50),
        quantile(ordered, 0.95),
        quantile(ordered, 0.99),
        ordered[-1] if ordered else None,
    )


class SeenWord(NamedTuple):
    """A spoken word, and when it was first shown; None: never."""

    word: Word
    seen_s: float | None

    @property
    def lag_s(self) -> float | None:
        return None if self.seen_s is None else self.seen_s - self.word.end_s


def seen_words(track: Track) -> list[SeenWord]:
    """Every word that was spoken, in order."""
    words = track.words()
    seen: dict[int, float] = {}
    first = 0
    for shown in track.shown:
        start_s, end_s = _reach_s(shown)
        while first < len(words) and words[first].end_s < shown.at_s - 3 * _LONGEST_UTTERANCE_S:
            first += 1  # so that a long stream is not searched from its start for every message
        near = [i for i in range(first, len(words)) if start_s <= words[i].end_s <= end_s]
        spoken = [words[i].token for i in near]
        for _, match in matches(tokens(shown.text), spoken):
            seen.setdefault(near[match], shown.at_s)
    return [SeenWord(word, seen.get(i)) for i, word in enumerate(words)]


def is_held(track: Track, seen: Sequence[SeenWord]) -> bool:
    """Whether the stream's text kept up with its speech. Words never shown count as late."""
    if track.failure:
        return False
    begin_s = track.duration_s * (1 - HELD_SHARE)
    late = [item for item in seen if item.word.end_s >= begin_s]
    lags = sorted(math.inf if item.lag_s is None else item.lag_s for item in late)
    median = quantile(lags, 0.5)
    return median is None or median <= HELD_WITHIN_S


class FirstText(NamedTuple):
    """From the beginning of an utterance to its first partial, and to its first text of any kind;
    None: there was none."""

    begin_s: float
    partial_s: float | None
    text_s: float | None


def first_texts(track: Track) -> list[FirstText]:
    """One for every utterance that was begun."""
    return [_first_text(track, begin_s) for begin_s in track.utterances_s()]


def final_latencies_s(track: Track, min_silence_s: float, pad_s: float) -> list[float]:
    """Of the finals that a silence brought about, and neither the maximum length nor the end."""
    found = []
    for final in (shown for shown in track.shown if shown.final and shown.end_s is not None):
        due_s = _end_s(final) - pad_s + min_silence_s
        silence_s = _next_start_s(track, final) - _end_s(final) + 2 * pad_s
        if due_s <= track.sent_s and silence_s >= min_silence_s - _ROUNDING_S:
            found.append(final.at_s - due_s)
    return found


@dataclass(frozen=True)
class Flicker:
    """How unsteady the text was; counts add up over streams."""

    taken_back: int = 0
    """Words that were shown and gone in the next message of the utterance."""
    erased: int = 0
    """The same with everything behind the first change: what a display rewrites."""
    words: int = 0
    """Words in the last message of every utterance."""

    @property
    def rate(self) -> float | None:
        return self.taken_back / self.words if self.words else None

    @property
    def erasure_rate(self) -> float | None:
        """Normalised erasure (Arivazhagan et al., 2020)."""
        return self.erased / self.words if self.words else None

    def __add__(self, other: Self) -> "Flicker":
        return Flicker(
            self.taken_back + other.taken_back,
            self.erased + other.erased,
            self.words + other.words,
        )


def flicker(track: Track) -> Flicker:
    """Of a whole stream."""
    last = {shown.utterance: shown for shown in track.shown}
    pairs = [(tokens(old.text), tokens(new.text)) for old, new in track.successions()]
    return Flicker(
        sum(taken_back(*pair) for pair in pairs),
        sum(erased(*pair) for pair in pairs),
        sum(len(tokens(shown.text)) for shown in last.values()),
    )


class Scored(NamedTuple):
    """Errors in the finals, and in what the server made of the same recordings alone."""

    language: str
    heard: WordErrors
    alone: WordErrors | None


def scored(track: Track) -> Iterator[Scored]:
    """Word errors of the recordings that were played whole and whose text is known.

    A final that reaches over two recordings joins them: they are compared as one.
    """
    for group, heard in _groups(track):
        if not all(played.whole and played.clip.said is not None for played in group):
            continue
        if group[-1].begin_s + group[-1].clip.duration_s > track.sent_s:
            continue
        language = group[0].clip.language
        said = " ".join(played.clip.said or "" for played in group)
        alone = [played.clip.speech.text for played in group]
        known = [text for text in alone if text is not None]
        yield Scored(
            language,
            word_errors(said, heard, language),
            word_errors(said, " ".join(known), language) if len(known) == len(alone) else None,
        )


def _reach_s(shown: Shown) -> tuple[float, float]:
    """Between which times the words of a message were spoken."""
    start_s = shown.at_s - _LONGEST_UTTERANCE_S if shown.start_s is None else shown.start_s
    end_s = shown.at_s if shown.end_s is None else shown.end_s
    return start_s - _TIME_TOLERANCE_S, end_s + _TIME_TOLERANCE_S


def _first_text(track: Track, begin_s: float) -> FirstText:
    covering = [shown for shown in track.shown if shown.text and _covers(shown, begin_s)]
    partial = next((shown.at_s - begin_s for shown in covering if not shown.final), None)
    text = next((shown.at_s - begin_s for shown in covering), None)
    return FirstText(begin_s, partial, text)


def _covers(shown: Shown, begin_s: float) -> bool:
    if shown.at_s <= begin_s:
        return False
    if shown.start_s is None or shown.end_s is None:
        return True
    return shown.start_s - _TIME_TOLERANCE_S <= begin_s < shown.end_s


def _end_s(shown: Shown) -> float:
    return shown.at_s if shown.end_s is None else shown.end_s


def _next_start_s(track: Track, final: Shown) -> float:
    """Where the utterance after a final's begins."""
    later = [s for s in track.shown if s.utterance > final.utterance and s.start_s is not None]
    following = min(later, key=lambda shown: shown.utterance, default=None)
    return math.inf if following is None or following.start_s is None else following.start_s


def _groups(track: Track) -> Iterator[tuple[list[Played], str]]:
    """Recordings that no final divides, with all that was heard of them."""
    texts: list[list[str]] = [[] for _ in track.played]
    joined = [False for _ in track.played]
    finals = [shown for shown in track.shown if shown.final and shown.text]
    for final in finals if track.played else []:
        indices = _recordings_of(track, final)
        texts[indices[0]].append(final.text)
        for index in indices[1:]:
            joined[index] = True
    group: list[Played] = []
    heard: list[str] = []
    for index, played in enumerate(track.played):
        if group and not joined[index]:
            yield group, " ".join(heard)
            group, heard = [], []
        group.append(played)
        heard += texts[index]
    if group:
        yield group, " ".join(heard)


def _recordings_of(track: Track, final: Shown) -> range:
    """Indices of the recordings that a final tells of: at least one."""
    start_s = final.at_s if final.start_s is None else final.start_s
    end_s = _end_s(final)
    told = []
    for index, played in enumerate(track.played):
        begin_s, stop_s = played.clip.speech.span_s(played.clip.duration_s)
        overlap_s = min(end_s, played.begin_s + stop_s) - max(start_s, played.begin_s + begin_s)
        if overlap_s > _OVERLAP_S:
            told.append(index)
    if told:
        return range(told[0], told[-1] + 1)
    middle_s = (start_s + end_s) / 2
    before = [i for i, played in enumerate(track.played) if played.begin_s <= middle_s]
    nearest = before[-1] if before else 0
    return range(nearest, nearest + 1)
