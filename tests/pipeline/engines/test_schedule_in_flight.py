"""Partials that join those under way, and what is done between two steps of a decoder."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.request import Answer, Purpose
from pipeline.engines.schedule import Decode, Encode, Job
from tests.pipeline.engines.scheduling import (
    EARLY,
    FINAL,
    PARTIAL,
    Engine,
    numbers,
    window,
)


def decode_partial(engine: Engine, number: int) -> Decode:
    """A worker decodes one partial, of a stream that has shown something."""
    engine.has_shown(number)
    engine.encode(window(number, PARTIAL, number))
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
        engine.encode(window(number, PARTIAL, number))
    assert joined(engine, decoding) == [2, 3]
    assert numbers(decoding) == [1, 2, 3]
    engine.schedule.finished(decoding, decoding.jobs[0])
    assert joined(engine, decoding) == [4]


def test_what_is_urgent_is_decoded_apart_by_a_free_worker_or_between_two_steps() -> None:
    for is_free in (True, False):
        engine = Engine(few=2)
        decoding = decode_partial(engine, 1)
        engine.encode(window(2, FINAL, 2))
        schedule = engine.schedule
        step = engine.step() if is_free else schedule.between_steps(decoding)
        assert isinstance(step, Decode)
        assert numbers(step) == [2]
        assert joined(engine, decoding) == []


def test_an_utterances_first_partial_is_decoded_by_a_free_worker_or_joins() -> None:
    for is_free in (True, False):
        engine = Engine(few=2)
        decoding = decode_partial(engine, 1)
        engine.encode(window(2, PARTIAL, 2))
        if is_free:
            assert numbers(engine.step()) == [2]
        else:
            assert joined(engine, decoding) == [2]


def test_while_many_wait_all_join_but_the_finals_that_a_free_worker_takes() -> None:
    engine = Engine(max_batch=8, few=2)
    engine.has_shown(3, 4, 5)
    decoding = decode_partial(engine, 1)
    engine.encode(window(2, EARLY, 2))
    engine.add(*(window(number, PARTIAL, number) for number in (3, 4)))
    assert engine.schedule.between_steps(decoding) is None
    engine.encode(window(5, FINAL, 6))
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
    engine.encode(window(2, PARTIAL, 2))
    assert joined(engine, decoding) == [2]
    engine.add(window(3, PARTIAL, 3))
    assert engine.schedule.between_steps(decoding) is None

    engine = Engine(few=2)
    engine.encode(window(1, PARTIAL, 1))
    first = engine.step()
    assert isinstance(first, Decode)
    engine.has_shown(3)
    engine.add(window(3, PARTIAL, 3))
    assert engine.schedule.between_steps(first) is None


def test_nothing_is_done_between_the_steps_of_a_final() -> None:
    engine = Engine(few=2)
    engine.has_shown(2)
    engine.encode(window(1, FINAL, 1))
    decoding = engine.step()
    assert isinstance(decoding, Decode)
    engine.add(window(2, PARTIAL, 2), window(3, FINAL, 3))
    assert engine.schedule.between_steps(decoding) is None
    engine.encode_next()
    assert joined(engine, decoding) == []


def test_what_is_decoded_between_two_steps_is_not_joined_and_does_nothing_in_between() -> None:
    engine = Engine(max_batch=8, few=2)
    engine.has_shown(3, 4, 5)
    decoding = decode_partial(engine, 1)
    engine.encode(window(2, FINAL, 2))
    apart = engine.schedule.between_steps(decoding)
    assert isinstance(apart, Decode)
    engine.encode(window(3, PARTIAL, 3))
    engine.add(window(4, PARTIAL, 4), window(5, PARTIAL, 5), window(6, FINAL, 6))
    assert joined(engine, apart) == []
    assert engine.schedule.between_steps(apart) is None
    engine.report(apart)
    assert joined(engine, decoding) == [3]


def test_while_partials_stand_still_a_free_worker_decodes_others() -> None:
    engine = Engine(max_batch=8, few=2)
    engine.has_shown(3)
    decoding = decode_partial(engine, 1)
    engine.encode(window(2, FINAL, 2))
    assert isinstance(engine.schedule.between_steps(decoding), Decode)
    engine.encode(window(3, PARTIAL, 3))
    assert numbers(engine.step()) == [3]


def test_a_full_batch_gives_way_to_finals_even_while_many_wait() -> None:
    engine = Engine(max_batch=1, few=1)
    engine.has_shown(3)
    decoding = decode_partial(engine, 1)
    engine.encode(window(2, FINAL, 2))
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
