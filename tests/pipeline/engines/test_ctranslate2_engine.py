"""The CTranslate2 engine on real recordings, with the real weights."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import MAX_ENCODER_STATES, MAX_MEL_FRAMES
from pipeline.companion import Companion
from pipeline.engines.ctranslate2_engine import CTranslate2Engine
from pipeline.engines.request import (
    EngineRequest,
    Hypothesis,
    Place,
    Purpose,
    parse_request,
)
from pipeline.log_mel import LogMel, WindowPolicy
from pipeline.tokens import WhisperTokenizer
from tests.pipeline.support import (
    CLIPS,
    JFK,
    JFK_WORDS,
    MODEL_DIR,
    recording,
    window_info,
    words_of,
)

ARCTIC = CLIPS / "en" / "arctic_a0009.wav"
FRENCH = CLIPS / "fr" / "vm-whichbox.wav"
SPANISH = CLIPS / "es" / "vm-nonumber.wav"


class CountsStates(CTranslate2Engine):
    """Remembers the length of the states that each call decodes; it shares another one's model."""

    def __init__(self, engine: CTranslate2Engine) -> None:
        vars(self).update(vars(engine))
        self.decoded_states: list[int] = []

    def _generate(
        self,
        states: NDArray[np.float32],
        prompts: list[list[int]],
        requests: Sequence[EngineRequest],
    ) -> list[list[Hypothesis]]:
        self.decoded_states.append(states.shape[1])
        return super()._generate(states, prompts, requests)


class ShortWindowsLoop(CountsStates):
    """An engine that loops in every window but Whisper's own."""

    def _generate(
        self,
        states: NDArray[np.float32],
        prompts: list[list[int]],
        requests: Sequence[EngineRequest],
    ) -> list[list[Hypothesis]]:
        if len(requests[0].features) == MAX_MEL_FRAMES:
            return super()._generate(states, prompts, requests)
        self.decoded_states.append(states.shape[1])
        loop = self.tokenizer.encode(" you know" * 25)
        return [[Hypothesis(loop, [-0.1] * len(loop))] for _ in requests]


def asked(
    tokenizer: WhisperTokenizer, path: Path, language: str | None = "en", **options: object
) -> EngineRequest:
    """What the engine is asked for a recording."""
    audio = recording(path)
    stage = LogMel(WindowPolicy(), tokenizer, Companion(MODEL_DIR))
    ngram = options.get("no_repeat_ngram_size", 0)
    tensors = stage.prepare(audio, window_info(len(audio), language, **options))
    return parse_request(tensors, ngram if isinstance(ngram, int) else 0)


def answer(engine: CTranslate2Engine, request: EngineRequest) -> Hypothesis:
    """The best beam for one window."""
    return engine.transcribe([request])[0][0]


def test_a_recording_is_transcribed(engine: CTranslate2Engine) -> None:
    found = answer(engine, asked(engine.tokenizer, JFK))
    assert words_of(engine.tokenizer.decode(found.tokens)) == JFK_WORDS


def test_every_token_has_a_log_probability_and_none_is_special(engine: CTranslate2Engine) -> None:
    found = answer(engine, asked(engine.tokenizer, ARCTIC))
    assert len(found.tokens) == len(found.log_probs)
    assert max(found.tokens) < engine.tokenizer.end
    assert all(-1 < log_prob <= 0 for log_prob in found.log_probs)


@pytest.mark.parametrize("language", ["en", None])
def test_a_batch_gives_what_each_window_gives_alone(
    engine: CTranslate2Engine, language: str | None
) -> None:
    tokenizer = engine.tokenizer
    requests = [
        asked(tokenizer, ARCTIC, language),
        asked(tokenizer, FRENCH, "fr"),
        asked(tokenizer, JFK, language, prompt="A speech."),
        asked(tokenizer, SPANISH, None),
        asked(tokenizer, ARCTIC, "en", beam_width=2),
    ]
    together = engine.transcribe(requests)
    for request, beams in zip(requests, together, strict=True):
        (alone,) = engine.transcribe([request])
        assert [beam.tokens for beam in beams] == [beam.tokens for beam in alone]
        for beam, expected in zip(beams, alone, strict=True):
            assert sum(beam.log_probs) == pytest.approx(sum(expected.log_probs), abs=0.05)


@pytest.mark.parametrize(
    ("path", "language", "word"), [(FRENCH, "fr", "message"), (SPANISH, "es", "mensaje")]
)
def test_without_a_language_the_model_finds_it(
    engine: CTranslate2Engine, path: Path, language: str, word: str
) -> None:
    found = answer(engine, asked(engine.tokenizer, path, None))
    assert found.tokens[:3] == engine.tokenizer.task_tokens(language)
    assert 0.5 < math.exp(found.log_probs[0]) <= 1
    assert word in words_of(engine.tokenizer.decode(found.tokens))


def test_detection_only_gives_the_languages_token_alone(engine: CTranslate2Engine) -> None:
    request = asked(engine.tokenizer, FRENCH, None, language_detection_only=True)
    found = answer(engine, request)
    assert found.tokens == [engine.tokenizer.language_token("fr")]
    assert len(found.log_probs) == 1


