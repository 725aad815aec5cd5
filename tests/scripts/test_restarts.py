"""What fails is started again, ever later, and not too often."""

from scripts.restarts import LONGEST_PAUSE_S, Restarts


def test_the_first_is_at_once_and_the_next_ones_wait_ever_longer() -> None:
    restarts = Restarts(most=7)
    pauses = [restarts.pause_s(float(second)) for second in range(7)]
    assert pauses == [0, 1, 2, 4, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_too_many_are_refused_with_their_number() -> None:
    restarts = Restarts(most=2, within_s=60)
    assert None not in [restarts.pause_s(0), restarts.pause_s(30)]
    assert restarts.pause_s(59) is None
    assert str(restarts) == "2 times in 1 minutes"


def test_those_of_long_ago_do_not_count() -> None:
    restarts = Restarts(most=2, within_s=60)
    for hour in range(24):
        assert restarts.pause_s(3600.0 * hour) == 0
    assert restarts.pause_s(3600 * 23 + 59) == 1


def test_a_refusal_is_no_restart() -> None:
    restarts = Restarts(most=1, within_s=60)
    assert restarts.pause_s(0) == 0
    assert restarts.pause_s(30) is None
    assert restarts.pause_s(60) == 0
