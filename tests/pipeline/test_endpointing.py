"""When utterances begin and end, by example."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import cuts, endpointing, endpointing_policy, scored_audio, utterance
from pipeline import pauses as pauses_module
from pipeline.audio import SAMPLE_RATE, VAD_FRAME_BYTES, VAD_FRAME_SAMPLES
from pipeline.endpointing import LEAD_IN_FRAMES, LEAD_OUT_SAMPLES, Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import MIN_VOICED_FRAMES
from tests.pipeline.endpointing import (
    LOUD_DB,
    QUIET_DB,
    SECOND,
    SILENCE,
    SPEECH,
    Scored,
    end_of_audio,
    finals,
    give,
    scored,
    windows,
)

CORE = (endpointing, cuts, endpointing_policy, pauses_module, scored_audio, utterance)
POLICY = EndpointingPolicy()
SILENCE_FRAMES = -(-POLICY.min_silence // VAD_FRAME_SAMPLES)
HOUR_FRAMES = 3600 * SAMPLE_RATE // VAD_FRAME_SAMPLES


def at(frame: int) -> int:
    """Position of a frame."""
    return frame * VAD_FRAME_SAMPLES


def frames_kept(endpointer: Endpointer) -> int:
    """How much of the stream the core still remembers."""
    return endpointer._audio.end_frame - endpointer._audio.first_frame


def test_silence_gives_nothing() -> None:
    assert windows(POLICY, scored((SILENCE, 100))) == []


def test_a_stream_without_audio_gives_nothing() -> None:
    assert windows(POLICY, Scored([])) == []


def test_an_utterance_goes_from_its_first_speech_to_its_first_silence() -> None:
    (final,) = windows(POLICY, scored((SILENCE, 30), (SPEECH, 20), (SILENCE, 30)))
    assert (final.number, final.utterance, final.final) == (1, 0, True)
    assert (final.start, final.end) == (at(30), at(50))
    assert final.voiced == at(20)
    assert final.speech_probability == pytest.approx(SPEECH)


def test_the_window_holds_what_leads_in_and_out() -> None:
    policy = EndpointingPolicy(min_silence=SAMPLE_RATE)
    (final,) = windows(policy, scored((SILENCE, 30), (SPEECH, 20), (SILENCE, 60)))
    assert final.audio_start == final.start - at(LEAD_IN_FRAMES)
    assert end_of_audio(final) == final.end + LEAD_OUT_SAMPLES


def test_what_leads_out_is_no_more_than_was_heard() -> None:
    policy = EndpointingPolicy(min_silence=at(2))
    (final,) = windows(policy, scored((SPEECH, 20), (SILENCE, 60)))
    assert end_of_audio(final) == final.end + at(2)


@pytest.mark.parametrize("min_silence", [at(5), at(5) + 1, at(10), at(10) - 1, at(1)])
def test_exactly_the_asked_silence_ends_an_utterance(min_silence: int) -> None:
    policy = EndpointingPolicy(min_silence=min_silence)
    enough = -(-min_silence // VAD_FRAME_SAMPLES)
    short = scored((SPEECH, 5), (SILENCE, enough - 1), (SPEECH, 5), (SILENCE, 40))
    long = scored((SPEECH, 5), (SILENCE, enough), (SPEECH, 5), (SILENCE, 40))
    assert len(finals(policy, short)) == 1
    assert len(finals(policy, long)) == 2


def test_the_final_comes_with_the_frame_that_completes_the_silence() -> None:
    stream = scored((SPEECH, 5), (SILENCE, SILENCE_FRAMES))
    endpointer = Endpointer(POLICY)
    give(endpointer, stream, 0, 4 + SILENCE_FRAMES)
    assert endpointer.next_window() is None
    assert endpointer.is_open
    give(endpointer, stream, 4 + SILENCE_FRAMES, 5 + SILENCE_FRAMES)
    assert endpointer.next_window() is not None
    assert not endpointer.is_open


def test_silence_is_counted_from_below_a_lower_threshold() -> None:
    doubtful = 0.4  # no speech at 0.5, but no silence either
    assert POLICY.silence_threshold == pytest.approx(0.35)
    (final,) = windows(POLICY, scored((SPEECH, 5), (doubtful, 60), (SPEECH, 5), (SILENCE, 30)))
    assert (final.start, final.end) == (at(0), at(70))


def test_doubtful_frames_do_not_interrupt_a_silence_and_speech_does() -> None:
    doubtful = 0.4
    (quiet,) = windows(POLICY, scored((SPEECH, 5), (SILENCE, 1), (doubtful, 40)))
    assert quiet.end == at(5)
    (spoken,) = windows(POLICY, scored((SPEECH, 5), (SILENCE, 8), (SPEECH, 1), (SILENCE, 40)))
    assert spoken.end == at(14)


@pytest.mark.parametrize(
    ("threshold", "silence"), [(0.5, 0.35), (0.95, 0.8), (0.16, 0.01), (0.05, 0.01)]
)
def test_thresholds_hold_to_the_last_digit(threshold: float, silence: float) -> None:
    policy = EndpointingPolicy(threshold=threshold)
    assert policy.silence_threshold == pytest.approx(silence)
    under, below_silence = threshold - 1e-9, policy.silence_threshold - 1e-9
    assert windows(policy, scored((under, 100))) == []
    (final,) = windows(policy, scored((threshold, 5), (policy.silence_threshold, 40)))
    assert final.end == at(45)
    (final,) = windows(policy, scored((threshold, 5), (below_silence, 40)))
    assert final.end == at(5)


def test_a_click_gives_nothing() -> None:
    click = (SPEECH, MIN_VOICED_FRAMES - 1)
    assert windows(POLICY, scored((SILENCE, 20), click, (SILENCE, 40), click)) == []


def test_the_shortest_word_gives_a_final() -> None:
    (final,) = windows(POLICY, scored((SILENCE, 20), (SPEECH, MIN_VOICED_FRAMES), (SILENCE, 40)))
    assert (final.start, final.end) == (at(20), at(20 + MIN_VOICED_FRAMES))


def test_a_click_does_not_count_as_an_utterance() -> None:
    click, word = (SPEECH, 1), (SPEECH, 10)
    found = finals(POLICY, scored(word, (SILENCE, 40), click, (SILENCE, 40), word, (SILENCE, 40)))
    assert [final.utterance for final in found] == [0, 1]


def test_one_call_gives_one_window_and_later_frames_wait() -> None:
    stream = scored(*[(SPEECH, 10), (SILENCE, 20)] * 3)
    endpointer = Endpointer(POLICY)
    give(endpointer, stream, 0, 90)
    found = [endpointer.next_window() for _ in range(4)]
    assert [window and window.utterance for window in found] == [0, 1, 2, None]
    assert endpointer.position == at(90)


def test_the_end_of_the_audio_gives_the_open_utterance_with_its_tail() -> None:
    (final,) = windows(POLICY, scored((SILENCE, 10), (SPEECH, 10), tail_samples=100))
    assert final.final
    assert final.end == end_of_audio(final) == at(20) + 100


def test_the_end_of_the_audio_in_a_pause_ends_the_utterance_where_its_speech_did() -> None:
    (final,) = windows(POLICY, scored((SPEECH, 10), (SILENCE, 3), tail_samples=100))
    assert final.end == at(10)
    assert end_of_audio(final) == at(13)


def test_closing_gives_one_window_for_all_that_is_due() -> None:
    stream = scored(*[(SPEECH, 10), (SILENCE, 20)] * 2, (SPEECH, 10), tail_samples=5)
    endpointer = Endpointer(POLICY)
    give(endpointer, stream, 0, 70)
    final = endpointer.close(stream.tail)
    assert final is not None
    assert (final.utterance, final.start, final.end) == (0, 0, at(70) + 5)
    assert final.voiced == at(30)
    assert final.audio == stream.audio
    assert not endpointer.is_open


def test_the_pad_widens_both_sides() -> None:
    pad = 480
    policy = EndpointingPolicy(speech_pad=pad)
    (final,) = windows(policy, scored((SILENCE, 30), (SPEECH, 10), (SILENCE, 30)))
    assert (final.start, final.end) == (at(30) - pad, at(40) + pad)


def test_the_pad_ends_where_the_audio_does() -> None:
    policy = EndpointingPolicy(speech_pad=SAMPLE_RATE)
    (final,) = windows(policy, scored((SILENCE, 2), (SPEECH, 10), (SILENCE, 2)))
    assert (final.start, final.end) == (0, at(14))


def test_the_pad_never_reaches_into_the_utterance_before() -> None:
    policy = EndpointingPolicy(min_silence=at(4), speech_pad=at(4))
    first, second = finals(policy, scored((SPEECH, 10), (SILENCE, 5), (SPEECH, 10), (SILENCE, 40)))
    assert first.end == second.start == second.audio_start == at(14)


def test_a_pad_longer_than_the_longest_window_leaves_room_for_the_speech() -> None:
    policy = EndpointingPolicy(speech_pad=5 * SAMPLE_RATE, max_window=SAMPLE_RATE)
    (final,) = finals(policy, scored((SILENCE, 200), (SPEECH, 10), (SILENCE, 30)))
    assert final.audio_start == final.start < at(200)
    assert final.end >= at(210)


def pauses(*runs: tuple[float, float, int]) -> Scored:
    """Ten seconds of speech, then runs of (probability, level, count), then ten seconds more."""
    speech = (SPEECH, LOUD_DB, 10 * SECOND)
    return Scored([speech, *runs, speech])


LONG = EndpointingPolicy(max_window=14 * SAMPLE_RATE)
TALK = (SPEECH, LOUD_DB, 20)


def test_an_utterance_at_its_maximum_is_cut_in_the_longest_pause() -> None:
    shorter, longer = (SILENCE, QUIET_DB, 4), (SILENCE, QUIET_DB, 6)
    first, second = finals(LONG, pauses(shorter, TALK, longer, TALK))
    assert first.end == at(10 * SECOND + 4 + 20)
    assert second.start == first.end + at(6)
    assert (first.utterance, second.utterance) == (0, 1)


def test_of_equally_long_pauses_the_latest_is_cut() -> None:
    pause = (SILENCE, QUIET_DB, 5)
    first, _ = finals(LONG, pauses(pause, TALK, pause, TALK))
    assert first.end == at(10 * SECOND + 5 + 20)


def test_a_pause_may_be_quiet_while_its_probability_stays_high() -> None:
    quiet = (SPEECH, QUIET_DB, 8)
    first, second = finals(LONG, pauses(TALK, quiet, TALK))
    middle = at(10 * SECOND + 20 + 4)
    assert first.end == second.start == middle


def test_a_pause_before_the_last_third_is_not_cut() -> None:
    stream = Scored([(SPEECH, LOUD_DB, 60), (SILENCE, QUIET_DB, 8), (SPEECH, LOUD_DB, 600)])
    first, *_ = finals(LONG, stream)
    assert first.end >= LONG.max_window * 2 // 3


def test_speech_without_any_pause_is_cut_and_stays_whole() -> None:
    stream = Scored([(SPEECH, LOUD_DB, 3000)])
    found = finals(LONG, stream)
    assert found[0].start == 0
    assert found[-1].end == at(3000)
    assert [w.start for w in found[1:]] == [w.end for w in found[:-1]]


def test_a_click_that_never_falls_silent_is_forgotten() -> None:
    doubtful = 0.4
    assert windows(LONG, scored((SPEECH, 2), (doubtful, 1000))) == []


def test_the_stream_may_begin_at_any_position() -> None:
    stream = scored((SILENCE, 30), (SPEECH, 20), (SILENCE, 30))
    (zero,) = windows(POLICY, stream)
    (moved,) = windows(POLICY, stream, start_sample=123_457)
    assert moved.start - zero.start == moved.end - zero.end == 123_457
    assert moved.audio_start - zero.audio_start == 123_457
    assert moved.audio == zero.audio


def test_times_are_exact_after_an_hour_and_little_audio_is_kept() -> None:
    endpointer, found = Endpointer(POLICY), []
    cycle = [SPEECH] * 23 + [SILENCE] * 17
    most_kept = 0
    for _ in range(HOUR_FRAMES // len(cycle)):
        endpointer.receive(bytes(len(cycle) * VAD_FRAME_BYTES), cycle, [0.0] * len(cycle))
        found.append(endpointer.next_window())
        most_kept = max(most_kept, frames_kept(endpointer))
    assert most_kept <= 2 * len(cycle)
    starts = [window and (window.start, window.end) for window in found]
    assert starts == [(at(40 * i), at(40 * i + 23)) for i in range(len(found))]


def test_an_hour_of_silence_keeps_no_more_than_what_leads_in() -> None:
    endpointer = Endpointer(POLICY)
    for _ in range(HOUR_FRAMES // 100):
        endpointer.receive(bytes(100 * VAD_FRAME_BYTES), [SILENCE] * 100, [QUIET_DB] * 100)
        endpointer.next_window()
        assert frames_kept(endpointer) <= LEAD_IN_FRAMES


def test_an_hour_of_speech_keeps_no_more_than_a_window() -> None:
    endpointer = Endpointer(LONG)
    for _ in range(HOUR_FRAMES // 100):
        endpointer.receive(bytes(100 * VAD_FRAME_BYTES), [SPEECH] * 100, [LOUD_DB] * 100)
        while endpointer.next_window() is not None:
            pass
        assert frames_kept(endpointer) <= LONG.max_window // VAD_FRAME_SAMPLES + LEAD_IN_FRAMES


@pytest.mark.parametrize(
    ("pcm_bytes", "probabilities", "levels"),
    [(VAD_FRAME_BYTES - 1, 1, 1), (VAD_FRAME_BYTES, 2, 2), (VAD_FRAME_BYTES, 1, 2)],
)
def test_audio_and_scores_must_be_of_the_same_frames(
    pcm_bytes: int, probabilities: int, levels: int
) -> None:
    with pytest.raises(ValueError, match=f"{pcm_bytes} bytes of audio"):
        Endpointer(POLICY).receive(bytes(pcm_bytes), [0.0] * probabilities, [0.0] * levels)


def test_the_core_has_no_clock_no_loop_no_log_and_no_arrays() -> None:
    allowed = {"collections.abc", "dataclasses", "typing", "pipeline.audio"}
    own = {module.__name__ for module in CORE}
    assert all(imports_of(module) <= allowed | own for module in CORE)
    assert own == {name for module in CORE for name in imports_of(module) & own} | {
        "pipeline.endpointing"
    }


def imports_of(module: ModuleType) -> set[str]:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    return imported


def test_a_short_maximum_still_looks_back_for_a_pause() -> None:
    policy = EndpointingPolicy(max_window=5 * SAMPLE_RATE, min_silence=SAMPLE_RATE)
    quiet = (SPEECH, QUIET_DB, 5)
    stream = Scored(
        [
            (SPEECH, LOUD_DB, 2 * SECOND),
            quiet,
            (SPEECH, LOUD_DB, 6 * SECOND),
            (SILENCE, QUIET_DB, 40),
        ]
    )
    first, *_ = finals(policy, stream)
    assert at(2 * SECOND) <= first.end <= at(2 * SECOND + 5)
