"""What an engine's workers are given to do: order, batches, and what costs nothing."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.request import (
    Answer,
    Encoded,
    EngineRequest,
    Hypothesis,
    Place,
    Purpose,
)
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


def test_one_window_is_encoded_and_decoded_at_once() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 1))
    assert engine.run() == [[1]]
    assert engine.schedule.is_empty


def test_partials_that_wait_are_decoded_together() -> None:
    engine = Engine()
    engine.has_shown(1, 2, 3)
    engine.add(*(window(n, PARTIAL, n) for n in range(1, 4)))
    assert engine.run() == [[1, 2, 3]]


def test_the_first_partial_of_an_utterance_comes_before_others() -> None:
    engine = Engine()
    engine.has_shown(1, 2)
    engine.add(window(1, PARTIAL, 1), window(2, PARTIAL, 2, utterance=1), window(3, FINAL, 3))
    assert engine.run() == [[3], [2], [1]]


def test_a_window_that_is_over_is_no_longer_joined_by_equal_ones() -> None:
    engine = Engine()
    engine.add(window(1, FINAL, 1), window(2, FINAL, 2))
    for _ in range(2):
        engine.report(engine.step() or nothing())
    decoding = engine.step()
    assert isinstance(decoding, Decode)
    engine.schedule.finished(decoding, decoding.jobs[0])
    engine.add(window(1, FINAL, 1))
    assert isinstance(engine.step(), Encode)
    engine.schedule.decoded(decoding)
    assert not engine.schedule.is_empty


def test_a_batch_has_a_largest_size() -> None:
    engine = Engine(max_batch=4)
    engine.has_shown(*range(1, 7))
    engine.add(*(window(n, PARTIAL, n) for n in range(1, 7)))
    assert engine.run() == [[1, 2, 3, 4], [5, 6]]


def test_finals_come_first_then_early_windows_then_partials() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 1), window(2, EARLY, 2), window(3, FINAL, 3))
    steps = [engine.step() for _ in range(2)]
    assert [numbers(step) for step in steps] == [[3], [2]]


def test_what_is_urgent_is_not_decoded_with_partials() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 1), window(2, EARLY, 2), window(3, FINAL, 3))
    assert engine.run() == [[3, 2], [1]]


def test_while_partials_are_decoded_the_next_ones_are_encoded_and_wait() -> None:
    engine = Engine(max_batch=4)
    engine.has_shown(1, 2, 3)
    engine.add(window(1, PARTIAL, 1))
    engine.report(engine.step() or nothing())
    decoding = engine.step()
    assert isinstance(decoding, Decode)
    engine.add(window(2, PARTIAL, 2), window(3, PARTIAL, 3))
    engine.encode_all()
    assert engine.step() is None
    engine.report(decoding)
    assert numbers(engine.step()) == [2, 3]


def test_half_of_many_workers_decode_partials_at_a_time() -> None:
    engine = Engine(workers=4)
    engine.has_shown(1, 2, 3)
    for number in (1, 2):
        engine.add(window(number, PARTIAL, number))
        engine.report(engine.step() or nothing())
        assert numbers(engine.step()) == [number]
    engine.add(window(3, PARTIAL, 3))
    engine.encode_all()
    assert engine.step() is None


def test_a_full_batch_does_not_wait_for_the_one_that_is_being_decoded() -> None:
    engine = Engine(max_batch=2)
    engine.has_shown(1, 2, 3)
    engine.add(window(1, PARTIAL, 1))
    engine.report(engine.step() or nothing())
    assert isinstance(engine.step(), Decode)
    engine.add(window(2, PARTIAL, 2), window(3, PARTIAL, 3))
    for _ in range(2):
        engine.report(engine.step() or nothing())
    assert numbers(engine.step()) == [2, 3]


def test_a_final_does_not_wait_for_partials_that_are_being_decoded() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 1))
    engine.report(engine.step() or nothing())
    assert isinstance(engine.step(), Decode)
    engine.add(window(2, FINAL, 2))
    engine.report(engine.step() or nothing())
    assert numbers(engine.step()) == [2]


def test_a_final_does_not_wait_for_others_that_are_being_encoded() -> None:
    engine = Engine(workers=3)
    engine.add(window(1, FINAL, 1), window(2, FINAL, 2), window(3, PARTIAL, 3))
    first, second = engine.step() or nothing(), engine.step() or nothing()
    engine.report(first)
    assert numbers(engine.step()) == [1]
    engine.report(second)
    assert numbers(engine.step()) == [2]


def test_a_newer_window_of_the_utterance_supersedes_partials_and_answers_them() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 7), window(2, EARLY, 7), window(3, FINAL, 7))
    step = engine.step()
    assert isinstance(step, Encode)
    assert numbers(step) == [3]
    assert waiters(step.job) == 3
    engine.report(step)
    assert engine.run() == [[3]]
    assert engine.schedule.is_empty


def test_a_partial_that_is_superseded_while_it_is_encoded_is_not_decoded() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 7))
    encoding = engine.step() or nothing()
    engine.add(window(2, PARTIAL, 7))
    engine.report(encoding)
    assert engine.run() == [[2]]


def test_who_waits_for_a_partial_superseded_twice_is_answered_once() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 7))
    encoding = engine.step() or nothing()
    engine.add(window(2, PARTIAL, 7), window(3, FINAL, 7))
    engine.report(encoding)
    step = engine.step()
    assert isinstance(step, Encode)
    assert waiters(step.job) == 3


def test_finals_other_utterances_other_streams_and_windows_of_no_stream_are_not_superseded() -> (
    None
):
    engine = Engine(max_batch=16)
    engine.add(
        window(1, FINAL, 7, utterance=0),
        window(2, PARTIAL, 7, utterance=1),
        window(3, PARTIAL, 8, utterance=2),
        window(4, PARTIAL),
        window(5, PARTIAL),
        window(6, FINAL, 7, utterance=0),
        window(7, PARTIAL, 7, utterance=2),
    )
    assert sorted(number for batch in engine.run() for number in batch) == list(range(1, 8))


def test_equal_windows_are_one_job_as_urgent_as_the_most_urgent_of_them() -> None:
    engine = Engine()
    engine.add(window(1, PARTIAL, 1), window(2, EARLY, 2))
    engine.schedule.add(window(1, FINAL, 1), bytes([1]), nobody)
    step = engine.step()
    assert isinstance(step, Encode)
    assert numbers(step) == [1]
    assert waiters(step.job) == 2


def test_an_equal_window_joins_the_one_that_is_being_decoded() -> None:
    engine = Engine()
    engine.add(window(1, EARLY, 1))
    engine.report(engine.step() or nothing())
    decoding = engine.step()
    assert isinstance(decoding, Decode)
    engine.schedule.add(window(1, FINAL, 1), bytes([1]), nobody)
    assert waiters(decoding.jobs[0]) == 2
    assert engine.step() is None


def test_a_window_that_cannot_be_encoded_is_over() -> None:
    engine = Engine()
    engine.add(window(1))
    step = engine.step()
    assert isinstance(step, Encode)
    engine.schedule.failed(step.job)
    assert engine.schedule.is_empty


def decode_partial(engine: Engine, number: int) -> Decode:
    """A worker decodes one partial, of a stream that has shown something."""
    engine.has_shown(number)
    engine.add(window(number, PARTIAL, number))
    engine.report(engine.step() or nothing())
    step = engine.step()
    assert isinstance(step, Decode)
    return step


def joined(engine: Engine, step: Decode) -> list[int]:
    return [job.request.prompt[0] for job in engine.schedule.joining(step)]


def test_partials_join_those_that_are_being_decoded() -> None:
    engine = Engine(max_batch=3, few=2)
    engine.has_shown(2, 3, 4)
    decoding = decode_partial(engine, 1)
    for number in (2, 3, 4):
        engine.add(window(number, PARTIAL, number))
        engine.report(engine.step() or nothing())
    assert joined(engine, decoding) == [2, 3]
    assert numbers(decoding) == [1, 2, 3]
    engine.schedule.finished(decoding, decoding.jobs[0])
    assert joined(engine, decoding) == [4]


def test_what_is_urgent_is_decoded_apart_by_a_free_worker_or_between_two_steps() -> None:
    for is_free in (True, False):
        engine = Engine(few=2)
        decoding = decode_partial(engine, 1)
        engine.add(window(2, FINAL, 2))
        engine.report(engine.step() or nothing())
        schedule = engine.schedule
        step = engine.step() if is_free else schedule.between_steps(decoding)
        assert isinstance(step, Decode)
        assert numbers(step) == [2]
        assert joined(engine, decoding) == []


def test_an_utterances_first_partial_is_decoded_by_a_free_worker_or_joins() -> None:
    for is_free in (True, False):
        engine = Engine(few=2)
        decoding = decode_partial(engine, 1)
        engine.add(window(2, PARTIAL, 2))
        engine.report(engine.step() or nothing())
        if is_free:
            assert numbers(engine.step()) == [2]
        else:
            assert joined(engine, decoding) == [2]


def test_while_many_wait_all_join_but_the_finals_that_a_free_worker_takes() -> None:
    engine = Engine(max_batch=8, few=2)
    engine.has_shown(3, 4, 5)
    decoding = decode_partial(engine, 1)
    engine.add(window(2, EARLY, 2))
    engine.report(engine.step() or nothing())
    engine.add(*(window(number, PARTIAL, number) for number in (3, 4)))
    assert engine.schedule.between_steps(decoding) is None
    engine.add(window(5, FINAL, 6))
    engine.report(engine.step() or nothing())
    assert numbers(engine.step()) == [5]
    assert joined(engine, decoding) == [2]


def test_one_thing_is_done_between_two_steps_what_is_urgent_first() -> None:
    engine = Engine(few=4)
    engine.has_shown(2)
    decoding = decode_partial(engine, 1)
    engine.add(window(2, PARTIAL, 2), window(3, FINAL, 3))
    for number in (3, 2):
        step = engine.schedule.between_steps(decoding)
        assert isinstance(step, Encode)
        assert numbers(step) == [number]
        engine.report(step)
        if number == 3:
            step = engine.schedule.between_steps(decoding)
            assert isinstance(step, Decode)
            assert numbers(step) == [3]
    assert engine.schedule.between_steps(decoding) is None


def test_partials_that_are_decoded_with_enough_others_or_are_urgent_are_not_put_off() -> None:
    engine = Engine(few=2)
    engine.has_shown(2, 3)
    decoding = decode_partial(engine, 1)
    engine.add(window(2, PARTIAL, 2))
    engine.report(engine.step() or nothing())
    assert joined(engine, decoding) == [2]
    engine.add(window(3, PARTIAL, 3))
    assert engine.schedule.between_steps(decoding) is None

    engine = Engine(few=2)
    engine.add(window(1, PARTIAL, 1))
    engine.report(engine.step() or nothing())
    first = engine.step()
    assert isinstance(first, Decode)
    engine.has_shown(3)
    engine.add(window(3, PARTIAL, 3))
    assert engine.schedule.between_steps(first) is None


def test_nothing_is_done_between_the_steps_of_a_final() -> None:
    engine = Engine(few=2)
    engine.has_shown(2)
    engine.add(window(1, FINAL, 1))
    engine.report(engine.step() or nothing())
    decoding = engine.step()
    assert isinstance(decoding, Decode)
    engine.add(window(2, PARTIAL, 2), window(3, FINAL, 3))
    assert engine.schedule.between_steps(decoding) is None
    engine.report(engine.step() or nothing())
    assert joined(engine, decoding) == []


def test_what_is_decoded_between_two_steps_is_not_joined_and_does_nothing_in_between() -> None:
    engine = Engine(max_batch=8, few=2)
    engine.has_shown(3, 4, 5)
    decoding = decode_partial(engine, 1)
    engine.add(window(2, FINAL, 2))
    engine.report(engine.step() or nothing())
    apart = engine.schedule.between_steps(decoding)
    assert isinstance(apart, Decode)
    engine.add(window(3, PARTIAL, 3))
    engine.report(engine.step() or nothing())
    engine.add(window(4, PARTIAL, 4), window(5, PARTIAL, 5), window(6, FINAL, 6))
    assert joined(engine, apart) == []
    assert engine.schedule.between_steps(apart) is None
    engine.report(apart)
    assert joined(engine, decoding) == [3]


def test_while_partials_stand_still_a_free_worker_decodes_others() -> None:
    engine = Engine(max_batch=8, few=2)
    engine.has_shown(3)
    decoding = decode_partial(engine, 1)
    engine.add(window(2, FINAL, 2))
    engine.report(engine.step() or nothing())
    assert isinstance(engine.schedule.between_steps(decoding), Decode)
    engine.add(window(3, PARTIAL, 3))
    engine.report(engine.step() or nothing())
    assert numbers(engine.step()) == [3]


def test_a_full_batch_gives_way_to_finals_even_while_many_wait() -> None:
    engine = Engine(max_batch=1, few=1)
    engine.has_shown(3)
    decoding = decode_partial(engine, 1)
    engine.add(window(2, FINAL, 2))
    engine.report(engine.step() or nothing())
    engine.add(window(3, PARTIAL, 3))
    step = engine.schedule.between_steps(decoding)
    assert isinstance(step, Decode)
    assert numbers(step) == [2]


class Worker:
    """What a thread is doing: a step, and inside of it what it does between two of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._doing: list[Encode | Decode] = []

    def go_on(self) -> list[Job]:
        """One thing; who is answered by it."""
        schedule = self._engine.schedule
        if not self._doing:
            step = self._engine.step()
            self._doing += [step] if step is not None else []
            return []
        step = self._doing[-1]
        if isinstance(step, Encode):
            self._engine.report(step)
            self._end(step)
            return []
        job = step.jobs[0]
        schedule.finished(step, job)
        if not step.jobs:
            schedule.decoded(step)
            self._end(step)
        elif (first := schedule.between_steps(step)) is not None:
            self._doing.append(first)
        else:
            schedule.joining(step)
        return [job]

    @property
    def depth(self) -> int:
        return len(self._doing)

    def _end(self, step: Encode | Decode) -> None:
        self._doing.remove(step)
        if self._doing and isinstance(outer := self._doing[-1], Decode):
            self._engine.schedule.joining(outer)


