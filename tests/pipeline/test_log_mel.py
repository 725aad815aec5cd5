"""The log-mel stage: what the engine is given for a window."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import MAX_MEL_FRAMES, SAMPLE_RATE, WHISPER_WINDOW_SAMPLES
from pipeline.companion import Companion
from pipeline.contract import ENGINE_INPUTS, LANGUAGE_PROB, Tensor
from pipeline.log_mel import LEAST_NEW_TOKENS, NEW_TOKENS_PER_S, LogMel, WindowPolicy
from pipeline.tokens import MAX_PROMPT_TOKENS, MAX_TEXT_TOKENS, WhisperTokenizer
from pipeline.window import KnownText
from tests.pipeline.support import CLIPS, MODEL_DIR, recording, window_info
from tests.stand_in.engine import make_engine

NUMPY_TYPES = {
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_INT32": np.int32,
    "TYPE_BOOL": np.bool_,
}
POLICY = WindowPolicy(trailing_silence_ms=1000, min_partial_ms=3000, min_final_ms=5000)
FULL_WINDOW = WindowPolicy(n_mels=128, min_partial_ms=30_000, min_final_ms=30_000)

Tensors = dict[str, NDArray[np.generic]]


class FixedDetector:
    """Finds the language it was told, and remembers what it was asked."""

    def __init__(self, language: str = "ru") -> None:
        self.asked: list[list[str]] = []
        self._language = language

    def detect(self, waveform: NDArray[np.float32], options: list[str]) -> tuple[str, float]:
        self.asked.append(options)
        return self._language, 0.9


@pytest.fixture
def detector() -> FixedDetector:
    return FixedDetector()


@pytest.fixture
def stage(tokenizer: WhisperTokenizer, detector: FixedDetector) -> LogMel:
    return LogMel(POLICY, tokenizer, detector)


def prepared(
    stage: LogMel, seconds: float = 2.0, language: str | None = "en", **options: object
) -> Tensors:
    audio = np.random.default_rng(0).integers(-900, 900, int(seconds * SAMPLE_RATE), np.int16)
    return stage.prepare(audio, window_info(len(audio), language, **options))


def prompt_of(tensors: Tensors) -> list[int]:
    return [int(token) for token in tensors["decoder_input_ids"][0]]


def fits(array: NDArray[np.generic], tensor: Tensor) -> bool:
    """Whether an array has a tensor's type and shape, behind a batch dimension of 1."""
    shape = (1, *tensor.dims)
    return (
        array.dtype == NUMPY_TYPES[tensor.data_type]
        and len(array.shape) == len(shape)
        and all(wanted in (-1, found) for wanted, found in zip(shape, array.shape, strict=True))
    )


@pytest.mark.parametrize("seconds", [0.1, 2.0, 30.0])
@pytest.mark.parametrize("language", ["en", None])
def test_every_input_of_the_contract_is_made_as_it_says(
    stage: LogMel, seconds: float, language: str | None
) -> None:
    tensors = prepared(stage, seconds, language)
    outputs = (*ENGINE_INPUTS, LANGUAGE_PROB)
    assert sorted(tensors) == sorted(tensor.name for tensor in outputs)
    for tensor in outputs:
        assert fits(tensors[tensor.name], tensor), tensor.name


def test_constants_are_the_models_own(stage: LogMel, tokenizer: WhisperTokenizer) -> None:
    tensors = prepared(stage)
    expected = {
        "end_id": tokenizer.end,
        "pad_id": tokenizer.end,
        "runtime_top_k": 1,
        "return_log_probs": True,
        "temperature": 1.0,
    }
    assert {name: tensors[name].item() for name in expected} == expected


def test_sampling_parameters_are_the_streams(stage: LogMel) -> None:
    tensors = prepared(stage, beam_width=4, length_penalty=0.5, repetition_penalty=1.25)
    names = ("beam_width", "len_penalty", "repetition_penalty")
    assert [tensors[name].item() for name in names] == [4, 0.5, 1.25]


@pytest.mark.parametrize(
    ("seconds", "final", "frames"),
    [
        (0.05, True, 500),
        (0.05, False, 300),
        (2.0, False, 300),
        (2.5, False, 350),
        (4.0, True, 500),
        (5.001, True, 602),
        (29.5, True, 3000),
    ],
)
def test_a_window_is_padded_to_whole_pairs_of_frames(
    stage: LogMel, seconds: float, final: bool, frames: int
) -> None:
    tensors = prepared(stage, seconds, final=final)
    assert tensors["encoder_input_features"].shape == (1, frames, 80)
    assert tensors["input_lengths"].item() == frames
    assert tensors["encoder_output_lengths"].item() == frames / 2


