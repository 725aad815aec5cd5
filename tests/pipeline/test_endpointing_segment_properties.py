"""What holds for segments whatever the stream, the hops, and the answers to them."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, VAD_FRAME_SAMPLES, WHISPER_WINDOW_SAMPLES
from pipeline.endpointing import Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import MIN_VOICED_FRAMES, Window
from tests.pipeline.endpointing import (
    Scored,
    answer_to,
    finals,
    give,
    kept,
    pieces,
    policies,
    streams,
    voiced_frames,
)

every = settings(deadline=None, max_examples=200)

short_hops = st.lists(st.integers(1, 40), min_size=1, max_size=10)
"""Frames of a stream's hops, over and over; all are within what a hop may hold."""
delays = st.lists(st.integers(0, 200), min_size=1, max_size=10)
"""Frames until a window is answered; less than a segment's patience."""
unlimited = st.builds(
    lambda policy: replace(policy, max_window=WHISPER_WINDOW_SAMPLES), policies(segments=True)
)
"""Policies that let every utterance end in silence."""


class Fate(Enum):
    """What becomes of a segment's window."""

    SETTLED = "settled"
    MISREAD = "answered without a text"
    FAILED = "not answered, unlike a later window"
    LOST = "never answered"


class Client:
    """Sends a stream in hops and answers its windows some frames later, segments by their fate."""

    def __init__(
        self, delay_frames: Sequence[int], fates: Sequence[Fate] = (Fate.SETTLED,)
    ) -> None:
        self.found: list[Window] = []
        self.lost: set[int] = set()
        """Numbers of the segments that were not settled."""
        self._delays, self._fates = cycle(delay_frames), cycle(fates)
        self._unanswered: list[tuple[int, Window]] = []

    def send(self, endpointer: Endpointer, stream: Scored, hop_frames: Sequence[int]) -> None:
        """Send all frames and fetch all windows, without closing."""
        sent, hops = 0, cycle(hop_frames)
        while sent < len(stream.probabilities):
            frames = next(hops)
            give(endpointer, stream, sent, sent + frames)
            sent += frames
            self._fetch(endpointer, sent)
        while self._unanswered:
            self._fetch(endpointer, self._unanswered[0][0])

    def _fetch(self, endpointer: Endpointer, sent: int) -> None:
        due = [window for frame, window in self._unanswered if frame <= sent]
        self._unanswered = [(frame, w) for frame, w in self._unanswered if frame > sent]
        for window in due:
            self._answer(endpointer, window)
        following = endpointer.next_window()
        if following is not None:
            self.found.append(following)
            self._unanswered.append((sent + next(self._delays), following))

    def _answer(self, endpointer: Endpointer, window: Window) -> None:
        fate = next(self._fates) if window.segment else Fate.SETTLED
        if fate is Fate.SETTLED:
            answer_to(endpointer, window)
        else:
            self.lost.add(window.number)
        if fate is Fate.MISREAD:
            endpointer.answered(window.number)
        elif fate is Fate.FAILED:
            endpointer.answered(window.number + 1)


@every
@given(policies(partials=True, segments=True), streams(), short_hops, delays)
def test_segments_and_finals_do_not_depend_on_when_answers_come(
    policy: EndpointingPolicy, stream: Scored, hops: list[int], delay_frames: list[int]
) -> None:
    client, endpointer = Client(delay_frames), Endpointer(policy)
    client.send(endpointer, stream, hops)
    last = endpointer.close(stream.tail)
    found = client.found if last is None else [*client.found, last]
    assert kept(found) == pieces(policy, stream)


@every
@given(unlimited, streams(), short_hops)
def test_utterances_are_the_same_with_and_without_segments(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    whole = finals(replace(policy, segment=None), stream, hops)
    cut = finals(policy, stream, hops)
    assert [(w.utterance, w.utterance_start, w.end) for w in cut] == [
        (w.utterance, w.start, w.end) for w in whole
    ]


@every
@given(
    unlimited,
    streams(),
    short_hops,
    delays,
    st.lists(st.sampled_from(Fate), min_size=1, max_size=6),
)
def test_every_voiced_frame_of_an_utterance_is_in_one_window_whose_text_stays(
    policy: EndpointingPolicy,
    stream: Scored,
    hops: list[int],
    delay_frames: list[int],
    fates: list[Fate],
) -> None:
    client, endpointer = Client(delay_frames, fates), Endpointer(policy)
    client.send(endpointer, stream, hops)
    last = endpointer.close(stream.tail)
    found = client.found if last is None else [*client.found, last]
    staying = [w for w in found if w.final or (w.segment and w.number not in client.lost)]
    whole = finals(replace(policy, segment=None), stream)
    spoken = [f for f in voiced_frames(policy, stream) if any(holds(w, f) for w in whole)]
    assert [sum(holds(w, f) for w in staying) for f in spoken] == [1] * len(spoken)
    if last is not None:
        assert len(last.audio) <= WHISPER_WINDOW_SAMPLES * SAMPLE_BYTES


def holds(window: Window, frame: int) -> bool:
    """Whether a window's speech, not only its audio, contains a frame."""
    position = frame * VAD_FRAME_SAMPLES
    return window.start <= position and position + VAD_FRAME_SAMPLES <= window.end


@every
@given(
    policies(partials=True, segments=True),
    streams(),
    short_hops,
    delays,
    st.lists(st.sampled_from(Fate), min_size=1, max_size=6),
)
def test_lost_segments_make_no_window_too_long_and_none_that_overlaps_a_text_that_stays(
    policy: EndpointingPolicy,
    stream: Scored,
    hops: list[int],
    delay_frames: list[int],
    fates: list[Fate],
) -> None:
    client = Client(delay_frames, fates)
    client.send(Endpointer(policy), stream, hops)
    end = 0
    for window in client.found:
        assert len(window.audio) <= policy.max_window * SAMPLE_BYTES
        assert window.start >= end
        if window.final or (window.segment and window.number not in client.lost):
            end = window.end


@every
@given(unlimited, streams(), short_hops)
def test_no_segment_and_no_final_behind_one_is_a_click(
    policy: EndpointingPolicy, stream: Scored, hops: list[int]
) -> None:
    least = MIN_VOICED_FRAMES * VAD_FRAME_SAMPLES
    assert all(window.voiced >= least for window in pieces(policy, stream, hops))


@every
@given(
    st.lists(st.integers(20, 3 * SAMPLE_RATE // VAD_FRAME_SAMPLES), min_size=1, max_size=8),
    st.integers(2 * SAMPLE_RATE, 10 * SAMPLE_RATE),
)
def test_speech_with_pauses_is_cut_before_a_segment_grows_longer_than_asked(
    stretches: list[int], longest: int
) -> None:
    runs = [run for frames in stretches for run in ((0.9, -20.0, frames), (0.0, -60.0, 8))]
    found = pieces(EndpointingPolicy(segment=longest), Scored([*runs, (0.0, -60.0, 20)]))
    put_off_by_a_pause = (8 + MIN_VOICED_FRAMES) * VAD_FRAME_SAMPLES
    for window in found:
        assert len(window.audio) <= (longest + put_off_by_a_pause) * SAMPLE_BYTES
