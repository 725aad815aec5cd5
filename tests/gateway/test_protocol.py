"""Metadata: every field, every older spelling, and errors that name what was wrong."""

import json
from typing import Any

import pytest

from gateway.audio import AudioFormat
from gateway.legacy import LEGACY_GROUPS, MetadataError
from gateway.protocol import OPTION_OF, Cadence, Metadata, accepted_by, parse_metadata
from pipeline.options import StreamOptions


def tree_of(path: str, value: Any) -> dict[str, Any]:
    group, _, rest = path.partition(".")
    return {group: tree_of(rest, value) if rest else value}


def parse(path: str, value: Any) -> Any:
    return parse_metadata(json.dumps(tree_of(path, value)))


def refused(message: Any) -> str:
    text = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(MetadataError) as raised:
        parse_metadata(text)
    return str(raised.value)


SAMPLING = "whisper_params.whisper_sampling_params"
FIELDS = [
    ("whisper_params.audio_language", "fr", "language", "fr"),
    ("whisper_params.audio_language", "en-US", "language", "en"),
    ("whisper_params.audio_language", "auto", "language", "auto"),
    ("whisper_params.prompt", "Anna, Bjork", "prompt", "Anna, Bjork"),
    ("whisper_params.language_options", ["en", "de-AT"], "language_options", ["en", "de"]),
    ("whisper_params.language_detection_only", True, "language_detection_only", True),
    ("whisper_params.use_dynamic_preprocessing", True, "dynamic_preprocessing", True),
    ("whisper_params.show_word_timestamps", True, "word_timestamps", True),
    ("whisper_params.show_beam_results", True, "beam_results", True),
    (f"{SAMPLING}.beam_width", 5, "beam_width", 5),
    (f"{SAMPLING}.length_penalty", 0.5, "length_penalty", 0.5),
    (f"{SAMPLING}.repetition_penalty", 1.5, "repetition_penalty", 1.5),
    (f"{SAMPLING}.beam_search_diversity_rate", 0.5, "beam_search_diversity_rate", 0.5),
    (f"{SAMPLING}.no_repeat_ngram_size", 3, "no_repeat_ngram_size", 3),
    ("streaming_params.enable_partial_transcripts", True, "partials", True),
    ("streaming_params.partial_transcript_interval_s", 0.25, "partial_interval_s", 0.25),
    ("streaming_params.partial_transcript_interval_s", 1, "partial_interval_s", 1.0),
    ("streaming_params.final_transcript_max_duration_s", 5, "max_utterance_s", 5.0),
    ("streaming_vad_config.threshold", 0.7, "vad_threshold", 0.7),
    ("streaming_vad_config.min_silence_duration_ms", 500, "min_silence_ms", 500),
    ("streaming_vad_config.min_silence_duration_ms", 500.0, "min_silence_ms", 500),
    ("streaming_vad_config.speech_pad_ms", 30, "speech_pad_ms", 30),
]


@pytest.mark.parametrize(("path", "value", "option", "expected"), FIELDS)
def test_each_field_sets_its_option_and_no_other(
    path: str, value: Any, option: str, expected: Any
) -> None:
    assert parse(path, value).stream == StreamOptions(**{option: expected})


def test_the_fields_above_are_all_there_are() -> None:
    assert {path for path, *_ in FIELDS} == set(OPTION_OF)
    resumed = {"start_sample", "listen_from", "settled_until", "vad_state", "vad_state_at"}
    resumed |= {"found_language", "found_language_prob"}
    assert set(OPTION_OF.values()) == set(StreamOptions.model_fields) - resumed


def test_nothing_given_means_the_defaults() -> None:
    options = parse_metadata("{}")
    assert options.stream == StreamOptions()
    assert options.audio == AudioFormat("pcm_s16le", 16_000)
    assert not options.timing_info
    assert parse_metadata('{"streaming_diarization_config": {}}') == options


