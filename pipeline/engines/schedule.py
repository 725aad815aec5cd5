"""Which window an engine encodes or decodes next. Pure: no thread, no clock, no model.

Workers ask for the next step, do it and report back. Rules:

1. Finals before early windows before partials, of these an utterance's first before others, and
   the oldest first among equals.
2. A newer window of an utterance supersedes its partials and early windows that are not being
   decoded yet: they cost nothing more and are answered with the newer one's text.
3. Equal windows are one job.
4. Encoding is done window by window, decoding together: a step for several windows costs little
   more than a step for one (`Batching`). While half of the workers decode partials the others
   encode the next, and do not decode partials beside them until a batch is full: windows wait for
   each other only under load.
5. Where an engine can (`Batching.few`), partials join others that are being decoded, between two
   steps of the decoder: in-flight batching. What is urgent is decoded apart and at once, by a free
   worker or between two such steps. While many windows wait it counts most how much is decoded
   together: then whatever no free worker can take joins, finals too.
6. Between two steps a worker that decodes nothing but partials does one thing at most, so that what
   it decodes is not put off for ever: it decodes what is urgent, or encodes what is urgent, or,
   while it decodes few windows and none that is urgent, encodes the next.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.engines.request import Answer, Encoded, EngineRequest, Purpose

Done = Callable[[Answer | Exception], None]
"""Who waits for a window is told once."""
Joining = Callable[[], Sequence[Encoded]]
"""Asked between two steps of a decoder: windows that are decoded along with the others."""

_REMEMBERED = 4096
"""Utterances of which it is known that a partial has been decoded."""


@dataclass(frozen=True, slots=True)
class Batching:
    """What an engine gains from decoding windows together."""

    most: int
    """Windows decoded together."""
    few: int = 0
    """While a worker decodes fewer windows it encodes others in between; while as many wait, for
    each two workers, finals join as well. 0: none ever joins those that are being decoded."""


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
    apart: bool = False
    """Between two steps of others: nothing joins it, and nothing is done between its own."""
    waits: bool = False
    """While others are decoded apart."""

    @property
    def is_partial(self) -> bool:
        """Whether they are partials, all of them."""
        return all(job.is_partial for job in self.jobs)


class Schedule:
    """What waits, and what is being done."""

    def __init__(self, batching: Batching, workers: int = 2) -> None:
        self._batching = batching
        self._partial_decoders = max(1, workers // 2)
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
        if (urgent := self._urgent_step()) is not None:
            return urgent
        waiting, ready = self._by_rank(self._waiting), self._by_rank(self._ready)
        is_full = len(ready) >= self._batching.most
        if waiting and not is_full:
            return self._encode(waiting[0])
        if ready and (is_full or self._decoding_partials() < self._partial_decoders):
            return self._decode(ready)
        return None

    def _urgent_step(self) -> Encode | Decode | None:
        waiting = [job for job in self._by_rank(self._waiting) if job.is_urgent]
        ready = [job for job in self._by_rank(self._ready) if job.is_urgent]
        if self._has_room():
            ready = [job for job in ready if not self._may_join(job)]
        alike = [job for job in ready if job.is_partial == ready[0].is_partial]
        is_full = len(alike) >= self._batching.most
        if waiting and not is_full and not (alike and waiting[0].is_partial > alike[0].is_partial):
            return self._encode(waiting[0])
        return self._decode(alike) if alike else None

    def between_steps(self, step: Decode) -> Encode | Decode | None:
        """What a worker does before the next step of what it is decoding: one thing at most, so
        that this is not put off for ever.
        """
        if step.apart or not step.is_partial:
            return None
        ends = [job for job in self._by_rank(self._ready) if not job.is_partial]
        if ends and (not self._is_crowded() or len(step.jobs) >= self._batching.most):
            step.waits = True
            return self._decode(ends, apart=True)
        waiting = self._by_rank(self._waiting)
        is_small = len(step.jobs) + len(self._ready) < self._batching.few
        may_wait = self._is_crowded() or not any(job.is_urgent for job in step.jobs)
        if waiting and (waiting[0].is_urgent or (is_small and may_wait)):
            return self._encode(waiting[0])
        return None

    def joining(self, step: Decode) -> list[Job]:
        """What is decoded along with a step's windows from now on."""
        step.waits = False
        if step.apart:
            return []
        ready = self._by_rank(self._ready)
        if not self._is_crowded():
            ready = [job for job in ready if job.is_partial and step.is_partial]
        jobs = self._taken(ready, self._batching.most - len(step.jobs))
        step.jobs += jobs
        return jobs

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

    def _decode(self, jobs: list[Job], *, apart: bool = False) -> Decode:
        step = Decode(self._taken(jobs, self._batching.most), apart)
        self._decoding.append(step)
        return step

    def _taken(self, ready: Sequence[Job], most: int) -> list[Job]:
        taken = [*ready[:most]]
        for job in taken:
            self._ready.remove(job)
        return taken

    def _is_crowded(self) -> bool:
        """Whether so many windows wait that decoding much together counts most."""
        return len(self._waiting) >= self._batching.few * self._partial_decoders

    def _may_join(self, job: Job) -> bool:
        """Whether it is left to a worker that is decoding partials."""
        return not job.is_urgent or (self._is_crowded() and job.purpose is not Purpose.FINAL)

    def _has_room(self) -> bool:
        """Whether partials are being decoded that others may join at once."""
        most = self._batching.most if self._batching.few else 0
        return any(
            step.is_partial and 0 < len(step.jobs) < most and not (step.apart or step.waits)
            for step in self._decoding
        )

    def _decoding_partials(self) -> int:
        """How many workers decode partials. Where none can join them, first ones do not count."""
        joined = self._batching.few > 0
        return sum(
            any(job.is_partial and (joined or not job.is_urgent) for job in step.jobs)
            for step in self._decoding
            if not step.waits
        )

    def _by_rank(self, jobs: Iterable[Job]) -> list[Job]:
        return sorted(jobs, key=lambda job: job.rank)

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


def nobody_joins() -> Sequence[Encoded]:
    """Nothing is decoded along with what is being decoded."""
    return ()
