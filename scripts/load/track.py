"""What one stream of a load test played, and what it was shown in return. Data alone.

All times are seconds on the stream's audio clock: 0 is where its audio begins, and a sample is
spoken when a microphone would have delivered it, whether or not the packet went out in time.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Word(NamedTuple):
    """A word in the form in which words are compared, and when it is spoken."""

    token: str
    start_s: float
    end_s: float

    def later(self, seconds: float) -> "Word":
        """The same word, moved."""
        return Word(self.token, self.start_s + seconds, self.end_s + seconds)


@dataclass(frozen=True)
class Speech:
    """What is said in a recording, in the recording's own time."""

    words: tuple[Word, ...] = ()
    utterances_s: tuple[float, ...] = ()
    """Where the utterances begin into which the server divides the recording."""
    text: str | None = None
    """What the server makes of it when it has nothing else to do; None: it was not asked."""
    measured: bool = False
    """Whether the times of the words are the server's own, and not spread evenly."""

    def span_s(self, duration_s: float) -> tuple[float, float]:
        """From the first word to the last; without words, all of it."""
        if not self.words:
            return 0.0, duration_s
        return self.words[0].start_s, self.words[-1].end_s


@dataclass(frozen=True)
class Clip:
    """A recording in the playlists."""

    name: str
    language: str
    duration_s: float
    said: str | None = None
    """Its text; None: nobody wrote it down, so errors cannot be counted."""
    speech: Speech = field(default_factory=Speech)


@dataclass(frozen=True)
class Played:
    """A recording's place in a stream."""

    clip: Clip
    begin_s: float
    whole: bool = True
    """False: the run ended in the middle of it."""


class Shown(NamedTuple):
    """A transcription message and when it arrived."""

    at_s: float
    final: bool
    utterance: int
    text: str
    start_s: float | None = None
    """Where its speech begins and ends, by its own word; None: it does not say."""
    end_s: float | None = None


class Failure(NamedTuple):
    """Why a stream did not come to its end."""

    kind: str
    """`refused`, `disconnected` or `unfinished`."""
    reason: str


@dataclass
class Track:
    """One stream."""

    index: int
    language: str
    form: str
    """Encoding and rate of its audio, for people."""
    played: list[Played]
    duration_s: float
    """Audio that it was to send."""
    shown: list[Shown] = field(default_factory=list)
    sent_s: float = 0.0
    failure: Failure | None = None
    errors: list[str] = field(default_factory=list)
    """Errors of the server that did not end the stream."""
    lateness_s: list[float] = field(default_factory=list)
    """How late the load generator itself was with packets; sleeps only, no back-pressure."""
    blocked_s: float = 0.0
    """How long the server let packets wait."""

    def words(self) -> list[Word]:
        """The words that were spoken before the audio ended."""
        moved = (
            word.later(played.begin_s)
            for played in self.played
            for word in played.clip.speech.words
        )
        return [word for word in moved if word.end_s <= self.duration_s]

    def utterances_s(self) -> list[float]:
        """Where utterances begin, in the order of time."""
        return [
            begin_s
            for played in self.played
            for own_s in played.clip.speech.utterances_s
            if (begin_s := played.begin_s + own_s) < self.duration_s
        ]

    def successions(self) -> list[tuple[Shown, Shown]]:
        """Every message of an utterance with the one that replaced it."""
        by_utterance: dict[int, list[Shown]] = {}
        for shown in self.shown:
            by_utterance.setdefault(shown.utterance, []).append(shown)
        return [pair for messages in by_utterance.values() for pair in pairwise(messages)]
