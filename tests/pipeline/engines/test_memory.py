"""What the engine has decoded is not decoded again."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.engines.memory import REMEMBERED, EngineMemory
from pipeline.engines.request import Answer, EngineRequest, Hypothesis, Place, Purpose
from pipeline.engines.schedule import Done

REQUEST = EngineRequest(np.ones((4, 80), np.float16), [1, 2], 10)
ANSWER = Answer([Hypothesis([7], [-0.5])])


class Waiting:
    """Threads that decode when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[EngineRequest, Done]] = []
        self.keys: list[bytes] = []

    def submit(self, request: EngineRequest, key: bytes, done: Done) -> None:
        self.jobs.append((request, done))
        self.keys.append(key)

    def finish(self, result: Answer | Exception = ANSWER) -> None:
        for _, done in self.jobs:
            done(result)
        self.jobs.clear()


@pytest.fixture
def workers() -> Waiting:
    return Waiting()


@pytest.fixture
def memory(workers: Waiting) -> EngineMemory:
    return EngineMemory(workers)


def test_an_equal_window_is_answered_at_once(memory: EngineMemory, workers: Waiting) -> None:
    answers: list[object] = []
    memory.submit(REQUEST, answers.append)
    workers.finish()
    memory.submit(replace(REQUEST, features=REQUEST.features.copy()), answers.append)
    assert workers.jobs == []
    assert answers == [ANSWER, ANSWER]


def test_one_that_is_being_decoded_has_the_key_of_its_equal(
    memory: EngineMemory, workers: Waiting
) -> None:
    answers: list[object] = []
    memory.submit(REQUEST, answers.append)
    memory.submit(replace(REQUEST, place=Place(purpose=Purpose.EARLY)), answers.append)
    memory.submit(replace(REQUEST, prompt=[3]), answers.append)
    assert workers.keys[0] == workers.keys[1] != workers.keys[2]
    workers.finish()
    assert answers == [ANSWER] * 3


def test_the_answer_of_a_window_that_was_superseded_is_not_remembered(
    memory: EngineMemory, workers: Waiting
) -> None:
    answers: list[object] = []
    memory.submit(REQUEST, answers.append)
    workers.finish(replace(ANSWER, superseded=True))
    memory.submit(REQUEST, answers.append)
    assert len(workers.jobs) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, features=np.zeros((4, 80), np.float16)),
        replace(REQUEST, features=np.ones((2, 160), np.float16)),
        replace(REQUEST, prompt=[1, 3]),
        replace(REQUEST, max_new_tokens=11),
        replace(REQUEST, beam_width=2),
        replace(REQUEST, length_penalty=0.5),
        replace(REQUEST, repetition_penalty=1.5),
        replace(REQUEST, no_repeat_ngram_size=3),
        replace(REQUEST, place=Place(purpose=Purpose.PARTIAL)),
        replace(REQUEST, place=Place(stream=1)),
        replace(REQUEST, place=Place(utterance=1)),
    ],
)
def test_whatever_differs_is_decoded(
    memory: EngineMemory, workers: Waiting, other: EngineRequest
) -> None:
    answers: list[object] = []
    memory.submit(REQUEST, answers.append)
    workers.finish()
    memory.submit(other, answers.append)
    assert len(workers.jobs) == 1


def test_errors_reach_all_and_are_not_remembered(memory: EngineMemory, workers: Waiting) -> None:
    answers: list[object] = []
    error = RuntimeError("broken")
    memory.submit(REQUEST, answers.append)
    memory.submit(REQUEST, answers.append)
    workers.finish(error)
    assert answers == [error, error]
    memory.submit(REQUEST, answers.append)
    assert len(workers.jobs) == 1


def test_the_oldest_answers_are_forgotten(memory: EngineMemory, workers: Waiting) -> None:
    answers: list[object] = []
    for number in range(REMEMBERED + 1):
        memory.submit(replace(REQUEST, prompt=[number]), answers.append)
    workers.finish()
    memory.submit(replace(REQUEST, prompt=[0]), answers.append)
    assert len(workers.jobs) == 1
