"""Threads that keep an engine busy: waiting windows are decoded together.

It knows no Triton: a window comes with a callback, which is called once with its beams or with
the error. One worker thread decodes while the others' windows wait, and takes them all at once.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.engines.request import EngineRequest, Hypothesis

MAX_BATCH = 8
"""Windows decoded together: a step for 8 costs little more than a step for 1."""

logger = logging.getLogger(__name__)

Done = Callable[[list[Hypothesis] | Exception], None]


class Engine(Protocol):
    """What the workers need of an engine."""

    def transcribe(self, requests: Sequence[EngineRequest]) -> list[list[Hypothesis]]:
        """Decode windows; per window its beams, best first."""


@dataclass(frozen=True, slots=True)
class _Job:
    request: EngineRequest
    done: Done


class EngineWorkers:
    """`count` threads on one engine."""

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"engine-{i}", daemon=True)
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: EngineRequest, done: Done) -> None:
        """Decode a window some time soon; `done` is called from a worker thread."""
        self._jobs.put(_Job(request, done))

    def stop(self) -> None:
        """Decode what waits, then end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch, stopping = self._with_waiting(job)
            self._decode(batch)
            if stopping:
                return

    def _with_waiting(self, first: _Job) -> tuple[list[_Job], bool]:
        """The first job and those that wait behind it, and whether the end was among them."""
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _decode(self, batch: Sequence[_Job]) -> None:
        """Decode a batch. Where it fails, each window is tried alone: one must not spoil others."""
        try:
            results: Sequence[list[Hypothesis] | Exception] = self._engine.transcribe(
                [job.request for job in batch]
            )
        except Exception as error:
            if len(batch) > 1:
                for job in batch:
                    self._decode([job])
                return
            results = [error]
        for job, result in zip(batch, results, strict=True):
            deliver(job.done, result)


def deliver(done: Done, result: list[Hypothesis] | Exception) -> None:
    """Hand a result over. An answer that nobody takes must not end the thread."""
    try:
        done(result)
    except Exception:
        logger.exception("An answer could not be delivered.")
