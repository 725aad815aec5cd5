"""Which window an engine encodes or decodes next. Pure: no thread, no clock, no model.

Workers ask for the next step, do it and report back. Rules:

1. Finals before early windows before partials, and the oldest first among equals.
2. A newer window of an utterance supersedes its partials and early windows that are not being
   decoded yet: they cost nothing more and are answered with the newer one's text.
3. Equal windows are one job.
4. Encoding is done window by window, decoding together: a step for 16 costs little more than a
   step for 1. So while half of the workers decode partials, the others encode the next, and do not
   decode partials beside them until a batch is full: windows wait for each other only under load.
5. What is urgent is encoded and decoded at once, beside whatever is being decoded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.engines.request import Answer, Encoded, EngineRequest, Purpose

Done = Callable[[Answer | Exception], None]
"""Who waits for a window is told once."""

MAX_BATCH = 16
"""Windows decoded together. Measured for drafts, per window of 16 tokens: 165 ms alone, 51 in a
batch of 4, 36 of 8, 28 of 16, 26 of 24."""


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

    @property
    def rank(self) -> tuple[Purpose, int]:
        """The lower the sooner."""
        return self.purpose, self.order

    @property
    def is_partial(self) -> bool:
        return self.purpose is Purpose.PARTIAL

    def yields_to(self, newer: EngineRequest) -> bool:
        """Whether a newer window makes this one needless."""
        place = self.request.place
        return (
            self.purpose is not Purpose.FINAL
            and place.stream != 0
            and (place.stream, place.utterance) == (newer.place.stream, newer.place.utterance)
        )


@dataclass(frozen=True, slots=True)
class Encode:
    """A step: encode this window."""

    job: Job


@dataclass(frozen=True, slots=True)
class Decode:
    """A step: decode these windows together."""

    jobs: list[Job]


class Schedule:
    """What waits, and what is being done."""

    def __init__(self, max_batch: int = MAX_BATCH, workers: int = 2) -> None:
        self._max_batch = max_batch
        self._partial_decoders = max(1, workers // 2)
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
        for older in [*self._undecoded()]:
            if older.yields_to(request):
                self._drop(older)
                job.riders += older.waiters + older.riders
        self._waiting.append(job)

    def next_step(self) -> Encode | Decode | None:
        """What a free worker does now; None: wait for a report or another window."""
        waiting, ready = sorted(self._waiting, key=_rank), sorted(self._ready, key=_rank)
        urgent = [job for job in ready if not job.is_partial]
        if waiting and not waiting[0].is_partial and len(urgent) < self._max_batch:
            return self._encode(waiting[0])
        if urgent:
            return self._decode(urgent)
        is_full = len(ready) >= self._max_batch  # of partials: nothing else is left
        if waiting and not is_full:
            return self._encode(waiting[0])
        if ready and (is_full or self._decoding_partials() < self._partial_decoders):
            return self._decode(ready)
        return None

    def encoded(self, job: Job, encoded: Encoded) -> None:
        """A window has been encoded."""
        self._encoding.remove(job)
        if not job.dropped:
            job.encoded = encoded
            self._ready.append(job)

    def failed(self, job: Job) -> None:
        """A window could not be encoded: it is over."""
        self._encoding.remove(job)

    def decoded(self, step: Decode) -> None:
        """Windows have been decoded: they are over."""
        self._decoding.remove(step)

    def _encode(self, job: Job) -> Encode:
        self._waiting.remove(job)
        self._encoding.append(job)
        return Encode(job)

    def _decode(self, jobs: list[Job]) -> Decode:
        step = Decode(jobs[: self._max_batch])
        for job in step.jobs:
            self._ready.remove(job)
        self._decoding.append(step)
        return step

    def _decoding_partials(self) -> int:
        """How many workers decode partials."""
        return sum(any(job.is_partial for job in step.jobs) for step in self._decoding)

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


def _rank(job: Job) -> tuple[Purpose, int]:
    return job.rank
