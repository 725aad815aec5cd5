"""Which window an engine encodes or decodes next. Pure: no thread, no clock, no model.

Workers ask for the next step, do it and report back. Rules:

1. Finals before early windows before partials, of these an utterance's first before others, and
   the oldest first among equals.
2. A newer window of an utterance supersedes its partials and early windows that are not being
   decoded yet: they cost nothing more and are answered with the newer one's text.
3. Equal windows are one job.
4. Encoding is done window by window, decoding together, what is of about one length: a step for
   several windows costs little more than a step for one (`Batching`). While as many workers as may
   decode partials do, the others encode the next, and do not decode partials beside them until a
   batch is full: windows wait for each other only under load.
5. What is urgent is encoded and decoded at once, also by a worker that is decoding partials,
   between two of its steps.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.engines.request import Answer, Encoded, EngineRequest, Purpose

Done = Callable[[Answer | Exception], None]
"""Who waits for a window is told once."""

_REMEMBERED = 4096
"""Utterances of which it is known that a partial has been decoded."""


@dataclass(frozen=True, slots=True)
class Batching:
    """What an engine gains from decoding windows together."""

    most: int
    """Windows decoded together."""
    spread: float = math.inf
    """How many times as long as the shortest window of a batch the longest may be."""
    partial_share: float = 0.5
    """Part of the workers that decodes partials at a time, one at least."""


@dataclass(eq=False)
class Job:
    """A window, and who waits for it."""

    request: EngineRequest
    key: bytes
    waiters: list[Done]
    order: int
    purpose: Purpose
    riders: list[Done] = field(default_factory=list)
    """Who waits for windows that this one has superseded."""
    encoded: Encoded | None = None
    dropped: bool = False
    """Superseded while it was being encoded."""
    shows_first: bool = False
    """Nothing of its utterance has been decoded yet."""

    @property
    def rank(self) -> tuple[Purpose, bool, int]:
        """The lower the sooner."""
        return self.purpose, not self.shows_first, self.order

    @property
    def length(self) -> int:
        """Of the window, in mel frames."""
        return len(self.request.features)

    @property
    def is_partial(self) -> bool:
        return self.purpose is Purpose.PARTIAL

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for it; a partial that follows another may come later."""
        return not self.is_partial or self.shows_first

    def yields_to(self, newer: EngineRequest) -> bool:
        """Whether a newer window makes this one needless."""
        place = self.request.place
        return (
            self.purpose is not Purpose.FINAL and place.stream != 0 and place.of == newer.place.of
        )


@dataclass(frozen=True, slots=True)
class Encode:
    """A step: encode this window."""

    job: Job


@dataclass(eq=False, slots=True)
class Decode:
    """A step: decode these windows together."""

    jobs: list[Job]
    """Those that are not over yet."""

    @property
    def may_wait(self) -> bool:
        return not any(job.is_urgent for job in self.jobs)


class Schedule:
    """What waits, and what is being done."""

    def __init__(self, batching: Batching, workers: int = 2) -> None:
        self._batching = batching
        self._partial_decoders = max(1, int(workers * batching.partial_share))
        self._shown: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._waiting: list[Job] = []
        self._encoding: list[Job] = []
        self._ready: list[Job] = []
        self._decoding: list[Decode] = []
        self._count = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is being done."""
        return not any(self._jobs())

    def add(self, request: EngineRequest, key: bytes, done: Done) -> None:
        """A window has come; windows with an equal key are equal."""
        for job in self._jobs():
            if job.key == key:
                job.waiters.append(done)
                job.purpose = min(job.purpose, request.place.purpose)
                return
        self._count += 1
        job = Job(request, key, [done], self._count, request.place.purpose)
        job.shows_first = request.place.stream != 0 and request.place.of not in self._shown
        for older in [*self._undecoded()]:
            if older.yields_to(request):
                self._drop(older)
                job.riders += older.waiters + older.riders
        self._waiting.append(job)

    def next_step(self) -> Encode | Decode | None:
        """What a free worker does now; None: wait for a report or another window."""
        if (urgent := self.urgent_step()) is not None:
            return urgent
        waiting, ready = sorted(self._waiting, key=_rank), sorted(self._ready, key=_rank)
        is_full = len(ready) >= self._batching.most
        if waiting and not is_full:
            return self._encode(waiting[0])
        if ready and (is_full or self._decoding_partials() < self._partial_decoders):
            return self._decode(ready)
        return None

    def urgent_step(self) -> Encode | Decode | None:
        """What is urgent and waits, also for a worker that is decoding partials."""
        waiting = sorted((job for job in self._waiting if job.is_urgent), key=_rank)
        ready = sorted((job for job in self._ready if job.is_urgent), key=_rank)
        alike = [job for job in ready if job.is_partial == ready[0].is_partial]
        is_full = len(alike) >= self._batching.most
        if waiting and not is_full and not (alike and waiting[0].is_partial > alike[0].is_partial):
            return self._encode(waiting[0])
        return self._decode(alike) if alike else None

    def encoded(self, job: Job, encoded: Encoded) -> None:
        """A window has been encoded."""
        self._encoding.remove(job)
        if not job.dropped:
            job.encoded = encoded
            self._ready.append(job)

    def failed(self, job: Job) -> None:
        """A window could not be encoded: it is over."""
        self._encoding.remove(job)

    def finished(self, step: Decode, job: Job) -> None:
        """One of a step's windows has been decoded: it is over."""
        step.jobs.remove(job)
        if job.request.place.stream != 0:
            self._shown[job.request.place.of] = None
            if len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)

    def decoded(self, step: Decode) -> None:
        """A step is done: what is left of its windows is over."""
        for job in [*step.jobs]:
            self.finished(step, job)
        self._decoding.remove(step)

    def _encode(self, job: Job) -> Encode:
        self._waiting.remove(job)
        self._encoding.append(job)
        return Encode(job)

    def _decode(self, jobs: list[Job]) -> Decode:
        step = Decode(self._together(jobs))
        for job in step.jobs:
            self._ready.remove(job)
        self._decoding.append(step)
        return step

    def _together(self, jobs: list[Job]) -> list[Job]:
        """The first one and others of about its length."""
        chosen: list[Job] = []
        for job in jobs:
            lengths = [other.length for other in [*chosen, job]]
            if max(lengths) <= self._batching.spread * min(lengths):
                chosen.append(job)
        return chosen[: self._batching.most]

    def _decoding_partials(self) -> int:
        """How many workers decode partials."""
        return sum(step.may_wait for step in self._decoding)

    def _drop(self, job: Job) -> None:
        job.dropped = True
        for jobs in (self._waiting, self._ready):
            if job in jobs:
                jobs.remove(job)

    def _undecoded(self) -> Iterator[Job]:
        yield from self._waiting
        yield from (job for job in self._encoding if not job.dropped)
        yield from self._ready

    def _jobs(self) -> Iterator[Job]:
        yield from self._undecoded()
        for step in self._decoding:
            yield from step.jobs


def _rank(job: Job) -> tuple[Purpose, bool, int]:
    return job.rank
