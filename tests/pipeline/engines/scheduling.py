"""What the tests of the schedule share."""

import numpy as np

from pipeline.engines.request import Answer, Encoded, EngineRequest, Hypothesis, Place, Purpose
from pipeline.engines.schedule import Batching, Decode, Encode, Job, Schedule

FINAL, EARLY, PARTIAL = Purpose.FINAL, Purpose.EARLY, Purpose.PARTIAL


def window(
    number: int, purpose: Purpose = FINAL, stream: int = 0, utterance: int = 0
) -> EngineRequest:
    features = np.zeros((2, 80), np.float16)
    return EngineRequest(features, [number], 10, place=Place(stream, utterance, purpose))


def nobody(_: Answer | Exception) -> None:
    """A window that is of no further interest."""


class Engine:
    """One worker after the other takes a step and reports it, as threads do."""

    def __init__(
        self,
        max_batch: int = 4,
        workers: int = 2,
        few: int = 0,
    ) -> None:
        self.schedule = Schedule(Batching(max_batch, few=few), workers)

    def add(self, *requests: EngineRequest) -> None:
        for request in requests:
            self.schedule.add(request, bytes([request.prompt[0]]), nobody)

    def encode(self, request: EngineRequest) -> None:
        """A worker encodes a window that has just come."""
        self.add(request)
        self.encode_next()

    def encode_next(self) -> None:
        """A worker encodes what comes first."""
        step = self.step()
        assert isinstance(step, Encode)
        self.report(step)

    def has_shown(self, *streams: int) -> None:
        """Something of each stream's utterance 0 has been decoded: its partials may wait."""
        self.add(*(window(200 + stream, FINAL, stream) for stream in streams))
        self.run()

    def step(self) -> Encode | Decode | None:
        return self.schedule.next_step()

    def report(self, step: Encode | Decode) -> None:
        if isinstance(step, Decode):
            self.schedule.decoded(step)
        else:
            request = step.job.request
            encoded = Encoded(request, np.zeros((1, 8), np.float32), Hypothesis([], []))
            self.schedule.encoded(step.job, encoded)

    def run(self) -> list[list[int]]:
        """With one worker, to the end; the batches that were decoded."""
        batches = []
        while (step := self.step()) is not None:
            if isinstance(step, Decode):
                batches.append(numbers(step))
            self.report(step)
        return batches

    def encode_all(self) -> None:
        while isinstance(step := self.step(), Encode):
            self.report(step)
        if step is not None:
            raise AssertionError("a window was to be decoded before all were encoded")


def numbers(step: Encode | Decode | None) -> list[int]:
    assert step is not None
    jobs = step.jobs if isinstance(step, Decode) else [step.job]
    return [job.request.prompt[0] for job in jobs]


def waiters(job: Job) -> int:
    return len(job.waiters) + len(job.riders)


def nothing() -> Encode:
    raise AssertionError("there was nothing to do")