def test_beams_come_best_first(engine: CTranslate2Engine) -> None:
    (beams,) = engine.transcribe([asked(engine.tokenizer, JFK, beam_width=3)])
    assert len(beams) == 3
    assert len({tuple(beam.tokens) for beam in beams}) == 3
    averages = [sum(beam.log_probs) / len(beam.tokens) for beam in beams]
    assert averages == sorted(averages, reverse=True)
    assert set(JFK_WORDS) <= set(words_of(engine.tokenizer.decode(beams[0].tokens)))


@pytest.mark.parametrize("length_penalty", [0.0, 2.0])
def test_the_sum_of_log_probabilities_does_not_depend_on_the_length_penalty(
    engine: CTranslate2Engine, length_penalty: float
) -> None:
    plain = answer(engine, asked(engine.tokenizer, ARCTIC))
    found = answer(engine, asked(engine.tokenizer, ARCTIC, length_penalty=length_penalty))
    assert found.tokens == plain.tokens
    assert sum(found.log_probs) == pytest.approx(sum(plain.log_probs), rel=1e-3)


@pytest.mark.parametrize("option", [{"no_repeat_ngram_size": 1}, {"repetition_penalty": 5.0}])
def test_what_forbids_repetition_reaches_the_model(
    engine: CTranslate2Engine, option: dict[str, Any]
) -> None:
    plain = answer(engine, asked(engine.tokenizer, JFK)).tokens
    found = answer(engine, asked(engine.tokenizer, JFK, **option)).tokens
    assert len(set(plain)) < len(plain)
    assert len(set(found)) == len(found) > 0


def test_a_prompt_steers_and_is_not_repeated(engine: CTranslate2Engine) -> None:
    tokenizer = engine.tokenizer
    plain = tokenizer.decode(answer(engine, asked(tokenizer, ARCTIC)).tokens)
    request = asked(tokenizer, ARCTIC, prompt="Inspector Gregsson looked at Lestrade.")
    steered = tokenizer.decode(answer(engine, request).tokens)
    assert "Gregsson" not in plain
    assert "Gregsson" in steered
    assert "Lestrade" not in steered


def test_no_more_tokens_than_asked_for_come_back(engine: CTranslate2Engine) -> None:
    request = replace(asked(engine.tokenizer, ARCTIC, None), max_new_tokens=5)
    found = answer(engine, request)
    assert len(found.tokens) == len(found.log_probs) == 5
    assert found.tokens[:3] == engine.tokenizer.task_tokens("en")


@pytest.mark.parametrize("language", ["en", None])
def test_a_loop_is_decoded_again_in_whispers_own_window(
    engine: CTranslate2Engine, language: str | None
) -> None:
    looping = ShortWindowsLoop(engine)
    found = answer(looping, asked(engine.tokenizer, ARCTIC, language))
    assert looping.decoded_states[-1] == MAX_ENCODER_STATES
    assert len(looping.decoded_states) == 2
    assert "table" in words_of(engine.tokenizer.decode(found.tokens))


def draft_of(request: EngineRequest, stream: int = 1) -> EngineRequest:
    """The same window as a partial."""
    return replace(request, place=Place(stream, 0, Purpose.PARTIAL))


def test_drafts_of_different_lengths_are_decoded_together_and_with_less_silence(
    engine: CTranslate2Engine,
) -> None:
    counted = CountsStates(engine)
    requests = [asked(engine.tokenizer, JFK), asked(engine.tokenizer, ARCTIC)]
    finals, drafts = counted.transcribe(requests), counted.transcribe([*map(draft_of, requests)])
    assert counted.decoded_states[-1] < min(counted.decoded_states[:-1])
    assert len(counted.decoded_states) == 3
    for final, draft in zip(finals, drafts, strict=True):
        said = [words_of(engine.tokenizer.decode(b[0].tokens)) for b in (final, draft)]
        assert len(set(said[0]) ^ set(said[1])) <= 2


def test_a_draft_that_loops_says_nothing_and_gets_no_second_attempt(
    engine: CTranslate2Engine,
) -> None:
    looping = ShortWindowsLoop(engine)
    found = answer(looping, draft_of(asked(engine.tokenizer, ARCTIC)))
    assert found.tokens == []
    assert len(looping.decoded_states) == 1


def test_silence_is_no_loop_and_ends_soon(engine: CTranslate2Engine) -> None:
    silent = replace(asked(engine.tokenizer, ARCTIC), features=np.full((500, 80), -1.5, np.float16))
    assert len(answer(engine, silent).tokens) < 20


def test_a_window_too_short_for_the_graft_is_refused(engine: CTranslate2Engine) -> None:
    request = asked(engine.tokenizer, ARCTIC)
    with pytest.raises(ValueError, match="too short to graft silence on"):
        engine.transcribe([replace(request, features=request.features[:100])])


def test_whispers_own_window_needs_no_graft(engine: CTranslate2Engine) -> None:
    request = asked(engine.tokenizer, ARCTIC)
    features = np.full((MAX_MEL_FRAMES, 80), request.features.min(), np.float16)
    features[: len(request.features)] = request.features
    found = answer(engine, replace(request, features=features))
    assert "table" in words_of(engine.tokenizer.decode(found.tokens))
