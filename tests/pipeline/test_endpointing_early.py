"""The window that is made as soon as silence begins, before the endpoint is certain."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import VAD_FRAME_SAMPLES
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import MIN_VOICED_FRAMES, Window
from tests.pipeline.endpointing import SILENCE, SPEECH, Scored, finals, scored, windows

EARLY_FRAMES = 4
POLICY = EndpointingPolicy(early_silence=EARLY_FRAMES * VAD_FRAME_SAMPLES)


def frame_by_frame(policy: EndpointingPolicy, stream: Scored) -> list[Window]:
    return windows(policy, stream, [1] * len(stream.probabilities))


def test_it_has_the_finals_audio_and_times_when_nothing_more_is_said() -> None:
    early, final = frame_by_frame(POLICY, scored((SILENCE, 20), (SPEECH, 20), (SILENCE, 20)))
    assert (early.early, early.final, final.early, final.final) == (True, False, False, True)
    assert early.audio == final.audio
    assert (early.utterance, early.start, early.end) == (final.utterance, final.start, final.end)


def test_it_is_made_when_the_silence_has_lasted_as_long_as_asked() -> None:
    stream = scored((SPEECH, 20), (SILENCE, EARLY_FRAMES))
    assert [w.early for w in frame_by_frame(POLICY, stream)] == [True, False]
    shorter = scored((SPEECH, 20), (SILENCE, EARLY_FRAMES - 1), (SPEECH, 5))
    assert [w.early for w in frame_by_frame(POLICY, shorter)] == [False]


def test_each_silence_makes_one() -> None:
    stream = scored((SPEECH, 10), (SILENCE, 6), (SPEECH, 10), (SILENCE, 20))
    assert [w.early for w in frame_by_frame(POLICY, stream)] == [True, True, False]


def test_a_click_makes_none() -> None:
    assert frame_by_frame(POLICY, scored((SPEECH, MIN_VOICED_FRAMES - 1), (SILENCE, 20))) == []


def test_none_is_made_unless_asked_for() -> None:
    policy = replace(POLICY, early_silence=None)
    assert len(frame_by_frame(policy, scored((SPEECH, 20), (SILENCE, 20)))) == 1


def test_none_is_made_when_the_endpoint_is_there_first() -> None:
    policy = replace(POLICY, min_silence=VAD_FRAME_SAMPLES)
    (final,) = frame_by_frame(policy, scored((SPEECH, 20), (SILENCE, 20)))
    assert final.final


def test_it_stands_for_a_partial_of_the_cadence() -> None:
    policy = replace(POLICY, partial_interval=16 * VAD_FRAME_SAMPLES)
    stream = scored((SPEECH, 10), (SILENCE, 5), (SPEECH, 20))  # early at 14, so not at 16 but 30
    found = frame_by_frame(policy, stream)
    assert [w.early for w in found] == [True, False, False]
    assert [w.final for w in found] == [False, False, True]


@given(
    runs=st.lists(
        st.tuples(st.sampled_from([SPEECH, SILENCE]), st.integers(1, 30)), min_size=1, max_size=12
    ),
    min_silence=st.integers(1, 20),
)
def test_finals_are_the_same_with_and_without(
    runs: list[tuple[float, int]], min_silence: int
) -> None:
    policy = replace(POLICY, min_silence=min_silence * VAD_FRAME_SAMPLES)
    stream = scored(*runs)
    early = [replace(w, number=0) for w in frame_by_frame(policy, stream) if w.final]
    assert early == [
        replace(w, number=0) for w in finals(replace(policy, early_silence=None), stream)
    ]


@pytest.mark.parametrize("pad_ms", [0, 30, 128])
def test_pads_up_to_the_lead_out_keep_it_equal_to_the_final(pad_ms: int) -> None:
    policy = replace(POLICY, speech_pad=pad_ms * 16)
    early, final = frame_by_frame(policy, scored((SILENCE, 20), (SPEECH, 20), (SILENCE, 20)))
    assert (early.audio, early.end) == (final.audio, final.end)
