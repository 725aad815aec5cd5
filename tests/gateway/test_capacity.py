"""The estimate of how many streams would be served in time."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.capacity import EASY_SHARE, Capacity

settled = st.integers(0, 200)
share = st.none() | st.floats(0, 5)


def test_nothing_known_is_what_the_operator_says() -> None:
    assert Capacity(7).streams(0, None) == 7


def test_the_estimate_has_no_jump_where_the_rule_changes() -> None:
    assert Capacity(1).streams(10, EASY_SHARE) == Capacity(1).streams(10, EASY_SHARE + 1e-9) == 20


@given(settled=st.integers(1, 200), share=st.floats(0, 5), burst=st.integers(1, 50))
def test_it_never_falls_below_what_is_served_and_never_more_than_doubles_it(
    settled: int, share: float, burst: int
) -> None:
    found = Capacity(burst).streams(settled, share)
    assert settled <= found <= max(burst, 2 * settled, settled + 1)


@given(settled=st.integers(1, 200), shares=st.tuples(st.floats(0, 5), st.floats(0, 5)))
def test_later_words_never_mean_more_room(settled: int, shares: tuple[float, float]) -> None:
    less, more = sorted(shares)
    assert Capacity(1).streams(settled, more) <= Capacity(1).streams(settled, less)


@given(st.lists(st.tuples(settled, share), max_size=30))
def test_what_was_proven_is_the_most_since_words_were_last_late(
    history: list[tuple[int, float | None]],
) -> None:
    capacity, proven = Capacity(16), 16
    for streams, late in history:
        capacity.learn(streams, late)
        if streams and late is not None and late > 1:
            proven = min(proven, streams)
        elif late is not None and late <= EASY_SHARE:
            proven = max(proven, streams)
    assert capacity.streams(0, None) == proven >= 1


def test_an_engine_that_slows_down_as_queues_do_is_filled_and_not_overfilled() -> None:
    """Delays of a queue, 0.3 s / (1 - load), 2 s allowed; streams come as fast as they may."""
    full, streams, capacity = 40, 0, Capacity(8)
    for _ in range(12):
        share = None if not streams else 0.3 / (1 - min(streams / full, 0.99)) / 2.0
        capacity.learn(streams, share)
        streams = max(streams, capacity.streams(streams, share))
    within = math.floor(full * (1 - 0.3 / 2.0))
    assert within - 2 <= streams <= full
