"""States are noted now and then, kept for long enough, and survive their way as text."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.audio import SAMPLE_RATE, WHISPER_WINDOW_SAMPLES
from pipeline.options import VAD_STATE_BYTES, StreamOptions
from pipeline.silero import SileroState
from pipeline.silero_history import INTERVAL_SAMPLES, SileroHistory

HOP_SAMPLES = 512
LONGEST_PAD_SAMPLES = 5 * SAMPLE_RATE


def some_state(seed: int) -> SileroState:
    random = np.random.default_rng(seed)
    return SileroState(
        random.normal(size=(2, 1, 128)).astype(np.float32),
        random.integers(-32768, 32767, 64).astype(np.int16),
    )


def test_a_state_survives_its_way_through_the_options() -> None:
    state = some_state(1)
    options = StreamOptions(vad_state=state.packed())
    found = SileroState.unpacked(
        StreamOptions.model_validate_json(options.model_dump_json()).vad_state
    )
    np.testing.assert_array_equal(found.recurrent, state.recurrent)
    np.testing.assert_array_equal(found.context, state.context)


def test_the_options_know_how_long_a_state_is() -> None:
    assert SileroState().recurrent.nbytes + SileroState().context.nbytes == VAD_STATE_BYTES
    with pytest.raises(ValidationError, match="a state has 1152"):
        StreamOptions(vad_state=some_state(1).packed()[:-4])


def test_the_latest_state_before_a_position_is_found() -> None:
    history = SileroHistory()
    for position in range(0, 10 * INTERVAL_SAMPLES, HOP_SAMPLES):
        history.note(position, some_state(position))
    heard = history.before(5 * INTERVAL_SAMPLES + 700)
    assert heard is not None
    assert 4 * INTERVAL_SAMPLES < heard.position <= 5 * INTERVAL_SAMPLES + 700
    np.testing.assert_array_equal(heard.state.recurrent, some_state(heard.position).recurrent)


def test_what_is_noted_does_not_change_with_the_stream() -> None:
    history, state = SileroHistory(), some_state(1)
    history.note(0, state)
    state.recurrent[:] = 0
    heard = history.before(0)
    assert heard is not None
    assert heard.state.recurrent.any()


def test_states_reach_back_behind_the_longest_utterance_and_no_further() -> None:
    history = SileroHistory()
    end = 3600 * SAMPLE_RATE
    for position in range(0, end, INTERVAL_SAMPLES + HOP_SAMPLES):
        history.note(position, SileroState())
    assert history.before(end - WHISPER_WINDOW_SAMPLES - LONGEST_PAD_SAMPLES) is not None
    assert history.before(end - 60 * SAMPLE_RATE) is None


def test_before_anything_was_heard_there_is_none() -> None:
    assert SileroHistory().before(0) is None
