"""When a long utterance is cut into segments, how they are waited for, and how they are lost."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, VAD_FRAME_SAMPLES, WHISPER_WINDOW_SAMPLES
from pipeline.endpointing import LEAD_IN_FRAMES, LEAD_OUT_SAMPLES, Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import MIN_VOICED_FRAMES, SEGMENT_PATIENCE_SAMPLES, Window
from tests.pipeline.endpointing import (
    LOUD_DB,
    QUIET_DB,
    SECOND,
    SILENCE,
    SPEECH,
    Run,
    Scored,
    answer_to,
    end_of_audio,
    finals,
    give,
    kept,
    pieces,
    windows,
)

SEGMENT_SAMPLES = 10 * SAMPLE_RATE
GROWN = SEGMENT_SAMPLES // VAD_FRAME_SAMPLES
"""Frames of speech after which an utterance is as long as a segment may be."""
POLICY = EndpointingPolicy(segment=SEGMENT_SAMPLES)
LIVELY = replace(POLICY, partial_interval=SAMPLE_RATE // 2, early_silence=4 * VAD_FRAME_SAMPLES)
WHOLE = replace(POLICY, segment=None)
PAUSE_FRAMES = 8
"""Too short to end an utterance."""
END: Run = (SILENCE, QUIET_DB, 20)
PATIENCE_FRAMES = -(-SEGMENT_PATIENCE_SAMPLES // VAD_FRAME_SAMPLES)


def at(frame: int) -> int:
    return frame * VAD_FRAME_SAMPLES


def talk(*frames: int, end: Run | None = END) -> Scored:
    """Stretches of speech with short pauses between them, and the silence behind them."""
    runs: list[Run] = []
    for count in frames:
        runs += [(SPEECH, LOUD_DB, count), (SILENCE, QUIET_DB, PAUSE_FRAMES)]
    return Scored([*runs[:-1], *([end] if end else [])])


LONG = talk(8 * SECOND, 6 * SECOND)
"""One pause, from frame 248 to 256; it has grown too long at frame 312."""
CUT = 8 * SECOND + PAUSE_FRAMES // 2


def waiting(policy: EndpointingPolicy, stream: Scored, frames: int) -> tuple[Endpointer, Window]:
    """A core that has heard so many frames, one by one, and waits for the segment it has cut.

    What else was due before has been answered.
    """
    endpointer = Endpointer(policy)
    segments = []
    for frame in range(frames):
        give(endpointer, stream, frame, frame + 1)
        while (window := endpointer.next_window()) is not None:
            if window.segment:
                segments.append(window)
            else:
                answer_to(endpointer, window)
    (segment,) = segments
    return endpointer, segment


def go_on(endpointer: Endpointer, stream: Scored, first: int, last: int) -> list[Window]:
    """What comes of these frames, one by one, when nothing is answered."""
    found: list[Window] = []
    for frame in range(first, last):
        give(endpointer, stream, frame, frame + 1)
        found += drained(endpointer)
    return found


def drained(endpointer: Endpointer) -> Iterable[Window]:
    while (window := endpointer.next_window()) is not None:
        yield window


# Where they are cut.


def test_an_utterance_that_outgrows_a_segment_is_cut_in_a_pause_and_goes_on() -> None:
    segment, final = windows(POLICY, LONG)
    assert (segment.segment, segment.final) == (True, False)
    assert (final.segment, final.final) == (False, True)
    assert (segment.start, segment.end) == (0, at(8 * SECOND))
    assert (final.start, final.end) == (at(8 * SECOND + PAUSE_FRAMES), at(14 * SECOND + 8))
    assert segment.utterance == final.utterance == 0
    assert segment.utterance_start == final.utterance_start == 0


def test_the_windows_on_both_sides_of_a_cut_hold_what_leads_in_and_out() -> None:
    segment, final = windows(POLICY, talk(8 * SECOND, 6 * SECOND))
    assert end_of_audio(segment) == segment.end + LEAD_OUT_SAMPLES == at(CUT)
    assert final.audio_start == segment.end > final.start - at(LEAD_IN_FRAMES)


def test_the_pad_widens_segments_up_to_the_cut_and_not_into_each_other() -> None:
    segment, final = windows(replace(POLICY, speech_pad=at(20)), LONG)
    assert segment.end == end_of_audio(segment) == at(CUT)
    assert final.start == final.audio_start == at(CUT)


def test_it_is_cut_with_the_frame_that_makes_it_too_long() -> None:
    endpointer = Endpointer(POLICY)
    assert go_on(endpointer, LONG, 0, GROWN - 1) == []
    (segment,) = go_on(endpointer, LONG, GROWN - 1, GROWN)
    assert segment.segment
    assert endpointer.position == at(GROWN)


def test_a_very_long_utterance_is_cut_again_and_again() -> None:
    *segments, final = windows(POLICY, talk(*[4 * SECOND] * 6))
    assert [window.segment for window in segments] == [True, True]
    assert all(len(window.audio) <= SEGMENT_SAMPLES * SAMPLE_BYTES for window in segments)
    assert final.final
    assert {window.utterance_start for window in [*segments, final]} == {0}


def test_none_are_cut_unless_asked_for() -> None:
    (final,) = windows(WHOLE, LONG)
    assert final.final


def test_none_is_cut_of_an_utterance_that_must_end_no_later() -> None:
    for limit in (SEGMENT_SAMPLES, 9 * SAMPLE_RATE):
        assert not any(w.segment for w in windows(replace(POLICY, max_window=limit), LONG))


def test_none_is_cut_in_silence_that_turns_out_to_be_the_end() -> None:
    (final,) = windows(POLICY, talk(250, 51))  # 10 s are over in the third frame of silence
    assert final.final


def test_a_cut_that_silence_put_off_comes_with_the_next_speech() -> None:
    stream = talk(309, 5 * SECOND)
    segment, _ = windows(POLICY, stream)
    assert segment.end == at(309)
    endpointer, _ = waiting(POLICY, stream, 309 + PAUSE_FRAMES + MIN_VOICED_FRAMES)
    assert endpointer.position == at(309 + PAUSE_FRAMES + MIN_VOICED_FRAMES)


def test_no_cut_leaves_a_click_behind_it() -> None:
    click = MIN_VOICED_FRAMES - 1
    (whole,) = windows(POLICY, talk(309, click))
    assert whole.end == at(309 + PAUSE_FRAMES + click)
    segment, final = windows(POLICY, talk(309, MIN_VOICED_FRAMES))
    assert segment.segment
    assert final.voiced == at(MIN_VOICED_FRAMES)


def test_no_cut_leaves_a_click_before_it() -> None:
    doubtful: Run = (0.4, LOUD_DB, 10 * SECOND)
    stream = Scored([(SPEECH, LOUD_DB, 5), doubtful, (SPEECH, LOUD_DB, 8 * SECOND), END])
    for window in windows(POLICY, stream):
        assert window.voiced >= at(MIN_VOICED_FRAMES)


def test_the_end_of_an_utterance_is_the_same_with_and_without_segments() -> None:
    stream = talk(8 * SECOND, 6 * SECOND, 5 * SECOND)
    (whole,) = finals(WHOLE, stream)
    final = finals(POLICY, stream)[0]
    assert (final.utterance_start, final.end) == (whole.start, whole.end)


def test_the_longest_utterance_is_counted_from_its_start_and_cut_in_the_open_segment() -> None:
    policy = replace(POLICY, max_window=15 * SAMPLE_RATE)
    stream = talk(8 * SECOND, 5 * SECOND, 6 * SECOND)
    first, second, *_ = windows(policy, stream)
    assert (first.segment, second.final) == (True, True)
    assert second.end == at(13 * SECOND + PAUSE_FRAMES)
    assert end_of_audio(second) - first.audio_start <= policy.max_window


def test_the_next_utterance_begins_whole() -> None:
    found = windows(POLICY, Scored([*LONG.runs, (SPEECH, LOUD_DB, 40), END]))
    assert [w.utterance for w in found] == [0, 0, 1]
    assert found[2].utterance_start == found[2].start == at(14 * SECOND + PAUSE_FRAMES + 20)


# Partials and early windows.


def test_later_windows_carry_only_what_lies_behind_the_cut() -> None:
    found = windows(LIVELY, LONG, [1] * len(LONG.probabilities))
    cut = next(i for i, window in enumerate(found) if window.segment)
    assert {window.start for window in found[: cut + 1]} == {0}
    assert {window.start for window in found[cut + 1 :]} == {at(8 * SECOND + PAUSE_FRAMES)}
    assert {window.utterance_start for window in found} == {0}
    *_, early, final = found
    assert (early.early, final.final) == (True, True)
    assert early.audio == final.audio


def test_a_partial_is_interrupted_unless_it_is_made_in_silence() -> None:
    found = windows(LIVELY, talk(16, 40), [1] * 200)
    partials = [w for w in found if not w.final and not w.early]
    assert [w.interrupted for w in partials] == [True] * len(partials)
    assert not any(w.interrupted for w in found if w.final or w.early)
    later = replace(LIVELY, early_silence=None)
    paused, _ = windows(later, talk(14, end=(SILENCE, QUIET_DB, 4)))
    assert (paused.final, paused.interrupted) == (False, False)
    assert not any(w.interrupted for w in windows(LIVELY, LONG, [1] * 400) if w.segment)


def test_nothing_is_shown_until_the_segment_is_settled() -> None:
    endpointer, segment = waiting(LIVELY, LONG, GROWN)
    assert go_on(endpointer, LONG, GROWN, 11 * SECOND) == []
    assert endpointer.settled(segment.number)
    (partial,) = drained(endpointer)
    assert (partial.start, partial.interrupted) == (at(8 * SECOND + PAUSE_FRAMES), True)


def test_an_answer_to_a_partial_before_the_segment_changes_nothing() -> None:
    endpointer, segment = waiting(LIVELY, LONG, GROWN)
    endpointer.answered(segment.number - 1)
    assert go_on(endpointer, LONG, GROWN, 11 * SECOND) == []


def test_a_partial_that_nobody_answered_does_not_hold_up_those_behind_the_cut() -> None:
    endpointer = Endpointer(LIVELY)
    *_, shown, segment = go_on(endpointer, LONG, 0, GROWN)
    assert (shown.segment, segment.segment) == (False, True)
    endpointer.settled(segment.number)
    (following,) = drained(endpointer)
    assert following.start > segment.end


# Waiting.


def test_a_final_waits_for_its_segment_and_is_the_same_then() -> None:
    endpointer, segment = waiting(LIVELY, LONG, GROWN)
    rest = Scored([*LONG.runs, (SPEECH, LOUD_DB, 40), END])
    assert go_on(endpointer, rest, GROWN, len(rest.probabilities)) == []
    assert endpointer.settled(segment.number)
    found = [segment, *drained(endpointer)]
    assert kept(found) == pieces(LIVELY, rest)
    assert [window.number for window in found[1:]] == [segment.number + 1, segment.number + 2]


def test_a_segment_waits_for_the_one_before() -> None:
    stream = talk(*[4 * SECOND] * 6)
    endpointer, first = waiting(POLICY, stream, GROWN)
    assert go_on(endpointer, stream, GROWN, 19 * SECOND) == []
    assert endpointer.position < at(19 * SECOND)
    assert endpointer.settled(first.number)
    (second,) = drained(endpointer)
    assert kept([first, second]) == pieces(POLICY, stream)[:2]


def test_only_the_segment_that_is_waited_for_is_settled_and_only_once() -> None:
    endpointer, segment = waiting(POLICY, LONG, GROWN)
    assert not endpointer.settled(segment.number - 1)
    assert not endpointer.settled(segment.number + 1)
    assert endpointer.settled(segment.number)
    assert not endpointer.settled(segment.number)


# Segments that are lost.

ENDLESS = talk(8 * SECOND, 16 * SECOND, 16 * SECOND)


def test_a_segment_that_is_never_answered_is_given_up_after_a_while() -> None:
    stream = talk(8 * SECOND, 4 * SECOND, end=(SILENCE, QUIET_DB, 500))
    endpointer, _ = waiting(POLICY, stream, GROWN)
    last = GROWN + PATIENCE_FRAMES - 1
    assert go_on(endpointer, stream, GROWN, last) == []
    (final,) = go_on(endpointer, stream, last, last + 1)
    assert (final.final, final.start, final.audio_start) == (True, 0, 0)
    assert [replace(final, number=0)] == finals(WHOLE, stream)


def test_partials_go_on_with_the_segment_when_it_is_given_up() -> None:
    policy = replace(LIVELY, segment=5 * SAMPLE_RATE)
    stream = talk(4 * SECOND, 3 * SECOND, end=(0.4, LOUD_DB, 12 * SECOND))
    endpointer, segment = waiting(policy, stream, 5 * SECOND + 2)
    (partial,) = go_on(endpointer, stream, 5 * SECOND + 2, 16 * SECOND)
    assert (partial.final, partial.segment, partial.start) == (False, False, segment.start)


@pytest.mark.parametrize("later", [0, 1])
def test_a_segment_is_rejoined_when_it_is_answered_without_being_settled(later: int) -> None:
    endpointer, segment = waiting(POLICY, LONG, GROWN)
    endpointer.answered(segment.number + later)
    (final,) = go_on(endpointer, LONG, GROWN, len(LONG.probabilities))
    assert [replace(final, number=0)] == finals(WHOLE, LONG)


def test_what_was_settled_before_a_lost_segment_stays_settled() -> None:
    stream = talk(*[4 * SECOND] * 6)
    endpointer, first = waiting(POLICY, stream, GROWN)
    assert endpointer.settled(first.number)
    (second,) = go_on(endpointer, stream, GROWN, 20 * SECOND)
    endpointer.answered(second.number)
    (final,) = go_on(endpointer, stream, 20 * SECOND, len(stream.probabilities))
    assert (final.start, final.audio_start) == (second.start, second.audio_start)
    assert final.end == finals(WHOLE, stream)[0].end


def test_the_rest_of_an_utterance_that_lost_a_segment_is_not_cut_but_at_its_longest() -> None:
    endpointer, segment = waiting(POLICY, ENDLESS, GROWN)
    endpointer.answered(segment.number)
    first, *_ = go_on(endpointer, ENDLESS, GROWN, len(ENDLESS.probabilities))
    assert (first.final, first.start) == (True, 0)
    assert len(first.audio) <= WHISPER_WINDOW_SAMPLES * SAMPLE_BYTES
    assert replace(first, number=0) == finals(WHOLE, ENDLESS)[0]


def test_the_next_utterance_is_cut_again() -> None:
    twice = Scored([*LONG.runs, *LONG.runs])
    endpointer, segment = waiting(POLICY, twice, GROWN)
    endpointer.answered(segment.number)
    found = go_on(endpointer, twice, GROWN, len(twice.probabilities))
    assert [(window.utterance, window.segment) for window in found] == [(0, False), (1, True)]


def test_a_segment_is_not_waited_for_when_too_much_is_kept() -> None:
    policy = replace(POLICY, segment=20 * SAMPLE_RATE)
    stream = talk(18 * SECOND, 4 * SECOND, end=(SILENCE, QUIET_DB, 400))
    endpointer, segment = waiting(policy, stream, 20 * SECOND + 6)
    (final,) = go_on(endpointer, stream, 20 * SECOND + 6, 29 * SECOND)
    assert final.final
    assert final.start == segment.start


# The end of the audio.


def test_at_the_end_of_the_audio_nothing_is_waited_for() -> None:
    endpointer, segment = waiting(POLICY, LONG, GROWN)
    final = endpointer.close()
    assert final is not None
    assert (final.final, final.start, final.end) == (True, segment.start, at(GROWN))


def test_the_end_of_the_audio_gives_the_final_of_what_is_not_settled() -> None:
    endpointer, segment = waiting(POLICY, LONG, GROWN)
    endpointer.settled(segment.number)
    final = endpointer.close()
    assert final is not None
    assert (final.start, final.utterance_start) == (at(8 * SECOND + PAUSE_FRAMES), 0)


def test_the_end_of_the_audio_gives_a_final_that_waits_and_all_behind_it() -> None:
    stream = Scored([*LONG.runs, (SPEECH, LOUD_DB, 40)])
    endpointer, segment = waiting(POLICY, stream, GROWN)
    assert go_on(endpointer, stream, GROWN, len(stream.probabilities)) == []
    final = endpointer.close()
    assert final is not None
    assert (final.start, final.utterance) == (segment.start, 0)
    assert final.audio == stream.audio


def test_no_segment_is_cut_at_the_end_of_the_audio() -> None:
    endpointer = Endpointer(POLICY)
    give(endpointer, LONG, 0, len(LONG.probabilities))
    final = endpointer.close()
    assert final is not None
    assert [replace(final, number=0)] == finals(WHOLE, LONG)
