"""What holds for every stream and every policy, whatever the hops."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, VAD_FRAME_SAMPLES
from pipeline.endpointing import Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import MIN_VOICED_FRAMES, Window
from tests.pipeline.endpointing import (
    CLEAR_RUNS,
    SECOND,
    SILENCE,
    SPEECH,
    Scored,
    answer_to,
    end_of_audio,
    finals,
    give,
    hop_sizes,
    pieces,
    policies,
    scored,
    streams,
    voiced_frames,
    windows,
)

every = settings(deadline=None, max_examples=200)


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes)
def test_finals_and_segments_do_not_depend_on_the_sizes_of_hops(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    at_once = pieces(policy, stream)
    assert pieces(policy, stream, hops) == at_once
    assert pieces(policy, stream, [1] * len(stream.probabilities)) == at_once


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes)
def test_utterances_are_counted_without_gaps_and_windows_too(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    found = windows(policy, stream, hops)
    assert [window.number for window in found] == list(range(1, len(found) + 1))
    assert [w.utterance for w in found if w.final] == list(range(sum(w.final for w in found)))
    for before, after in pairwise(found):
        assert after.utterance == before.utterance + before.final


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes)
def test_times_never_go_backwards_and_utterances_do_not_overlap(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    found = windows(policy, stream, hops)
    assert all(window.start < window.end for window in found)
    for before, after in pairwise(found):
        if before.final or before.segment:
            assert after.start >= before.end
        else:
            assert after.start == before.start
        if not before.final:
            assert after.utterance_start == before.utterance_start


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes, st.integers(0, 10**12))
def test_a_windows_audio_is_the_streams_and_holds_its_times(
    policy: EndpointingPolicy, stream: Scored, hops: list[int], start_sample: int
) -> None:
    for window in windows(policy, stream, hops, start_sample):
        first = (window.audio_start - start_sample) * SAMPLE_BYTES
        assert window.audio == stream.audio[first : first + len(window.audio)]
        assert window.audio_start <= window.start
        assert window.end <= end_of_audio(window)


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes)
def test_no_window_is_longer_than_its_maximum(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    for window in windows(policy, stream, hops):
        assert len(window.audio) <= policy.max_window * SAMPLE_BYTES


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes)
def test_what_is_told_of_a_window_is_true_of_its_frames(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    for window in windows(policy, stream, hops):
        inside = stream.probabilities[
            window.start // VAD_FRAME_SAMPLES : -(-window.end // VAD_FRAME_SAMPLES)
        ]
        voiced = sum(probability >= policy.threshold for probability in inside)
        assert window.voiced <= voiced * VAD_FRAME_SAMPLES
        assert window.voiced > 0
        assert 0 <= window.speech_probability <= 1


@every
@given(
    streams(CLEAR_RUNS),
    st.integers(VAD_FRAME_SAMPLES, SAMPLE_RATE // 3),
    st.integers(0, SAMPLE_RATE),
    st.integers(SAMPLE_RATE, 4 * SAMPLE_RATE),
)
def test_every_voiced_frame_lies_in_a_final_unless_it_is_a_click(
    stream: Scored, min_silence: int, speech_pad: int, max_window: int
) -> None:
    policy = EndpointingPolicy(0.5, min_silence, speech_pad, max_window)
    found = finals(policy, stream)
    lost: list[int] = []
    for frame in voiced_frames(policy, stream):
        position = frame * VAD_FRAME_SAMPLES
        if any(w.start <= position and position + VAD_FRAME_SAMPLES <= w.end for w in found):
            continue
        if lost and (frame - lost[-1] - 1) * VAD_FRAME_SAMPLES >= min_silence:
            lost = []
        if any(lost and lost[-1] < w.end // VAD_FRAME_SAMPLES <= frame for w in found):
            lost = []
        lost.append(frame)
        assert len(lost) < MIN_VOICED_FRAMES


@every
@given(policies(partials=True), streams(), hop_sizes)
def test_closing_at_once_leaves_the_same_frames_inside_finals(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    endpointer = Endpointer(policy)
    give(endpointer, stream, 0, len(stream.probabilities))
    closing = endpointer.close(stream.tail)
    expected = finals(policy, stream, hops)
    if closing is None:
        assert not expected
        return
    assert (closing.start, closing.end) == (expected[0].start, expected[-1].end)
    assert closing.voiced == sum(final.voiced for final in expected)
    first = closing.audio_start * SAMPLE_BYTES
    assert closing.audio == stream.audio[first : end_of_audio(expected[-1]) * SAMPLE_BYTES]
    assert closing.speech_probability == pytest.approx(
        sum(f.speech_probability * f.voiced for f in expected) / closing.voiced
    )


@every
@given(policies(partials=True, segments=True), streams(), st.integers(0, 40), st.data())
def test_a_stream_that_is_resumed_behind_a_final_goes_on_as_if_it_had_never_stopped(
    policy: EndpointingPolicy, stream: Scored, warm_up: int, data: st.DataObject
) -> None:
    """Whatever else is heard again before that, and however much of it."""
    every_frame = [1] * len(stream.probabilities)
    whole = pieces(policy, stream, every_frame)
    finals_before_the_end = [i for i, window in enumerate(whole[:-1]) if window.final]
    if not finals_before_the_end:
        return
    chosen = data.draw(st.sampled_from(finals_before_the_end))
    final = whole[chosen]
    rest = resumed(policy, stream, warm_up, final.goes_on_at, final.end)
    assert rest == [timeless(w) for w in whole[chosen + 1 :]]


@every
@given(policies(partials=True, segments=True), streams(), hop_sizes, st.integers(0, 40), st.data())
def test_a_stream_that_is_resumed_behind_any_hop_makes_its_open_utterance_and_what_follows(
    policy: EndpointingPolicy, stream: Scored, hops: list[int], warm_up: int, data: st.DataObject
) -> None:
    """Whether or not somebody speaks there, and whatever waits to be looked at or answered."""
    whole = pieces(policy, stream)
    endpointer, first, finals_before = Endpointer(policy), 0, 0
    for count in hops[: data.draw(st.integers(0, len(hops)))]:
        give(endpointer, stream, first, first + count)
        first += count
        window = endpointer.next_window()
        if window is not None:
            finals_before += window.final
            if data.draw(st.booleans()):
                answer_to(endpointer, window)
    rest = resumed(policy, stream, warm_up, *endpointer.resume_at())
    assert rest == [timeless(window) for window in whole if window.utterance >= finals_before]


def test_what_is_final_does_not_lead_in_to_the_speech_behind_a_short_silence() -> None:
    policy = EndpointingPolicy(min_silence=2 * VAD_FRAME_SAMPLES)
    stream = scored((SPEECH, 20), (SILENCE, 3), (SPEECH, 20))
    endpointer = Endpointer(policy)
    give(endpointer, stream, 0, 23)
    final = endpointer.next_window()
    assert final is not None
    listen_from, settled_until = endpointer.resume_at()
    (rest,) = resumed(policy, stream, 0, listen_from, settled_until)
    assert rest.audio_start == final.end


def resumed(
    policy: EndpointingPolicy, stream: Scored, warm_up: int, listen_from: int, settled_until: int
) -> list[Window]:
    """Finals and segments of a stream that is heard again from some frames before a position."""
    first = max(0, listen_from // VAD_FRAME_SAMPLES - 2 * SECOND - warm_up)
    start = first * VAD_FRAME_SAMPLES
    endpointer = Endpointer(policy, start, listen_from, settled_until)
    found = []
    for frame in range(first, len(stream.probabilities)):
        give(endpointer, stream, frame, frame + 1)
        while (window := endpointer.next_window()) is not None:
            found.append(window)
            answer_to(endpointer, window)
    closing = endpointer.close(stream.tail)
    found += [] if closing is None else [closing]
    return [timeless(window) for window in found if window.final or window.segment]


def timeless(window: Window) -> Window:
    """A window without its place among the windows of its sequence."""
    return replace(window, number=0, utterance=0)
