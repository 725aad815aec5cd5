"""Threads that keep an engine busy with what `pipeline.engines.schedule` gives them to do.

It knows no Triton: a window comes with a callback, which is called once with its answer or with
the error.
"""

import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

from pipeline.engines.request import Answer, Decoded, Encoded, EngineRequest, Hypothesis
from pipeline.engines.schedule import (
    Batching,
    Decode,
    Done,
    Encode,
    Job,
    Joining,
    Schedule,
    nobody_joins,
)
from pipeline.engines.stuck import StuckWatch

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What the workers need of an engine. Calls come from several threads."""

    def encode(self, request: EngineRequest) -> Encoded:
        """The first half of the work, window by window."""

    @property
    def batching(self) -> Batching:
        """What it gains from decoding windows together."""

    def decode(self, windows: Sequence[Encoded], joining: Joining) -> Iterator[Decoded]:
        """The second half, together: each window once, in any order. Windows that join come behind
        the others.
        """


class EngineWorkers:
    """`count` threads on one engine, which decode windows together as suits it, or `most`.

    `in_flight`: whether windows may join others that are being decoded, where the engine can.
    """

    def __init__(
        self,
        engine: Engine,
        count: int,
        most: int | None = None,
        watch: StuckWatch | None = None,
        *,
        in_flight: bool = True,
    ) -> None:
        self._engine = engine
        batching = engine.batching
        few = batching.few if in_flight else 0
        self._joins = few > 0
        self._schedule = Schedule(Batching(most or batching.most, few), count)
        self._changed = threading.Condition()
        self._stuck = watch or StuckWatch()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"engine-{i}", daemon=True)
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: EngineRequest, key: bytes, done: Done) -> None:
        """Decode a window some time soon; `done` is called from a worker thread."""
        with self._changed:
            self._schedule.add(request, key, done)
            self._changed.notify()

    def stop(self) -> None:
        """Decode what waits, then end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._stuck.close()

    def _work(self) -> None:
        while (step := self._next_step()) is not None:
            self._do(step)

    def _do(self, step: Encode | Decode) -> None:
        self._stuck.begins(id(step))
        if isinstance(step, Encode):
            self._encode(step.job)
        else:
            self._decode(step)
        self._stuck.ends(id(step))

    def _next_step(self) -> Encode | Decode | None:
        """Wait for something to do; None: there will be nothing any more."""
        with self._changed:
            while (step := self._schedule.next_step()) is None:
                if self._stopping and self._schedule.is_empty:
                    return None
                self._changed.wait()
            return step

    def _encode(self, job: Job) -> None:
        try:
            encoded = self._engine.encode(job.request)
        except Exception as error:
            with self._changed:
                self._schedule.failed(job)
                self._changed.notify_all()
            if not job.dropped:
                _tell(job, error)
            return
        with self._changed:
            self._schedule.encoded(job, encoded)
            self._changed.notify_all()

    def _decode(self, step: Decode) -> None:
        """Decode a batch. Where it fails, each window is tried alone: one must not spoil others."""
        try:
            self._decode_together(step)
        except Exception as error:
            left = [*step.jobs]
            for job in left:
                if len(left) > 1:
                    self._decode_alone(step, job)
                else:
                    self._finish(step, job, error)
        with self._changed:
            self._schedule.decoded(step)
            self._changed.notify_all()

    def _decode_together(self, step: Decode) -> None:
        numbers = itertools.count()
        jobs = {next(numbers): job for job in step.jobs}  # those that are not over yet

        def joining() -> list[Encoded]:
            more = self._between_steps(step)
            jobs.update({next(numbers): job for job in more})
            return _encoded(more)

        join = joining if self._joins else nobody_joins
        for i, beams in self._engine.decode(_encoded(step.jobs), join):
            self._stuck.begins(id(step))
            self._finish(step, jobs.pop(i), beams)

    def _between_steps(self, step: Decode) -> list[Job]:
        """Do what comes first; what joins the step comes back."""
        self._stuck.begins(id(step))
        with self._changed:
            first = self._schedule.between_steps(step)
        if first is not None:
            self._do(first)
            self._stuck.begins(id(step))
        with self._changed:
            return self._schedule.joining(step)

    def _decode_alone(self, step: Decode, job: Job) -> None:
        self._stuck.begins(id(step))
        try:
            for _, beams in self._engine.decode(_encoded([job]), nobody_joins):
                self._finish(step, job, beams)
        except Exception as error:
            self._finish(step, job, error)

    def _finish(self, step: Decode, job: Job, result: list[Hypothesis] | Exception) -> None:
        job.encoded = None  # megabytes, and a batch that others join may be long
        with self._changed:
            self._schedule.finished(step, job)
            self._changed.notify()
        _tell(job, result)


def _encoded(jobs: Sequence[Job]) -> list[Encoded]:
    return [job.encoded for job in jobs if job.encoded is not None]


def _tell(job: Job, result: list[Hypothesis] | Exception) -> None:
    for done in job.waiters:
        _deliver(done, result if isinstance(result, Exception) else Answer(result))
    for done in job.riders:
        _deliver(done, result if isinstance(result, Exception) else Answer(result, superseded=True))


def _deliver(done: Done, answer: Answer | Exception) -> None:
    """Hand an answer over. One that nobody takes must not end the thread."""
    try:
        done(answer)
    except Exception:
        logger.exception("An answer could not be delivered.")
