"""Re-blocking into hops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.hops import HopBlocker

HOP = 512


@given(st.lists(st.integers(0, 3 * HOP), max_size=12))
def test_hops_are_full_and_in_order_whatever_comes_in(sizes: list[int]) -> None:
    samples = np.arange(sum(sizes), dtype=np.int16)
    blocker, hops, start = HopBlocker(HOP), [], 0
    for size in sizes:
        hops += blocker.push(samples[start : start + size])
        start += size
    assert all(len(hop) == HOP for hop in hops)
    hops += blocker.flush()
    assert np.array_equal(np.concatenate([*hops, samples[:0]]), samples)
    assert blocker.flush() == []


def test_a_hop_given_out_is_not_written_again() -> None:
    blocker = HopBlocker(2)
    (first,) = blocker.push(np.array([1, 2], np.int16))
    blocker.push(np.array([3, 4], np.int16))
    assert first.tolist() == [1, 2]