@pytest.mark.parametrize("samples", [1, 319, 320, 79_999, 80_001, WHISPER_WINDOW_SAMPLES, 10**6])
@pytest.mark.parametrize("final", [True, False])
def test_padding_is_even_and_at_most_whispers_window(samples: int, final: bool) -> None:
    for policy in (POLICY, FULL_WINDOW, WindowPolicy(trailing_silence_ms=0)):
        padded = policy.padded_samples(samples, final)
        assert padded % 320 == 0
        assert min(samples, WHISPER_WINDOW_SAMPLES) <= padded <= WHISPER_WINDOW_SAMPLES


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("seconds", [0.5, 12.0, 30.0])
def test_the_full_window_policy_always_gives_whispers_window(
    tokenizer: WhisperTokenizer, detector: FixedDetector, seconds: float, final: bool
) -> None:
    tensors = prepared(LogMel(FULL_WINDOW, tokenizer, detector), seconds, final=final)
    assert tensors["encoder_input_features"].shape == (1, MAX_MEL_FRAMES, 128)
    assert tensors["input_lengths"].item() == MAX_MEL_FRAMES


def test_what_follows_the_audio_is_silence(stage: LogMel) -> None:
    features = prepared(stage, 2.0)["encoder_input_features"][0]
    assert np.all(features[205:] == features.min())
    assert np.mean(features[:195]) > features.min() + 0.5


def test_a_given_language_is_in_the_prompt(stage: LogMel, tokenizer: WhisperTokenizer) -> None:
    expected = ["<|startoftranscript|>", "<|fr|>", "<|transcribe|>", "<|notimestamps|>"]
    ids = [tokenizer._special(token) for token in expected]
    assert prompt_of(prepared(stage, language="fr")) == ids


def test_without_a_language_the_model_goes_on_itself(
    stage: LogMel, tokenizer: WhisperTokenizer, detector: FixedDetector
) -> None:
    assert prompt_of(prepared(stage, language=None)) == [tokenizer.start]
    assert detector.asked == []


def test_detection_among_some_languages_is_the_detectors(
    stage: LogMel, tokenizer: WhisperTokenizer, detector: FixedDetector
) -> None:
    tensors = prepared(stage, language=None, language_options=["en", "ru"])
    assert prompt_of(tensors) == [tokenizer.start, *tokenizer.task_tokens("ru")]
    assert detector.asked == [["en", "ru"]]
    assert tensors[LANGUAGE_PROB.name].item() == pytest.approx(0.9)


def test_a_real_detector_keeps_to_the_languages_asked_for(
    tokenizer: WhisperTokenizer, companion: Companion
) -> None:
    audio = recording(CLIPS / "fr" / "vm-whichbox.wav")
    stage = LogMel(WindowPolicy(), tokenizer, companion)
    info = window_info(len(audio), None, language_options=["es", "fr", "ru"])
    assert tokenizer.language_token("fr") in prompt_of(stage.prepare(audio, info))


@pytest.mark.parametrize("language", ["en", None])
def test_a_prompt_stands_in_front_as_previous_text(
    stage: LogMel, tokenizer: WhisperTokenizer, language: str | None
) -> None:
    tokens = prompt_of(prepared(stage, language=language, prompt="  Gregson, Lestrade "))
    plain = prompt_of(prepared(stage, language=language))
    context = tokenizer.encode(" Gregson, Lestrade")
    assert tokens == [tokenizer.start_of_prev, *context, *plain]


def test_a_blank_prompt_is_none(stage: LogMel, tokenizer: WhisperTokenizer) -> None:
    assert prompt_of(prepared(stage, prompt=" \n ")) == prompt_of(prepared(stage))


def test_of_a_long_prompt_the_last_tokens_stay(stage: LogMel, tokenizer: WhisperTokenizer) -> None:
    text = " ".join(f"word{i}" for i in range(300))
    tokens = prompt_of(prepared(stage, prompt=text))
    assert MAX_PROMPT_TOKENS == 223
    context = tokens[1 : tokens.index(tokenizer.start)]
    assert context == tokenizer.encode(" " + text)[-223:]


def test_most_new_tokens_go_with_the_length_of_the_audio(stage: LogMel) -> None:
    for seconds in (0.5, 2.0, 10.0):
        expected = LEAST_NEW_TOKENS + round(NEW_TOKENS_PER_S * seconds)
        assert prepared(stage, seconds)["request_output_len"].item() == expected
        own_task = prepared(stage, seconds, language=None)["request_output_len"].item()
        assert own_task == expected + 3


