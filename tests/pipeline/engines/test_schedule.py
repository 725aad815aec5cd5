"""What an engine's workers are given to do: order, batches, and what costs nothing."""

from pipeline.engines.schedule import Decode, Encode
from tests.pipeline.engines.scheduling import (
    EARLY,
    FINAL,
    PARTIAL,
    Engine,
    nobody,
    nothing,
    numbers,
    waiters,
    window,
)


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
        engine.encode_next()
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
    engine.encode(window(1, PARTIAL, 1))
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
        engine.encode(window(number, PARTIAL, number))
        assert numbers(engine.step()) == [number]
    engine.add(window(3, PARTIAL, 3))
    engine.encode_all()
    assert engine.step() is None


def test_a_full_batch_does_not_wait_for_the_one_that_is_being_decoded() -> None:
    engine = Engine(max_batch=2)
    engine.has_shown(1, 2, 3)
    engine.encode(window(1, PARTIAL, 1))
    assert isinstance(engine.step(), Decode)
    engine.add(window(2, PARTIAL, 2), window(3, PARTIAL, 3))
    for _ in range(2):
        engine.encode_next()
    assert numbers(engine.step()) == [2, 3]


def test_a_final_does_not_wait_for_partials_that_are_being_decoded() -> None:
    engine = Engine()
    engine.encode(window(1, PARTIAL, 1))
    assert isinstance(engine.step(), Decode)
    engine.encode(window(2, FINAL, 2))
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
    engine.encode(window(1, EARLY, 1))
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
