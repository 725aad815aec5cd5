"""Re-blocking into hops, and how long they are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hops import LONGEST_HOP_MS, MOST_AT_A_TICK, HopBlocker, hop_ms_for, hop_size
from gateway.ticks import Portion
from pipeline.audio import MAX_HOP_SAMPLES, VAD_FRAME_MS, ms_to_samples

HOP = 512


def pcm(samples: int, first: int = 0) -> bytes:
    return b"".join(i.to_bytes(2, "little") for i in range(first, first + samples))


def exactly(samples: int) -> Portion:
    """A size without ticks."""
    return Portion(samples, samples)


@given(
    st.lists(st.integers(0, 3 * HOP), max_size=12),
    st.lists(st.sampled_from([HOP, 2 * HOP, 4 * HOP]), min_size=1, max_size=4),
)
def test_hops_are_in_order_and_of_the_size_asked_for_whatever_comes_in(
    packets: list[int], sizes: list[int]
) -> None:
    asked: list[int] = []

    def next_size() -> Portion:
        asked.append(sizes[len(asked) % len(sizes)])
        return exactly(asked[-1])

    blocker, hops, start = HopBlocker(next_size), [], 0
    for samples in packets:
        hops += blocker.push(pcm(samples, start))
        start += samples
    assert [len(hop) // 2 for hop in hops] == asked[: len(hops)]
    hops += blocker.flush()
    assert len(hops) == len(asked)
    assert b"".join(hops) == pcm(start)
    assert blocker.flush() == []


@given(
    st.lists(st.integers(0, 9 * HOP), max_size=12),
    st.integers(2 * HOP, 4 * HOP),
    st.integers(0, 4 * HOP),
)
def test_with_ticks_hops_are_of_whole_frames_between_least_and_most(
    packets: list[int], least: int, slack: int
) -> None:
    size = Portion(least, -(-least // HOP) * HOP + slack // HOP * HOP, 64)
    blocker, hops, start = HopBlocker(lambda: size), [], 0
    for samples in packets:
        hops += blocker.push(pcm(samples, start))
        hops += blocker.pause()
        start += samples
        rest = start - len(b"".join(hops)) // 2
        wanted = size.at_tick if rest < HOP else size.about
        assert rest < wanted
        assert blocker.missing == Portion(wanted - rest, size.at_once - rest, 64)
    sizes = [len(hop) // 2 for hop in hops]
    assert all(samples % HOP == 0 for samples in sizes)
    assert all(least // HOP * HOP <= samples <= size.at_once for samples in sizes)
    assert b"".join(hops + blocker.flush()) == pcm(start)


@pytest.mark.parametrize(("packet", "hop"), [(160, 8), (512, 8), (5 * 512, 5), (11 * 512, 11)])
def test_what_comes_at_ticks_may_be_short_and_what_trickles_in_makes_hops_of_about_the_length(
    packet: int, hop: int
) -> None:
    blocker, hops = HopBlocker(lambda: Portion(4 * HOP, 12 * HOP, 256)), []
    for _ in range(100):
        hops += blocker.push(pcm(packet))
        hops += blocker.pause()
    assert {len(each) // 2 for each in hops} == {hop * HOP}


def test_a_hop_that_comes_in_slices_of_one_packet_is_one() -> None:
    blocker = HopBlocker(lambda: Portion(4 * HOP, 12 * HOP, 256))
    assert blocker.push(pcm(5 * HOP)) == []
    assert blocker.push(pcm(2 * HOP + 9, 5 * HOP)) == []
    assert blocker.pause() == [pcm(7 * HOP)]
    assert blocker.flush() == [pcm(9, 7 * HOP)]


def test_the_size_is_asked_for_when_a_hop_is_begun_and_not_before() -> None:
    sizes = [1]
    blocker = HopBlocker(lambda: exactly(sizes[0]))
    assert blocker.push(pcm(1)) == [pcm(1)]
    sizes[0] = 3
    assert blocker.push(pcm(2)) == []
    sizes[0] = 1
    assert blocker.push(pcm(2, 2)) == [pcm(3), pcm(1, 3)]


def test_after_a_flush_a_new_hop_is_begun() -> None:
    blocker = HopBlocker(lambda: exactly(4))
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


@pytest.mark.parametrize("hop_ms", range(VAD_FRAME_MS, 2000, VAD_FRAME_MS))
def test_a_hop_is_about_as_long_as_asked_for_and_never_too_long(hop_ms: int) -> None:
    samples = ms_to_samples(hop_ms)
    for streams in (1, 11, 12, 24, 25, 300):
        size = hop_size(hop_ms, streams, is_ahead=False)
        assert size.at_once <= MAX_HOP_SAMPLES
        half = ms_to_samples(size.tick_ms) // 2
        assert size.at_tick == samples - half > 0
        assert size.at_once == min(samples + half, MAX_HOP_SAMPLES)
        assert size.tick_ms <= min(hop_ms, LONGEST_HOP_MS)
        assert hop_size(hop_ms, streams, is_ahead=True) == exactly(samples)


def test_many_streams_have_ticks_and_not_too_many_the_same() -> None:
    def tick_ms(streams: int) -> int:
        return hop_size(hop_ms_for(streams, False), streams, is_ahead=False).tick_ms

    assert [tick_ms(streams) for streams in (1, 8, 11)] == [0, 0, 0]
    assert [tick_ms(streams) for streams in (12, 16, 24, 48, 96)] == [128, 128, 256, 128, 64]
    for streams in range(21, 16 * MOST_AT_A_TICK):
        assert streams * tick_ms(streams) <= MOST_AT_A_TICK * LONGEST_HOP_MS
    assert tick_ms(10_000) >= 8
