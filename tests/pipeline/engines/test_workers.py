"""The engine's threads: what waits is decoded together, and one window's error is its own."""

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.engines.request import (
    Answer,
    Decoded,
    Encoded,
    EngineRequest,
    Hypothesis,
    Place,
    Purpose,
)
from pipeline.engines.schedule import Batching, Joining
from pipeline.engines.workers import EngineWorkers

LIMIT_S = 10
MAX_BATCH = 8
SPOILED = 99
UNREADABLE = 98


class GatedEngine:
    """Echoes prompts. Its first batch waits for the gate, so that later windows gather."""

    batching = Batching(most=MAX_BATCH)

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()

    def encode(self, request: EngineRequest) -> Encoded:
        if request.prompt == [UNREADABLE]:
            raise ValueError("unreadable")
        return Encoded(request, np.zeros((1, 8), np.float32), Hypothesis([], []))

    def decode(self, windows: Sequence[Encoded], joining: Joining) -> Iterator[Decoded]:
        prompts = [window.request.prompt[0] for window in windows]
        self.batches.append(prompts)
        self.entered.set()
        assert self.gate.wait(LIMIT_S)
        if SPOILED in prompts:
            raise ValueError("spoiled")
        for i, prompt in enumerate(prompts):
            yield i, [Hypothesis([prompt], [0.0])]


class SteppingEngine(GatedEngine):
    """Decodes one window in each step, between which it waits for the gate and lets others join."""

    batching = Batching(most=MAX_BATCH, few=2)

    def decode(self, windows: Sequence[Encoded], joining: Joining) -> Iterator[Decoded]:
        left = [*windows]
        for i in itertools.count():
            prompts = [window.request.prompt[0] for window in left[i:]]
            self.batches.append(prompts)
            if SPOILED in prompts:
                raise ValueError("spoiled")
            yield i, [Hypothesis(left[i].request.prompt, [0.0])]
            if i + 1 == len(left):
                return
            self.entered.set()
            assert self.gate.wait(LIMIT_S)
            left += joining()


class Answers:
    """What came back, in the order in which it came."""

    def __init__(self) -> None:
        self.received: list[tuple[int, Answer | Exception]] = []
        self._changed = threading.Condition()

    def callback(self, number: int) -> Callable[[Answer | Exception], None]:
        def done(result: Answer | Exception) -> None:
            with self._changed:
                self.received.append((number, result))
                self._changed.notify_all()

        return done

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, LIMIT_S)

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.received]


def request(number: int, place: Place | None = None) -> EngineRequest:
    """A final, of no stream unless said otherwise."""
    return EngineRequest(np.zeros((2, 80), np.float16), [number], 10, place=place or Place())


def key(number: int) -> bytes:
    return bytes([number])


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def worker(engine: GatedEngine) -> Iterator[EngineWorkers]:
    """One thread, stopped after the test."""
    workers = EngineWorkers(engine, 1, MAX_BATCH)
    yield workers
    engine.gate.set()
    workers.stop()


def submit_behind_the_first(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers, numbers: Sequence[int]
) -> None:
    """Submit window 0, and while it is being decoded the others."""
    worker.submit(request(0), key(0), answers.callback(0))
    assert engine.entered.wait(LIMIT_S)
    for number in numbers:
        worker.submit(request(number), key(number), answers.callback(number))
    engine.gate.set()
    answers.wait_for(1 + len(numbers))


def test_each_window_gets_its_own_answer(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers
) -> None:
    submit_behind_the_first(worker, engine, answers, range(1, 6))
    for number, result in answers.received:
        assert isinstance(result, Answer)
        assert result.beams[0].tokens == [number]


def test_windows_that_wait_are_decoded_together_in_their_order(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers
) -> None:
    submit_behind_the_first(worker, engine, answers, range(1, 6))
    assert engine.batches == [[0], [1, 2, 3, 4, 5]]
    assert answers.numbers == list(range(6))


