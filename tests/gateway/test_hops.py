"""Re-blocking into hops, and how long they are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hops import HopBlocker, hop_ms_for
from pipeline.audio import MAX_HOP_SAMPLES, VAD_FRAME_MS, ms_to_samples

HOP = 512


def pcm(samples: int, first: int = 0) -> bytes:
    return b"".join(i.to_bytes(2, "little") for i in range(first, first + samples))


@given(
    st.lists(st.integers(0, 3 * HOP), max_size=12),
    st.lists(st.sampled_from([HOP, 2 * HOP, 4 * HOP]), min_size=1, max_size=4),
)
def test_hops_are_in_order_and_of_the_size_asked_for_whatever_comes_in(
    packets: list[int], sizes: list[int]
) -> None:
    asked: list[int] = []

    def next_size() -> int:
        asked.append(sizes[len(asked) % len(sizes)])
        return asked[-1]

    blocker, hops, start = HopBlocker(next_size), [], 0
    for samples in packets:
        hops += blocker.push(pcm(samples, start))
        start += samples
    assert [len(hop) // 2 for hop in hops] == asked[: len(hops)]
    hops += blocker.flush()
    assert len(hops) == len(asked)
    assert b"".join(hops) == pcm(start)
    assert blocker.flush() == []


def test_the_size_is_asked_for_when_a_hop_is_begun_and_not_before() -> None:
    sizes = [1]
    blocker = HopBlocker(lambda: sizes[0])
    assert blocker.push(pcm(1)) == [pcm(1)]
    sizes[0] = 3
    assert blocker.push(pcm(2)) == []
    sizes[0] = 1
    assert blocker.push(pcm(2, 2)) == [pcm(3), pcm(1, 3)]


def test_after_a_flush_a_new_hop_is_begun() -> None:
    blocker = HopBlocker(lambda: 4)
    blocker.push(pcm(3))
    assert blocker.flush() == [pcm(3)]
    assert blocker.push(pcm(5)) == [pcm(4)]


def test_more_streams_never_have_shorter_hops() -> None:
    lengths = [hop_ms_for(streams, is_ahead=False) for streams in range(1, 40)]
    assert all(a <= b for a, b in pairwise(lengths))
    assert lengths[0] == VAD_FRAME_MS
    assert lengths[0] < lengths[-1] == hop_ms_for(1, is_ahead=True)


@pytest.mark.parametrize("streams", [1, 2, 3, 4, 5, 20, 21, 1000])
def test_every_hop_is_of_whole_frames_and_no_longer_than_the_pipeline_takes(streams: int) -> None:
    for is_ahead in (False, True):
        hop_ms = hop_ms_for(streams, is_ahead)
        assert hop_ms % VAD_FRAME_MS == 0
        assert ms_to_samples(hop_ms) <= MAX_HOP_SAMPLES
