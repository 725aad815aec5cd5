"""What every embedded engine does, on real recordings with the real weights."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audio import MAX_MEL_FRAMES
from tests.pipeline.engines.support import (
    ARCTIC,
    FRENCH,
    SPANISH,
    WhisperEngine,
    answer,
    asked,
    transcribe,
)
from tests.pipeline.support import JFK, JFK_WORDS, words_of


def test_a_recording_is_transcribed(any_engine: WhisperEngine) -> None:
    found = answer(any_engine, asked(any_engine.tokenizer, JFK))
    assert words_of(any_engine.tokenizer.decode(found.tokens)) == JFK_WORDS


def test_every_token_has_a_log_probability_and_none_is_special(any_engine: WhisperEngine) -> None:
    found = answer(any_engine, asked(any_engine.tokenizer, ARCTIC))
    assert len(found.tokens) == len(found.log_probs)
    assert max(found.tokens) < any_engine.tokenizer.end
    assert all(-1 < log_prob <= 0 for log_prob in found.log_probs)


@pytest.mark.parametrize("language", ["en", None])
def test_a_batch_gives_what_each_window_gives_alone(
    any_engine: WhisperEngine, language: str | None
) -> None:
    tokenizer = any_engine.tokenizer
    requests = [
        asked(tokenizer, ARCTIC, language),
        asked(tokenizer, FRENCH, "fr"),
        asked(tokenizer, JFK, language, prompt="A speech."),
        asked(tokenizer, SPANISH, None),
        asked(tokenizer, ARCTIC, "en", beam_width=2),
    ]
    together = transcribe(any_engine, requests)
    for request, beams in zip(requests, together, strict=True):
        (alone,) = transcribe(any_engine, [request])
        assert [beam.tokens for beam in beams] == [beam.tokens for beam in alone]
        for beam, expected in zip(beams, alone, strict=True):
            assert sum(beam.log_probs) == pytest.approx(sum(expected.log_probs), abs=0.05)


@pytest.mark.parametrize(
    ("path", "language", "word"), [(FRENCH, "fr", "message"), (SPANISH, "es", "mensaje")]
)
def test_without_a_language_the_model_finds_it(
    any_engine: WhisperEngine, path: Path, language: str, word: str
) -> None:
    found = answer(any_engine, asked(any_engine.tokenizer, path, None))
    assert found.tokens[:3] == any_engine.tokenizer.task_tokens(language)
    assert 0.5 < math.exp(found.log_probs[0]) <= 1
    assert word in words_of(any_engine.tokenizer.decode(found.tokens))


def test_detection_only_gives_the_languages_token_alone(any_engine: WhisperEngine) -> None:
    request = asked(any_engine.tokenizer, FRENCH, None, language_detection_only=True)
    found = answer(any_engine, request)
    assert found.tokens == [any_engine.tokenizer.language_token("fr")]
    assert len(found.log_probs) == 1


def test_beams_come_best_first(any_engine: WhisperEngine) -> None:
    (beams,) = transcribe(any_engine, [asked(any_engine.tokenizer, JFK, beam_width=3)])
    assert len(beams) == 3
    assert len({tuple(beam.tokens) for beam in beams}) == 3
    averages = [sum(beam.log_probs) / len(beam.tokens) for beam in beams]
    assert averages == sorted(averages, reverse=True)
    assert set(JFK_WORDS) <= set(words_of(any_engine.tokenizer.decode(beams[0].tokens)))


@pytest.mark.parametrize("length_penalty", [0.0, 2.0])
def test_the_sum_of_log_probabilities_does_not_depend_on_the_length_penalty(
    any_engine: WhisperEngine, length_penalty: float
) -> None:
    plain = answer(any_engine, asked(any_engine.tokenizer, ARCTIC))
    found = answer(any_engine, asked(any_engine.tokenizer, ARCTIC, length_penalty=length_penalty))
    assert found.tokens == plain.tokens
    assert sum(found.log_probs) == pytest.approx(sum(plain.log_probs), rel=1e-3)


@pytest.mark.parametrize("option", [{"no_repeat_ngram_size": 1}, {"repetition_penalty": 5.0}])
def test_what_forbids_repetition_reaches_the_model(
    any_engine: WhisperEngine, option: dict[str, Any]
) -> None:
    plain = answer(any_engine, asked(any_engine.tokenizer, JFK)).tokens
    found = answer(any_engine, asked(any_engine.tokenizer, JFK, **option)).tokens
    assert len(set(plain)) < len(plain)
    assert len(set(found)) == len(found) > 0


def test_a_prompt_steers_and_is_not_repeated(any_engine: WhisperEngine) -> None:
    tokenizer = any_engine.tokenizer
    plain = tokenizer.decode(answer(any_engine, asked(tokenizer, ARCTIC)).tokens)
    request = asked(tokenizer, ARCTIC, prompt="Inspector Gregsson looked at Lestrade.")
    steered = tokenizer.decode(answer(any_engine, request).tokens)
    assert "Gregsson" not in plain
    assert "Gregsson" in steered
    assert "Lestrade" not in steered


def test_no_more_tokens_than_asked_for_come_back(any_engine: WhisperEngine) -> None:
    request = replace(asked(any_engine.tokenizer, ARCTIC, None), max_new_tokens=5)
    found = answer(any_engine, request)
    assert len(found.tokens) == len(found.log_probs) == 5
    assert found.tokens[:3] == any_engine.tokenizer.task_tokens("en")


def test_silence_is_no_loop_and_ends_soon(any_engine: WhisperEngine) -> None:
    silent = replace(
        asked(any_engine.tokenizer, ARCTIC), features=np.full((500, 80), -1.5, np.float16)
    )
    assert len(answer(any_engine, silent).tokens) < 20


def test_whispers_own_window_is_transcribed(any_engine: WhisperEngine) -> None:
    request = asked(any_engine.tokenizer, ARCTIC)
    features = np.full((MAX_MEL_FRAMES, 80), request.features.min(), np.float16)
    features[: len(request.features)] = request.features
    found = answer(any_engine, replace(request, features=features))
    assert "table" in words_of(any_engine.tokenizer.decode(found.tokens))
