"""What perf_analyzer is given: recordings as sequences of hops, speech as engine requests."""

from base64 import b64decode
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from build import fetch_weights
from pipeline.audio import SAMPLE_RATE, ms_to_samples
from pipeline.contract import AUDIO, ENGINE_INPUTS
from pipeline.log_mel import LogMel, WindowPolicy
from pipeline.tokens import WhisperTokenizer
from scripts.perf import engine, input_data
from scripts.perf.engine import MOST_SHIFT, WINDOWS, SpokenWindow, windows
from scripts.perf.input_data import TensorData
from scripts.perf.server import window_info
from scripts.recording import Pcm
from scripts.server import Settings

HOP = ms_to_samples(160)
PAUSE = ms_to_samples(400)


def array(tensor: TensorData, data_type: str) -> NDArray[np.generic]:
    """As perf_analyzer reads a tensor: bytes in row-major order, little endian."""
    data = b64decode(tensor["content"]["b64"], validate=True)
    return np.frombuffer(data, np.dtype(data_type).newbyteorder("<")).reshape(tensor["shape"])


def speech(seconds: float, offset: int = 0) -> Pcm:
    """Samples that tell where they are."""
    return (np.arange(round(seconds * SAMPLE_RATE)) + offset).astype(np.int16)


def test_each_recording_is_a_sequence_and_its_hops_are_its_audio_and_a_pause() -> None:
    recordings = [speech(1.0), speech(0.5)]
    data = input_data.sequences(recordings, HOP, PAUSE)["data"]
    assert [len(sequence) for sequence in data] == [9, 6]
    for recording, sequence in zip(recordings, data, strict=True):
        sent = np.concatenate([array(hop[AUDIO.name], "i2") for hop in sequence])
        assert np.array_equal(sent[: len(recording)], recording)
        assert not sent[len(recording) :].any()


@given(samples=st.integers(0, 5 * HOP), hop=st.integers(1, HOP), pause=st.integers(0, HOP))
def test_hops_are_whole_and_the_pause_is_shorter_than_one_more_hop(
    samples: int, hop: int, pause: int
) -> None:
    (sequence,) = input_data.sequences([np.ones(samples, np.int16)], hop, pause)["data"]
    assert {tuple(request[AUDIO.name]["shape"]) for request in sequence} <= {(hop,)}
    assert samples + pause <= len(sequence) * hop < samples + pause + hop


def test_a_hop_has_the_ensembles_input_and_nothing_else() -> None:
    ((hop, *_),) = input_data.sequences([speech(0.2)], HOP, PAUSE)["data"]
    assert list(hop) == [AUDIO.name]


def test_requests_lose_the_batch_dimension_and_nothing_else() -> None:
    tensors: dict[str, NDArray[np.generic]] = {
        "features": np.array([[[1.5, -65504, 6e-8], [np.inf, 0.1, -0.0]]], np.float16),
        "flag": np.array([[True]]),
        "count": np.array([[-2]], np.int32),
        "weight": np.array([[0.1]], np.float32),
    }
    (request,) = input_data.requests([tensors])["data"]
    assert list(request) == list(tensors)
    for name, expected in tensors.items():
        found = array(request[name], expected.dtype.str[1:])
        assert found.shape == expected.shape[1:]
        assert found.tobytes() == expected.tobytes()


def test_bytes_are_little_endian_whatever_the_array_is() -> None:
    assert input_data.tensor(np.array([1], ">i4")) == input_data.tensor(np.array([1], "<i4"))


def test_windows_are_different_equally_long_and_of_every_language() -> None:
    cut = windows({"en": [speech(4), speech(5)], "es": [speech(7, 9)]}, WINDOWS, 5.0)
    assert len(cut) == WINDOWS
    assert {len(audio) for audio, _ in cut} == {5 * SAMPLE_RATE}
    assert len({(audio.tobytes(), language) for audio, language in cut}) == WINDOWS
    assert sum(language == "en" for _, language in cut) == WINDOWS // 2


def test_windows_come_from_the_whole_of_the_speech_in_no_order() -> None:
    pcm = speech(2.0)
    cut = windows({"en": [pcm]}, 10, 1.0)
    starts = [int(audio[0]) for audio, _ in cut]
    assert starts != sorted(starts)
    gaps = {later - earlier for earlier, later in pairwise(sorted(starts))}
    assert min(starts) == 0
    assert gaps == {(len(pcm) - SAMPLE_RATE - MOST_SHIFT) // 10}


@given(shift=st.integers(1, MOST_SHIFT))
def test_a_shift_makes_every_window_another_one(shift: int) -> None:
    pcm = np.random.default_rng(0).integers(-999, 999, 2 * SAMPLE_RATE).astype(np.int16)
    cut = {audio.tobytes() for audio, _ in windows({"en": [pcm]}, 7, 1.0)}
    moved = windows({"en": [pcm]}, 7, 1.0, shift)
    assert {len(audio) for audio, _ in moved} == {SAMPLE_RATE}
    assert not cut & {audio.tobytes() for audio, _ in moved}


def test_a_language_with_too_little_speech_is_left_out() -> None:
    cut = windows({"en": [speech(9)], "es": [speech(5)]}, WINDOWS, 5.0)
    assert {language for _, language in cut} == {"en"}


def test_too_little_speech_is_one_line_that_says_what_to_give() -> None:
    with pytest.raises(ValueError, match=r"160 windows of 5 s .* 3\.0 s of speech: give more rec"):
        windows({"en": [speech(3)]}, WINDOWS, 5.0)


def test_every_step_of_the_engine_gets_windows_of_its_own() -> None:
    asked: list[SpokenWindow] = []

    def features(audio: Pcm, language: str) -> dict[str, NDArray[np.generic]]:
        asked.append(SpokenWindow(audio, language))
        return {"encoder_input_features": np.ones((1, 2, 80), np.float16)}

    pcm = np.random.default_rng(0).integers(-999, 999, 3 * SAMPLE_RATE).astype(np.int16)
    subject = engine.EngineTest("host:1", {"en": [pcm]}, features, 4, 1.0, 5.0, 10, 10.0)
    for _ in range(2):
        assert len(subject.input()["data"]) == 4
    assert len({audio.tobytes() for audio, _ in asked}) == 8


def test_a_request_holds_all_of_the_contract_as_log_mel_makes_it() -> None:
    folder = fetch_weights.model_folder(Settings.model)
    stage = LogMel(WindowPolicy(), WhisperTokenizer(str(folder)), NoDetector())
    audio = speech(3)
    made = stage.prepare(audio, window_info(len(audio), "es"))
    tensors = {each.name: made[each.name] for each in ENGINE_INPUTS}
    (request,) = input_data.requests([tensors])["data"]
    assert list(request) == [each.name for each in ENGINE_INPUTS]
    assert request["encoder_input_features"]["shape"] == [350, 80]  # 0.5 s of silence
    assert array(request["input_lengths"], "i4").tolist() == [350]
    sent = array(request["encoder_input_features"], "f2")
    assert np.array_equal(sent, made["encoder_input_features"][0])


class NoDetector:
    """The language is always given here."""

    def detect(self, waveform: NDArray[np.float32], options: list[str]) -> tuple[str, float]:
        raise AssertionError(options)