@pytest.mark.parametrize("language", ["en", None])
def test_prompt_and_new_tokens_fit_the_decoder(stage: LogMel, language: str | None) -> None:
    tensors = prepared(stage, 30.0, language, prompt="word " * 400)
    room = MAX_TEXT_TOKENS - len(prompt_of(tensors))
    assert 0 < tensors["request_output_len"].item() <= room


def test_detection_only_asks_for_one_token(stage: LogMel) -> None:
    tensors = prepared(stage, 5.0, None, language_detection_only=True)
    assert tensors["request_output_len"].item() == 1


def test_loudness_is_evened_out_only_when_asked(stage: LogMel, jfk: NDArray[np.int16]) -> None:
    quiet = (jfk // 50).astype(np.int16)
    plain = stage.prepare(quiet, window_info(len(quiet)))
    evened = stage.prepare(quiet, window_info(len(quiet), dynamic_preprocessing=True))
    name = "encoder_input_features"
    assert plain[name].shape == evened[name].shape
    assert evened[name].max() > plain[name].max() + 0.3


SAID = KnownText(text="The oak is old.", log_prob=-2.0, tokens=6, language="en", language_prob=0.9)


def compiled(tokenizer: WhisperTokenizer, **policy: Any) -> LogMel:
    """The stage as it works for a compiled engine."""
    return LogMel(replace(FULL_WINDOW, force_known=True, **policy), tokenizer, FixedDetector())


@pytest.mark.parametrize("language", ["en", None])
def test_a_final_begins_with_what_is_known_of_its_audio(
    language: str | None, tokenizer: WhisperTokenizer
) -> None:
    tensors = prepared(compiled(tokenizer), language=language, known=SAID, prompt="Oaks.")
    task = tokenizer.decoder_prompt("en", "")
    assert prompt_of(tensors) == [*task, *tokenizer.encode(" The oak is old.")]


@pytest.mark.parametrize(
    "changes",
    [
        {"known": None},
        {"known": SAID.model_copy(update={"text": ""})},
        {"known": SAID.model_copy(update={"language": None})},
        {"known": SAID.model_copy(update={"text": "oak " * 300})},
        {"known": SAID, "beam_width": 2},
        {"known": SAID, "beam_results": True},
    ],
)
def test_what_is_not_known_for_sure_is_decoded_anew(
    changes: dict[str, Any], tokenizer: WhisperTokenizer
) -> None:
    stage = compiled(tokenizer, most_prompt_tokens=228)
    assert prompt_of(prepared(stage, **changes)) == tokenizer.decoder_prompt("en", "")


def test_an_engine_that_remembers_is_not_told_what_is_known(
    stage: LogMel, tokenizer: WhisperTokenizer
) -> None:
    assert prompt_of(prepared(stage, known=SAID)) == tokenizer.decoder_prompt("en", "")


def test_nothing_goes_beyond_what_an_engine_was_built_for(
    tokenizer: WhisperTokenizer, tmp_path: Path
) -> None:
    engine = make_engine(tmp_path / "engine", Path(MODEL_DIR))
    policy = WindowPolicy(min_final_ms=30_000).limited_to(engine)
    assert policy == replace(
        WindowPolicy(min_final_ms=30_000), n_mels=128, most_prompt_tokens=228, most_beams=1
    )
    tensors = prepared(
        LogMel(policy, tokenizer, FixedDetector()), prompt="word " * 400, beam_width=5
    )
    assert tensors["encoder_input_features"].shape == (1, MAX_MEL_FRAMES, 128)
    assert len(prompt_of(tensors)) == 228
    assert tensors["beam_width"].item() == 1


def test_a_prompt_is_shortened_for_an_engine_that_takes_less(tokenizer: WhisperTokenizer) -> None:
    stage = compiled(tokenizer, most_prompt_tokens=20)
    tokens = prompt_of(prepared(stage, prompt="word " * 400))
    assert len(tokens) == 20
    assert tokens[0] == tokenizer.start_of_prev


def test_a_model_that_may_write_timestamps_has_room_for_them(tokenizer: WhisperTokenizer) -> None:
    """Two more, and one for each second; a model that is told the task writes none."""
    for language, more in ((None, 2 + 10), ("en", 0)):
        plain, timed = (
            prepared(compiled(tokenizer, may_write_timestamps=may), 10.0, language)
            for may in (False, True)
        )
        room = timed["request_output_len"].item() - plain["request_output_len"].item()
        assert room == more