@pytest.mark.parametrize("few", [0, 2])
@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Purpose)), st.integers(0, 3), st.integers(0, 2), st.integers(0, 9)
        ),
        max_size=40,
    ),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_everybody_is_answered_once_whatever_the_workers_do(
    few: int,
    windows: list[tuple[Purpose, int, int, int]],
    workers: int,
    chance: random.Random,
) -> None:
    engine = Engine(max_batch=3, workers=workers, few=few)
    threads = [Worker(engine) for _ in range(workers)]
    answered: list[int] = []
    todo = list(enumerate(windows))
    idle = 0
    while todo or not engine.schedule.is_empty:
        if todo and chance.random() < 0.5:
            index, (purpose, stream, utterance, key) = todo.pop(0)
            request = window(key, purpose, stream, utterance)
            place = bytes([key, purpose, stream, utterance])
            engine.schedule.add(request, place, lambda _, index=index: answered.append(index))  # type: ignore[misc]
        for thread in chance.sample(threads, workers):
            for job in thread.go_on():
                for tell in job.waiters + job.riders:
                    tell(Answer([]))
            assert thread.depth <= 2
        idle = 0 if any(thread.depth for thread in threads) or todo else idle + 1
        assert idle < 3, "workers do nothing while windows wait"
    assert sorted(answered) == list(range(len(windows)))


def nothing() -> Encode:
    raise AssertionError("there was nothing to do")