def test_a_batch_has_a_largest_size(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers
) -> None:
    submit_behind_the_first(worker, engine, answers, range(1, 2 * MAX_BATCH))
    assert [len(batch) for batch in engine.batches] == [1, MAX_BATCH, MAX_BATCH - 1]


def test_the_error_of_one_window_does_not_spoil_the_others(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers
) -> None:
    submit_behind_the_first(worker, engine, answers, [1, SPOILED, 3])
    results = dict(answers.received)
    assert isinstance(results[SPOILED], ValueError)
    assert [result for number, result in results.items() if number != SPOILED] == [
        Answer([Hypothesis([number], [0.0])]) for number in (0, 1, 3)
    ]
    assert len(answers.received) == 4


def test_a_window_that_cannot_be_encoded_gets_the_error(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers
) -> None:
    submit_behind_the_first(worker, engine, answers, [1, UNREADABLE, 3])
    results = dict(answers.received)
    assert isinstance(results[UNREADABLE], ValueError)
    assert len(answers.received) == 4
    assert engine.batches == [[0], [1, 3]]


def test_a_superseded_partial_gets_the_newer_windows_answer_after_it(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers
) -> None:
    worker.submit(request(0), key(0), answers.callback(0))
    assert engine.entered.wait(LIMIT_S)
    worker.submit(request(1, Place(7, 0, Purpose.PARTIAL)), key(1), answers.callback(1))
    worker.submit(request(2, Place(7, 0, Purpose.FINAL)), key(2), answers.callback(2))
    engine.gate.set()
    answers.wait_for(3)
    beams = [Hypothesis([2], [0.0])]
    assert answers.received[1:] == [(2, Answer(beams)), (1, Answer(beams, superseded=True))]
    assert engine.batches == [[0], [2]]


def final(stream: int) -> EngineRequest:
    """Of utterance 0 of a stream."""
    return request(stream, Place(stream))


def partial(stream: int) -> EngineRequest:
    """Of utterance 0 of a stream; its number is 10 higher."""
    return request(10 + stream, Place(stream, 0, Purpose.PARTIAL))


@pytest.fixture
def stepping(
    answers: Answers, request: pytest.FixtureRequest
) -> Iterator[tuple[EngineWorkers, SteppingEngine]]:
    """One thread, which has decoded the first of partials 11, 12 and 13 and waits for the gate.
    Utterance 0 of streams 1 to 4 has shown something before. A parameter says whether windows may
    join.
    """
    engine = SteppingEngine()
    worker = EngineWorkers(engine, 1, MAX_BATCH, in_flight=getattr(request, "param", True))
    engine.gate.set()
    for stream in (1, 2, 3, 4):
        worker.submit(final(stream), key(stream), answers.callback(stream))
    answers.wait_for(4)
    engine.gate.clear()
    engine.entered.clear()
    with worker._changed:  # all come at once, so that they are decoded together
        for stream in (1, 2, 3):
            number = 10 + stream
            worker._schedule.add(partial(stream), key(number), answers.callback(number))
        worker._changed.notify()
    assert engine.entered.wait(LIMIT_S)
    del answers.received[:4]
    engine.batches.clear()
    yield worker, engine
    engine.gate.set()
    worker.stop()


@pytest.mark.usefixtures("stepping")
def test_a_window_is_answered_as_soon_as_its_text_is_known(answers: Answers) -> None:
    assert answers.numbers == [11]


def test_partials_join_those_that_are_being_decoded(
    stepping: tuple[EngineWorkers, SteppingEngine], answers: Answers
) -> None:
    worker, engine = stepping
    worker.submit(partial(4), key(14), answers.callback(14))
    engine.gate.set()
    answers.wait_for(4)
    assert answers.numbers == [11, 12, 13, 14]
    assert engine.batches == [[12, 13], [13, 14], [14]]  # steps of one batch


