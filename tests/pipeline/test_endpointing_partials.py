"""When an open utterance shows what it has so far."""

from dataclasses import replace

import pytest

from pipeline.audio import SAMPLE_RATE, VAD_FRAME_SAMPLES
from pipeline.endpointing import PARTIAL_PATIENCE_SAMPLES, Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import MIN_VOICED_FRAMES, Window
from tests.pipeline.endpointing import (
    SECOND,
    SILENCE,
    SPEECH,
    Scored,
    end_of_audio,
    give,
    scored,
    windows,
)

INTERVAL_FRAMES = 16
POLICY = EndpointingPolicy(partial_interval=INTERVAL_FRAMES * VAD_FRAME_SAMPLES)


def partials(policy: EndpointingPolicy, stream: Scored, answer: bool = True) -> list[Window]:
    """The partials of a stream that comes frame by frame."""
    hops = [1] * len(stream.probabilities)
    return [w for w in windows(policy, stream, hops, answer=answer) if not w.final]


def frame_ends(found: list[Window]) -> list[int]:
    """Where windows end, in frames."""
    return [window.end // VAD_FRAME_SAMPLES for window in found]


def test_partials_come_at_the_asked_cadence() -> None:
    found = partials(POLICY, scored((SILENCE, 10), (SPEECH, 60)))
    assert frame_ends(found) == [26, 42, 58]
    assert {(w.utterance, w.start) for w in found} == {(0, 10 * VAD_FRAME_SAMPLES)}


@pytest.mark.parametrize(("interval_s", "expected"), [(0.1, 48), (0.5, 12), (1.0, 6), (3.0, 2)])
def test_over_time_the_cadence_is_the_interval(interval_s: float, expected: int) -> None:
    policy = EndpointingPolicy(partial_interval=int(interval_s * SAMPLE_RATE))
    found = partials(policy, scored((SPEECH, 6 * SECOND + 4)))
    assert len(found) == pytest.approx(expected, rel=0.25)


def test_none_are_made_unless_asked_for() -> None:
    assert partials(replace(POLICY, partial_interval=None), scored((SPEECH, 100))) == []


def test_a_partial_holds_the_utterance_so_far() -> None:
    stream = scored((SILENCE, 30), (SPEECH, INTERVAL_FRAMES))
    (partial,) = partials(POLICY, stream)
    assert partial.end == end_of_audio(partial) == len(stream.audio) // 2


def test_a_partial_in_a_pause_ends_where_the_speech_did() -> None:
    (partial,) = partials(POLICY, scored((SPEECH, 14), (SILENCE, 4)))
    assert frame_ends([partial]) == [14]
    assert end_of_audio(partial) == 16 * VAD_FRAME_SAMPLES


def test_only_one_partial_waits_for_its_answer() -> None:
    frames = INTERVAL_FRAMES // 2
    endpointer = Endpointer(replace(POLICY, partial_interval=frames * VAD_FRAME_SAMPLES))
    stream = scored((SPEECH, 3 * frames))
    give(endpointer, stream, 0, frames)
    partial = endpointer.next_window()
    assert partial is not None
    give(endpointer, stream, frames, 2 * frames)
    assert endpointer.next_window() is None
    endpointer.answered(partial.number - 1)
    assert endpointer.next_window() is None
    endpointer.answered(partial.number)
    following = endpointer.next_window()
    assert following is not None
    assert frame_ends([following]) == [2 * frames]


@pytest.mark.parametrize(("answer_s", "next_s"), [(0.3, 1.0), (0.5, 1.0), (0.8, 1.6), (1.2, 2.4)])
def test_behind_a_slow_answer_the_next_partial_takes_its_time(
    answer_s: float, next_s: float
) -> None:
    """Frames come one by one; the answer after so long."""
    endpointer = Endpointer(replace(POLICY, partial_interval=SAMPLE_RATE))
    stream = scored((SPEECH, 6 * SECOND))
    made: list[tuple[float, Window]] = []
    for frame in range(5 * SECOND):
        give(endpointer, stream, frame, frame + 1)
        now_s = endpointer.position / SAMPLE_RATE
        if len(made) == 1 and now_s - made[0][0] == pytest.approx(answer_s, abs=0.017):
            endpointer.answered(made[0][1].number)
        if (window := endpointer.next_window()) is not None:
            made.append((now_s, window))
    assert made[1][0] - made[0][0] == pytest.approx(next_s, abs=0.1)  # by whole frames


def test_the_next_utterance_does_not_wait_for_a_slow_answer_of_the_last_one() -> None:
    endpointer = Endpointer(POLICY)
    stream = scored((SPEECH, 3 * SECOND), (SILENCE, 20), (SPEECH, INTERVAL_FRAMES))
    behind = 3 * SECOND + 20
    give(endpointer, stream, 0, INTERVAL_FRAMES)
    partial = endpointer.next_window()
    assert partial is not None
    give(endpointer, stream, INTERVAL_FRAMES, 3 * SECOND)
    assert endpointer.next_window() is None
    endpointer.answered(partial.number)
    give(endpointer, stream, 3 * SECOND, behind)
    final = endpointer.next_window()
    assert final is not None
    assert final.final
    give(endpointer, stream, behind, behind + INTERVAL_FRAMES)
    following = endpointer.next_window()
    assert following is not None
    assert following.utterance == 1


def test_an_answer_to_a_later_window_counts_for_the_ones_before() -> None:
    endpointer = Endpointer(POLICY)
    stream = scored((SPEECH, 2 * INTERVAL_FRAMES))
    give(endpointer, stream, 0, INTERVAL_FRAMES)
    partial = endpointer.next_window()
    assert partial is not None
    endpointer.answered(partial.number + 1)
    give(endpointer, stream, INTERVAL_FRAMES, 2 * INTERVAL_FRAMES)
    assert endpointer.next_window() is not None


def test_a_partial_without_an_answer_is_given_up_after_a_while() -> None:
    found = partials(POLICY, scored((SPEECH, 20 * SECOND)), answer=False)
    patience_frames = -(-PARTIAL_PATIENCE_SAMPLES // VAD_FRAME_SAMPLES)
    assert frame_ends(found) == [INTERVAL_FRAMES + i * patience_frames for i in range(len(found))]
    assert len(found) > 1


def test_a_final_ends_the_wait_for_its_partials_answers() -> None:
    utterance = [(SPEECH, 20), (SILENCE, 20)]
    found = partials(POLICY, scored(*utterance, *utterance), answer=False)
    assert [partial.utterance for partial in found] == [0, 1]


def test_no_partial_follows_the_final() -> None:
    found = windows(POLICY, scored((SPEECH, 20), (SILENCE, 100)), [1] * 120)
    assert [window.final for window in found] == [False, True]


def test_no_partial_is_made_without_new_speech() -> None:
    patient = replace(POLICY, min_silence=10 * SAMPLE_RATE)
    found = partials(patient, scored((SPEECH, 20), (SILENCE, 200), (SPEECH, 20)))
    assert frame_ends(found)[:2] == [16, 20]
    assert frame_ends(found)[2] > 220


def test_a_click_shows_nothing() -> None:
    doubtful = 0.4
    click = scored((SPEECH, MIN_VOICED_FRAMES - 1), (doubtful, 100))
    assert partials(POLICY, click) == []


def test_a_partial_is_made_only_when_no_frame_waits() -> None:
    endpointer = Endpointer(POLICY)
    stream = scored((SPEECH, 20), (SILENCE, 20), (SPEECH, 20))
    give(endpointer, stream, 0, 60)
    found = [endpointer.next_window() for _ in range(3)]
    assert [window and (window.utterance, window.final) for window in found] == [
        (0, True),
        (1, False),
        None,
    ]