def test_encoding_rate_and_timing_are_read() -> None:
    options = parse_metadata(
        '{"streaming_params": {"encoding": "pcm_mulaw", "sample_rate": 8000.0},'
        '"include_timing_info": true}'
    )
    assert options.audio == AudioFormat("pcm_mulaw", 8000)
    assert options.timing_info


@pytest.mark.parametrize("path", [*OPTION_OF, *Metadata.model_fields, SAMPLING])
def test_null_means_not_given(path: str) -> None:
    assert parse(path, None) == parse_metadata("{}")


@pytest.mark.parametrize(
    ("path", "value", "option"),
    [
        ("vad_params.threshold", 0.7, "vad_threshold"),
        ("vad_params.min_silence_duration_ms", 500, "min_silence_ms"),
        ("vad_params.speech_pad_ms", 30, "speech_pad_ms"),
        ("streaming_whisper_params.enable_partial_transcripts", True, "partials"),
        ("streaming_whisper_params.audio_language", "fr", "language"),
        ("streaming_whisper_params.show_word_timestamps", True, "word_timestamps"),
        ("asr_options.beam_size", 5, "beam_width"),
    ],
)
def test_each_older_spelling_sets_the_same_option(path: str, value: Any, option: str) -> None:
    assert parse(path, value).stream == StreamOptions(**{option: value})


def test_the_older_spelling_of_the_audio_is_read() -> None:
    audio = {"encoding": "pcm_mulaw", "sample_rate": 8000}
    options = parse_metadata(json.dumps({"streaming_whisper_params": audio}))
    assert options.audio == AudioFormat("pcm_mulaw", 8000)


def test_the_present_spelling_counts_where_both_are_sent() -> None:
    options = parse_metadata(
        '{"vad_params": {"threshold": 0.9, "speech_pad_ms": 40},'
        '"streaming_vad_config": {"threshold": 0.3}}'
    )
    assert options.stream == StreamOptions(vad_threshold=0.3, speech_pad_ms=40)


WRONG = [
    ("streaming_params.sample_rate", 7999, "an integer, at least 8000 and at most 48000"),
    ("streaming_params.sample_rate", 48_001, "an integer, at least 8000 and at most 48000"),
    ("streaming_params.sample_rate", "16000", "an integer, at least 8000 and at most 48000"),
    ("streaming_params.sample_rate", 16000.5, "an integer, at least 8000 and at most 48000"),
    ("streaming_params.sample_rate", True, "an integer, at least 8000 and at most 48000"),
    ("streaming_params.encoding", "opus", "pcm_s16le or pcm_mulaw"),
    ("streaming_params.encoding", 5, "pcm_s16le or pcm_mulaw"),
    ("streaming_params.enable_partial_transcripts", "yes", "true or false"),
    ("streaming_params.enable_partial_transcripts", 1, "true or false"),
    ("streaming_params.partial_transcript_interval_s", 0, "a number, at least 0.1 and at most 30"),
    ("streaming_params.final_transcript_max_duration_s", 31, "at most 30"),
    ("streaming_vad_config.threshold", 1.5, "a number, above 0 and below 1"),
    ("streaming_vad_config.threshold", True, "a number, above 0 and below 1"),
    ("streaming_vad_config.min_silence_duration_ms", -1, "an integer, at least 0"),
    ("streaming_vad_config.speech_pad_ms", "30", "an integer, at least 0 and at most 5000"),
    ("streaming_vad_config", [], "an object"),
    ("whisper_params.audio_language", "xx", "auto or an ISO 639-1 language code"),
    ("whisper_params.audio_language", 5, "auto or an ISO 639-1 language code"),
    ("whisper_params.prompt", ["a"], "a string, of length 4096 at most"),
    ("whisper_params.prompt", "a" * 5000, "a string, of length 4096 at most"),
    ("whisper_params.prompt", "\ud800", "a string"),
    ("whisper_params.language_options", "en", "a list of language codes"),
    ("whisper_params", 3, "an object"),
    (SAMPLING, "beam", "an object"),
    (f"{SAMPLING}.beam_width", 0, "an integer, at least 1 and at most 10"),
    ("include_timing_info", "true", "true or false"),
    ("vad_params.threshold", 7, "a number, above 0 and below 1"),
    ("vad_params", True, "an object"),
    ("streaming_whisper_params.sample_rate", 1, "an integer, at least 8000"),
    ("streaming_whisper_params.audio_language", "xx", "auto or an ISO 639-1 language code"),
    ("asr_options.beam_size", 11, "an integer, at least 1 and at most 10"),
    ("streaming_diarization_config", 5, "an object"),
]