@pytest.mark.parametrize("stepping", [False], indirect=True)
def test_where_nothing_may_join_nothing_is_done_between_two_steps(
    stepping: tuple[EngineWorkers, SteppingEngine], answers: Answers
) -> None:
    worker, engine = stepping
    worker.submit(partial(4), key(14), answers.callback(14))
    worker.submit(request(20, Place(9)), key(20), answers.callback(20))
    engine.gate.set()
    answers.wait_for(5)
    assert answers.numbers == [11, 12, 13, 20, 14]
    assert engine.batches == [[12, 13], [13], [20], [14]]


def test_what_is_urgent_is_done_between_two_steps_of_partials(
    stepping: tuple[EngineWorkers, SteppingEngine], answers: Answers
) -> None:
    """It is encoded before one step and decoded before the next."""
    worker, engine = stepping
    worker.submit(request(20, Place(9)), key(20), answers.callback(20))
    engine.gate.set()
    answers.wait_for(4)
    assert answers.numbers == [11, 12, 20, 13]
    assert engine.batches == [[12, 13], [20], [13]]


def test_a_window_that_joins_and_fails_does_not_spoil_the_others(
    stepping: tuple[EngineWorkers, SteppingEngine], answers: Answers
) -> None:
    worker, engine = stepping
    spoiled = request(SPOILED, Place(4, 0, Purpose.PARTIAL))
    worker.submit(spoiled, key(SPOILED), answers.callback(SPOILED))
    engine.gate.set()
    answers.wait_for(4)
    results = dict(answers.received)
    assert isinstance(results[SPOILED], ValueError)
    assert results[12] == Answer([Hypothesis([12], [0.0])])
    assert results[13] == Answer([Hypothesis([13], [0.0])])


def test_a_batch_that_others_join_keeps_nothing_of_those_that_are_over(answers: Answers) -> None:
    """Each window is megabytes, and under load a batch may never be empty."""
    encoded: list[weakref.ref[Any]] = []
    alive: list[int] = []

    class Watched(SteppingEngine):
        batching = Batching(most=2, few=2)

        def encode(self, request: EngineRequest) -> Encoded:
            window = super().encode(request)
            encoded.append(weakref.ref(window.states))
            return window

        def decode(self, windows: Sequence[Encoded], joining: Joining) -> Iterator[Decoded]:
            prompts = [window.request.prompt for window in windows]
            del windows
            for i in itertools.count():
                yield i, [Hypothesis(prompts[i], [0.0])]
                alive.append(sum(states() is not None for states in encoded))
                prompts += [window.request.prompt for window in joining()]
                if i + 1 == len(prompts):
                    return

    worker = EngineWorkers(Watched(), 1)
    count = 40
    with worker._changed:
        for number in range(count):
            place = Place(number + 1, 0, Purpose.PARTIAL)
            worker._schedule.add(request(number, place), key(number), answers.callback(number))
        worker._changed.notify()
    answers.wait_for(count)
    worker.stop()
    assert len(alive) == count
    assert max(alive) <= 6


def test_an_answer_that_cannot_be_delivered_does_not_end_the_thread(
    worker: EngineWorkers, engine: GatedEngine, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    def undeliverable(result: Answer | Exception) -> None:
        raise ConnectionError("the client has gone")

    engine.gate.set()
    worker.submit(request(1), key(1), undeliverable)
    worker.submit(request(2), key(2), answers.callback(2))
    answers.wait_for(1)
    assert answers.numbers == [2]
    assert "the client has gone" in caplog.text


@pytest.mark.parametrize("count", [1, 3])
def test_stopping_decodes_what_waits_and_ends_the_threads(count: int, answers: Answers) -> None:
    engine = GatedEngine()
    workers = EngineWorkers(engine, count, MAX_BATCH)
    for number in range(20):
        workers.submit(request(number), key(number), answers.callback(number))
    engine.gate.set()
    before = set(threading.enumerate())
    workers.stop()
    assert sorted(answers.numbers) == list(range(20))
    assert not any(t.name.startswith("engine-") for t in before & set(threading.enumerate()))
