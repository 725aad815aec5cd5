"""The tape keeps what may have to be sent again, and no more."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tape import ASK_SAMPLES, MARGIN_SAMPLES, WARM_UP_SAMPLES, Tape
from pipeline.audio import SAMPLE_RATE, VAD_FRAME_SAMPLES
from pipeline.options import StreamOptions

OPTIONS = StreamOptions(max_utterance_s=10, min_silence_ms=500)
LONGEST = 10 * SAMPLE_RATE + SAMPLE_RATE // 2 + MARGIN_SAMPLES


def pcm(start: int, samples: int) -> bytes:
    """Samples that tell their position, as far as 16 bits can."""
    return (np.arange(start, start + samples) % 65_521).astype(np.uint16).tobytes()


def tape_of(seconds: float) -> Tape:
    tape = Tape(OPTIONS)
    tape.append(pcm(0, int(seconds * SAMPLE_RATE)))
    return tape


def final(listen_from: int, settled_until: int, **fields: object) -> dict[str, object]:
    return {"listen_from": listen_from, "settled_until": settled_until, **fields}


def test_what_was_never_settled_is_sent_again_from_the_start() -> None:
    replay = tape_of(3).rewind()
    assert (replay.start, replay.resume) == (0, {})
    assert replay.pcm == pcm(0, 3 * SAMPLE_RATE)


def test_behind_a_final_only_what_warms_up_is_heard_again() -> None:
    tape = tape_of(9)
    settled = final(7 * SAMPLE_RATE, 6 * SAMPLE_RATE, found_language="fr")
    tape.settle(settled)
    replay = tape.rewind()
    assert replay.resume == settled
    wanted = 7 * SAMPLE_RATE - WARM_UP_SAMPLES
    assert wanted - VAD_FRAME_SAMPLES < replay.start <= wanted
    assert replay.start % VAD_FRAME_SAMPLES == 0
    assert replay.pcm == pcm(replay.start, 9 * SAMPLE_RATE - replay.start)
    assert len(tape) == len(replay.pcm) // 2


def test_a_final_that_brings_the_models_state_has_it_heard_from_there() -> None:
    tape = tape_of(9)
    state_at = 5 * SAMPLE_RATE + 13
    settled = final(7 * SAMPLE_RATE, 6 * SAMPLE_RATE, vad_state="AAAA", vad_state_at=state_at)
    tape.settle(settled)
    replay = tape.rewind()
    assert (replay.start, replay.resume) == (state_at, settled)
    assert replay.pcm == pcm(state_at, 9 * SAMPLE_RATE - state_at)
    assert len(tape) == len(replay.pcm) // 2


def test_a_state_from_before_what_is_on_the_tape_is_of_no_use() -> None:
    tape = tape_of(60)
    tape.answered(tape.end)
    start = tape.rewind().start
    assert start > 0
    tape.settle(
        final(50 * SAMPLE_RATE, 50 * SAMPLE_RATE, vad_state="AAAA", vad_state_at=start - 512)
    )
    wanted = 50 * SAMPLE_RATE - WARM_UP_SAMPLES
    assert wanted - VAD_FRAME_SAMPLES < tape.rewind().start <= wanted


def test_a_state_is_forgotten_with_the_audio_behind_it() -> None:
    tape = tape_of(9)
    tape.settle(final(7 * SAMPLE_RATE, 6 * SAMPLE_RATE, vad_state="AAAA", vad_state_at=0))
    tape.append(pcm(9 * SAMPLE_RATE, 60 * SAMPLE_RATE))
    tape.answered(tape.end)
    replay = tape.rewind()
    assert "vad_state" not in replay.resume
    assert replay.start == (replay.resume["listen_from"] - WARM_UP_SAMPLES) // 512 * 512


def test_an_older_final_changes_nothing() -> None:
    tape = tape_of(9)
    tape.settle(final(7 * SAMPLE_RATE, 6 * SAMPLE_RATE))
    before = tape.rewind()
    tape.settle(final(5 * SAMPLE_RATE, 5 * SAMPLE_RATE))
    assert tape.rewind() == before


def test_a_sequence_begins_with_nothing_of_the_one_before() -> None:
    tape = tape_of(1.01)
    tape.begin_sequence()
    start = tape.end
    assert len(tape) == 0
    tape.append(pcm(start, 3 * SAMPLE_RATE))
    replay = tape.rewind()
    assert replay.start == start
    assert replay.resume == final(start, start)
    tape.settle(final(start + 3 * SAMPLE_RATE, start))
    assert (tape.rewind().start - start) % VAD_FRAME_SAMPLES == 0


def test_speech_pad_is_heard_again_too() -> None:
    tape = Tape(OPTIONS.model_copy(update={"speech_pad_ms": 3000}))
    tape.append(pcm(0, 20 * SAMPLE_RATE))
    tape.settle(final(15 * SAMPLE_RATE, 15 * SAMPLE_RATE))
    assert tape.rewind().start <= 15 * SAMPLE_RATE - WARM_UP_SAMPLES - 3 * SAMPLE_RATE


def test_hours_of_silence_are_not_kept() -> None:
    tape = Tape(OPTIONS)
    for second in range(3600):
        tape.append(pcm(second * SAMPLE_RATE, SAMPLE_RATE))
        tape.answered(tape.end)
        assert len(tape) <= LONGEST + WARM_UP_SAMPLES + VAD_FRAME_SAMPLES
    replay = tape.rewind()
    assert replay.resume == final(3600 * SAMPLE_RATE - LONGEST, 3600 * SAMPLE_RATE - LONGEST)


def test_without_a_final_the_pipeline_is_asked_now_and_then_how_to_go_on() -> None:
    tape, asked_at = Tape(OPTIONS), []
    for second in range(60):
        tape.append(pcm(second * SAMPLE_RATE, SAMPLE_RATE))
        if tape.needs_resume():
            asked_at.append(second + 1)
        if second == 25:
            tape.settle(final(25 * SAMPLE_RATE, 25 * SAMPLE_RATE))
    every_s = ASK_SAMPLES // SAMPLE_RATE
    assert asked_at == [every_s, 2 * every_s, 25 + every_s, 25 + 2 * every_s, 25 + 3 * every_s]


def test_what_was_asked_of_a_triton_that_is_lost_is_asked_again() -> None:
    tape = tape_of(12)
    assert tape.needs_resume()
    assert not tape.needs_resume()
    tape.rewind()
    assert tape.needs_resume()


def test_an_answer_does_not_tell_the_language_and_leaves_what_the_last_final_said() -> None:
    tape = tape_of(20)
    tape.settle(final(7 * SAMPLE_RATE, 6 * SAMPLE_RATE, found_language="fr"))
    tape.settle(final(15 * SAMPLE_RATE, 6 * SAMPLE_RATE, vad_state="AAAA", vad_state_at=12))
    assert tape.rewind().resume["found_language"] == "fr"
    tape.begin_sequence()
    assert "found_language" not in tape.rewind().resume


def test_there_always_is_a_state_however_long_nothing_is_final() -> None:
    """At worst an answer is of the beginning of the longest utterance, and the next one is only
    there when the hop behind it has been answered."""
    tape = Tape(StreamOptions(speech_pad_ms=1000))
    told: list[int] = []
    longest = 30 * SAMPLE_RATE
    for second in range(600):
        tape.append(pcm(second * SAMPLE_RATE, SAMPLE_RATE))
        for at in told:
            tape.settle(final(at, at, vad_state="AAAA", vad_state_at=at - 2 * SAMPLE_RATE))
        tape.answered(tape.end - SAMPLE_RATE)
        told = [tape.end - longest] if tape.needs_resume() and tape.end > longest else []
        replay = deepcopy(tape).rewind()
        assert replay.start == replay.resume.get("vad_state_at", 0)
        assert len(tape) <= 50 * SAMPLE_RATE


def test_what_is_unanswered_is_kept_however_old_it_is() -> None:
    tape = tape_of(100)
    tape.answered(4 * SAMPLE_RATE)
    assert tape.rewind().start == 0
    assert len(tape) == 100 * SAMPLE_RATE


@pytest.mark.parametrize("options", [OPTIONS, StreamOptions()])
@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 60_000)), max_size=30))
def test_a_replay_always_reaches_from_before_what_is_unsettled_to_the_end(
    options: StreamOptions, steps: list[tuple[int, int]]
) -> None:
    tape, settled = Tape(options), 0
    for samples, ahead in steps:
        tape.append(pcm(tape.end, samples))
        settled = max(settled, min(settled + ahead, tape.end))
        tape.settle(final(settled, settled))
        replay = tape.rewind()
        assert replay.start <= settled
        assert replay.start % VAD_FRAME_SAMPLES == 0
        assert replay.pcm == pcm(replay.start, tape.end - replay.start)
