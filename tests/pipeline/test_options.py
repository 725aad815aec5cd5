"""A stream's options: defaults, bounds, and errors that name the field."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.options import MAX_PROMPT_CHARS, StreamOptions


def parse(**fields: Any) -> StreamOptions:
    return StreamOptions.model_validate(fields)


def test_defaults_are_the_protocols() -> None:
    assert StreamOptions().model_dump() == {
        "language": "en",
        "language_options": [],
        "language_detection_only": False,
        "prompt": "",
        "dynamic_preprocessing": False,
        "word_timestamps": False,
        "beam_results": False,
        "beam_width": 1,
        "length_penalty": 1.0,
        "repetition_penalty": 1.0,
        "beam_search_diversity_rate": 0.0,
        "no_repeat_ngram_size": 0,
        "partials": False,
        "partial_interval_s": 0.5,
        "max_utterance_s": 30.0,
        "vad_threshold": 0.5,
        "min_silence_ms": 300,
        "speech_pad_ms": 0,
        "start_sample": 0,
        "listen_from": 0,
        "settled_until": 0,
        "vad_state": "",
        "vad_state_at": 0,
        "found_language": None,
        "found_language_prob": 0.0,
    }


BOUNDS = [
    ("beam_width", 1, 10, 1),
    ("no_repeat_ngram_size", 0, 100, 1),
    ("min_silence_ms", 0, 10_000, 1),
    ("speech_pad_ms", 0, 5_000, 1),
    ("length_penalty", 0.0, 5.0, 0.01),
    ("beam_search_diversity_rate", 0.0, 5.0, 0.01),
    ("partial_interval_s", 0.1, 30.0, 0.01),
    ("max_utterance_s", 1.0, 30.0, 0.01),
]


@pytest.mark.parametrize(("field", "low", "high", "step"), BOUNDS)
def test_bounds_belong_to_what_is_accepted_and_nothing_beyond(
    field: str, low: float, high: float, step: float
) -> None:
    for accepted in (low, high):
        assert getattr(parse(**{field: accepted}), field) == accepted
    for refused in (low - step, high + step):
        with pytest.raises(ValidationError, match=rf"\n{field}\n"):
            parse(**{field: refused})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vad_threshold", 0.0),
        ("vad_threshold", 1.0),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 5.1),
        ("start_sample", -1),
        ("vad_state", "no base64"),
        ("vad_state", "AAAA"),
        ("prompt", "x" * (MAX_PROMPT_CHARS + 1)),
        ("language", "xx"),
        ("language", 7),
        ("language_options", ["en"] * 101),
        ("language_options", "en"),
        ("partials", 1),
        ("partials", "true"),
        ("beam_width", 2.0),
        ("beam_width", "2"),
        ("beam_width", True),
        ("max_utterance_s", float("nan")),
        ("length_penalty", float("inf")),
        ("window_length", 30),
    ],
)
def test_errors_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        parse(**{field: value})
    assert [problem["loc"] for problem in error.value.errors()] == [(field,)]


def test_an_error_in_a_list_names_its_place() -> None:
    with pytest.raises(ValidationError) as error:
        parse(language_options=["en", "xx"])
    assert [problem["loc"] for problem in error.value.errors()] == [("language_options", 1)]
    assert "accepted are ISO 639-1 codes" in str(error.value)


@pytest.mark.parametrize(("tag", "code"), [("en-US", "en"), ("AUTO", "auto"), (" Fr ", "fr")])
def test_languages_are_normalized(tag: str, code: str) -> None:
    assert parse(language=tag).language == code


def test_restricting_languages_are_normalized_and_auto_is_none_of_them() -> None:
    assert parse(language_options=["en-GB", "PT_br"]).language_options == ["en", "pt"]
    with pytest.raises(ValidationError):
        parse(language_options=["auto"])


def test_whole_numbers_do_for_fractions() -> None:
    assert parse(max_utterance_s=30, length_penalty=1).max_utterance_s == 30.0


def test_options_survive_their_json() -> None:
    options = parse(language="fr", partials=True, prompt="Ça va ?", language_options=["fr"])
    assert StreamOptions.model_validate_json(options.model_dump_json()) == options


def test_options_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        StreamOptions().beam_width = 2
