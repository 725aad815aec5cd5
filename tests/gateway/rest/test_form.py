"""A form's fields become a session's first message, or an error that names the field."""

import json
from typing import Any

import pytest

from gateway.protocol import parse_metadata
from gateway.rest.errors import ApiError, Problem
from gateway.rest.form import SILENCE_MS, ServerVad, parse_form
from pipeline.options import MAX_PROMPT_CHARS, StreamOptions

MODELS = ("whisper-1", "large")


def options(*fields: tuple[str, str]) -> StreamOptions:
    return parse_metadata(parse_form(fields, MODELS).metadata).stream


def problem(*fields: tuple[str, str]) -> Problem:
    with pytest.raises(ApiError) as raised:
        parse_form(fields, MODELS)
    return raised.value.problem


def test_an_empty_form_asks_for_json_in_whatever_language() -> None:
    asked = parse_form([], MODELS)
    assert asked.form.response_format == "json"
    assert not asked.form.stream
    assert options() == StreamOptions(language="auto", min_silence_ms=SILENCE_MS)


def test_language_prompt_and_keywords_go_to_the_session() -> None:
    asked = options(
        ("model", "large"),
        ("language", "fr-FR"),
        ("prompt", "Un rendez-vous."),
        ("keywords[]", "Digium"),
        ("keywords[]", "Asterisk"),
    )
    assert asked.language == "fr"
    assert asked.prompt == "Un rendez-vous. Digium, Asterisk"


def test_languages_restrict_what_is_found() -> None:
    assert options(("languages[]", "en"), ("languages[]", "es")).language_options == ["en", "es"]


def test_of_a_long_prompt_the_end_counts() -> None:
    asked = options(("prompt", "a" * 10_000 + " end"))
    assert len(asked.prompt) == MAX_PROMPT_CHARS
    assert asked.prompt.endswith("a end")


def test_empty_fields_count_as_not_given() -> None:
    names = ("model", "language", "prompt", "temperature", "response_format", "stream")
    assert parse_form([(name, "") for name in names], MODELS) == parse_form([], MODELS)


def test_unknown_fields_are_ignored() -> None:
    assert options(("vad_filter", "true"), ("user", "me")) == options()


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
def test_words_and_segments_are_told_as_asked(name: str) -> None:
    verbose = ("response_format", "verbose_json")
    neither = parse_form([verbose], MODELS)
    assert (neither.words, neither.segments) == (False, True)
    words = parse_form([verbose, (name, "word")], MODELS)
    assert (words.words, words.segments) == (True, False)
    both = parse_form([verbose, (name, "word"), (name, "segment")], MODELS)
    assert (both.words, both.segments) == (True, True)


@pytest.mark.parametrize(
    ("fields", "needs_words"),
    [
        ([("response_format", "json")], False),
        ([("response_format", "verbose_json")], False),
        ([("response_format", "verbose_json"), ("timestamp_granularities[]", "word")], True),
        ([("response_format", "srt")], True),
        ([("response_format", "vtt")], True),
        ([("include[]", "logprobs")], True),
    ],
)
def test_word_times_are_asked_of_the_session_when_something_needs_them(
    fields: list[tuple[str, str]], needs_words: bool
) -> None:
    assert options(*fields).word_timestamps is needs_words


@pytest.mark.parametrize(
    "fields",
    [
        [
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[threshold]", "0.7"),
            ("chunking_strategy[silence_duration_ms]", "900"),
            ("chunking_strategy[prefix_padding_ms]", "300"),
        ],
        [
            (
                "chunking_strategy",
                '{"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 900}',
            )
        ],
    ],
)
def test_voice_activity_detection_is_set_in_either_spelling(fields: list[tuple[str, str]]) -> None:
    asked = options(*fields)
    assert (asked.vad_threshold, asked.min_silence_ms) == (0.7, 900)


def test_chunking_auto_is_the_default() -> None:
    assert options(("chunking_strategy", "auto")) == options()


def test_limits_of_voice_activity_detection_are_those_of_the_session() -> None:
    for ours, theirs in (
        ("threshold", "vad_threshold"),
        ("silence_duration_ms", "min_silence_ms"),
    ):
        limits = StreamOptions.model_fields[theirs].metadata
        assert ServerVad.model_fields[ours].metadata == limits


@pytest.mark.parametrize(
    ("field", "param", "says"),
    [
        (("response_format", "xml"), "response_format", "json, text, srt, verbose_json or vtt"),
        (("temperature", "2"), "temperature", "at most 1"),
        (("temperature", "hot"), "temperature", '"hot"; accepted is a number'),
        (("stream", "perhaps"), "stream", "true or false"),
        (("language", "klingon"), "language", "ISO 639-1"),
        (("languages[]", "xx"), "languages", 'found "xx"; accepted is an ISO 639-1'),
        (("include[]", "everything"), "include", "logprobs"),
        (("timestamp_granularities[]", "letter"), "timestamp_granularities", "word or segment"),
        (("chunking_strategy", "none"), "chunking_strategy", "auto or an object"),
        (("chunking_strategy", "{"), "chunking_strategy", "malformed JSON"),
        (("chunking_strategy[threshold]", "0.5"), "chunking_strategy", "type: found nothing"),
        (("response_format", "diarized_json"), "response_format", "diarization"),
        (("known_speaker_names[]", "Ann"), "known_speaker_names", "diarization"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_accepted(
    field: tuple[str, str], param: str, says: str
) -> None:
    told = problem(field)
    assert (told.status, told.param, told.type) == (400, param, "invalid_request_error")
    assert says in told.message
    assert "\n" not in told.message


def test_a_bad_key_of_an_object_is_named() -> None:
    vad = {"type": "server_vad", "threshold": 3}
    told = problem(("chunking_strategy", json.dumps(vad)))
    assert told.message == (
        "chunking_strategy.threshold: found 3; accepted is a number, above 0 and below 1"
    )


def test_too_many_languages_are_told_how_many_there_may_be() -> None:
    assert "of length 100 at most" in problem(*[("languages[]", "en")] * 101).message


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(problem(("response_format", "x" * 5_000)).message) < 300


def test_a_deeply_nested_value_is_no_defect() -> None:
    assert problem(("chunking_strategy", '{"a":' * 100_000)).status == 400


@pytest.mark.parametrize("model", ["whisper-2", "WHISPER-1"])
def test_an_unknown_model_is_404_with_those_that_there_are(model: str) -> None:
    told = problem(("model", model))
    assert (told.status, told.code, told.param) == (404, "model_not_found", "model")
    assert "whisper-1, large" in told.message


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp_granularities[]": "word"},
        {"timestamp_granularities[]": "word", "response_format": "srt"},
        {"include[]": "logprobs", "response_format": "verbose_json"},
        {"stream": "true", "response_format": "srt"},
        {"stream": "true", "response_format": "verbose_json"},
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any]) -> None:
    assert problem(*fields.items()).status == 400
