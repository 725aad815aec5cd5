"""When a Triton is asked whether it works, and when it is given up. Time is passed in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.triton_pulse import Counts, Patience, Pulse

PATIENCE = Patience(quiet_s=10, failing_s=2, canary_s=10, canaries=2)


@pytest.fixture
def pulse() -> Pulse:
    """Of a Triton that has transcribed something and failed at something before."""
    pulse = Pulse(PATIENCE, now=0)
    assert not pulse.see(Counts(5, 3), now=0)
    return pulse


def test_a_canary_is_due_when_nothing_is_transcribed(pulse: Pulse) -> None:
    assert not pulse.is_canary_due(9.9)
    assert pulse.is_canary_due(10)


def test_a_triton_that_transcribes_is_not_asked(pulse: Pulse) -> None:
    for second in range(1, 100):
        assert pulse.see(Counts(5 + second, 3), second)
        assert not pulse.is_canary_due(second)


def test_requests_that_fail_make_a_canary_due_soon(pulse: Pulse) -> None:
    pulse.see(Counts(5, 4), now=3)
    assert not pulse.is_canary_due(4.9)
    assert pulse.is_canary_due(5)


def test_requests_that_go_on_failing_do_not_put_the_canary_off(pulse: Pulse) -> None:
    for second in (3, 4, 5):
        pulse.see(Counts(5, 1 + second), now=second)
    assert pulse.is_canary_due(5)


def test_one_canary_that_fails_condemns_nobody(pulse: Pulse) -> None:
    pulse.canary_failed("no answer within 10 s", now=20)
    assert pulse.verdict(20) is None
    assert not pulse.is_canary_due(21.9)
    assert pulse.is_canary_due(22)


def test_the_second_does_and_says_why(pulse: Pulse) -> None:
    pulse.canary_failed("no answer within 10 s", now=20)
    pulse.canary_failed("out of memory", now=32)
    assert pulse.verdict(32) == (
        "has transcribed nothing for 32 s, 2 recordings of our own included (out of memory)"
    )


def test_life_between_two_canaries_that_fail_saves_it(pulse: Pulse) -> None:
    pulse.canary_failed("no answer within 10 s", now=20)
    assert pulse.see(Counts(6, 3), now=21)
    pulse.canary_failed("no answer within 10 s", now=41)
    assert pulse.verdict(41) is None


def test_an_answered_canary_is_life(pulse: Pulse) -> None:
    pulse.canary_failed("no answer within 10 s", now=20)
    pulse.live(now=23)
    pulse.canary_failed("no answer within 10 s", now=43)
    assert pulse.verdict(43) is None


@given(st.lists(st.floats(0.1, 9.9), min_size=1, max_size=60))
def test_however_slow_it_is_a_triton_that_transcribes_is_never_condemned(gaps: list[float]) -> None:
    """Canaries come to nothing all the time, as they do when everybody waits."""
    pulse, now = Pulse(PATIENCE, now=0), 0.0
    pulse.see(Counts(0, 0), now)
    for finished, gap in enumerate(gaps, start=1):
        now += gap
        pulse.canary_failed("no answer within 10 s", now)
        assert pulse.verdict(now) is None
        assert pulse.see(Counts(finished, 0), now)