@pytest.mark.parametrize(("path", "value", "accepted"), WRONG)
def test_a_wrong_value_is_named_as_spelled_with_what_is_accepted(
    path: str, value: Any, accepted: str
) -> None:
    text = refused(tree_of(path, value))
    assert text.startswith(f"{path}: found ")
    assert accepted in text


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        ("sample_rate", "whisper_params, streaming_params, streaming_vad_config"),
        ("whisper_params.language", "audio_language, prompt, language_options"),
        (f"{SAMPLING}.temperature", "beam_width, length_penalty, repetition_penalty"),
        ("streaming_params.rate", "encoding, sample_rate, enable_partial_transcripts"),
        ("streaming_vad_config.pad", "threshold, min_silence_duration_ms, speech_pad_ms"),
        ("vad_params.pad", "threshold, min_silence_duration_ms, speech_pad_ms"),
        ("streaming_whisper_params.prompt", "encoding, sample_rate"),
        ("asr_options.beam", "beam_size"),
        ("\ud800", "whisper_params"),
    ],
)
def test_an_unknown_field_is_named_with_the_fields_of_its_group(path: str, accepted: str) -> None:
    text = refused(tree_of(path, 1))
    assert text.startswith(f"{path}: unknown field")
    assert accepted in text


def test_an_item_of_a_list_is_named_by_its_place() -> None:
    text = refused({"whisper_params": {"language_options": ["en", "xx"]}})
    assert text.startswith('whisper_params.language_options[1]: found "xx"')


def test_several_problems_are_told_at_once_but_not_a_thousand() -> None:
    assert "; b: unknown" in refused({"a": 1, "b": 2})
    assert len(refused({f"key {i}": i for i in range(1000)})) < 2000


def test_diarization_is_not_supported() -> None:
    text = refused({"streaming_diarization_config": {"enable": True}})
    assert "streaming_diarization_config: speaker diarization is not supported" in text


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "3", '"{}"', '{"a": NaN}', "[" * 60_000, '{"a": ' + "1" * 5000 + "}"],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    assert "JSON" in refused(text)


def test_a_request_in_place_of_the_metadata_is_told_so() -> None:
    assert "it must come first" in refused({"type": "end_audio"})


def test_long_values_are_cut_and_long_messages_refused() -> None:
    assert len(refused({"x" * 10_000: 1})) < 500
    assert "65536 at most" in refused({"whisper_params": {"prompt": "x" * 70_000}})


def test_every_field_can_say_what_it_accepts() -> None:
    paths = [*OPTION_OF, "streaming_params.encoding", "include_timing_info"]
    assert all(accepted_by(path) for path in paths)


def test_older_spellings_lead_to_fields_that_exist() -> None:
    targets = {path for group in LEGACY_GROUPS.values() for path in group.values()}
    assert targets <= {*OPTION_OF, "streaming_params.encoding", "streaming_params.sample_rate"}


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 1.5), (0.25, 0.75), (0.5, 0.75), (0.75, 0.75), (2.0, 2.0)]
)
def test_the_operator_decides_the_cadence_of_who_does_not_say_and_the_least_of_all(
    asked: float | None, expected: float
) -> None:
    params = {} if asked is None else {"partial_transcript_interval_s": asked}
    cadence = Cadence(interval_s=1.5, least_interval_s=0.75)
    options = parse_metadata(json.dumps({"streaming_params": params}), cadence)
    assert options.stream.partial_interval_s == expected
