"""Threads that keep an engine busy with what `pipeline.engines.schedule` gives them to do.

It knows no Triton: a window comes with a callback, which is called once with its answer or with
the error.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from pipeline.engines.request import Answer, Encoded, EngineRequest, Hypothesis
from pipeline.engines.schedule import MAX_BATCH, Decode, Done, Encode, Job, Schedule

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What the workers need of an engine. Calls come from several threads."""

    def encode(self, request: EngineRequest) -> Encoded:
        """The first half of the work, window by window."""

    def decode(self, windows: Sequence[Encoded]) -> list[list[Hypothesis]]:
        """The second half, together; per window its beams, best first."""


class EngineWorkers:
    """`count` threads on one engine."""

    def __init__(self, engine: Engine, count: int, max_batch: int = MAX_BATCH) -> None:
        self._engine = engine
        self._schedule = Schedule(max_batch, count)
        self._changed = threading.Condition()
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

    def _work(self) -> None:
        while (step := self._next_step()) is not None:
            if isinstance(step, Encode):
                self._encode(step.job)
            else:
                self._decode(step)

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
        results = self._decoded([job.encoded for job in step.jobs if job.encoded is not None])
        with self._changed:
            self._schedule.decoded(step)
            self._changed.notify_all()
        for job, result in zip(step.jobs, results, strict=True):
            _tell(job, result)

    def _decoded(self, windows: Sequence[Encoded]) -> Sequence[list[Hypothesis] | Exception]:
        """Decode a batch. Where it fails, each window is tried alone: one must not spoil others."""
        try:
            return self._engine.decode(windows)
        except Exception as error:
            if len(windows) == 1:
                return [error]
            return [self._decoded([window])[0] for window in windows]


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
