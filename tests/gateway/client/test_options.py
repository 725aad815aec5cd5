"""Options become the metadata of the wire, every field of it."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.client.options import Options, merged
from gateway.protocol import OPTION_OF, parse_metadata
from gateway.schemas.messages import schemas

EVERYTHING = Options(
    encoding="pcm_mulaw",
    sample_rate=8_000,
    language="auto",
    language_options=("en", "fr"),
    detect_language_only=True,
    prompt="Digium",
    even_loudness=True,
    words=True,
    beams=True,
    beam_width=3,
    length_penalty=0.9,
    repetition_penalty=1.1,
    beam_search_diversity_rate=0.1,
    no_repeat_ngram_size=2,
    partials=True,
    partial_interval_s=0.25,
    max_utterance_s=20,
    vad_threshold=0.6,
    min_silence_ms=500,
    speech_pad_ms=30,
    timing=True,
)


def leaves(tree: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in tree.items():
        inner = leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else set()
        found |= inner or {prefix + name}
    return found


def test_every_field_of_the_metadata_has_its_option() -> None:
    audio = {"streaming_params.encoding", "streaming_params.sample_rate"}
    assert leaves(EVERYTHING.metadata()) == {*OPTION_OF, *audio, "include_timing_info"}


@pytest.mark.parametrize("options", [Options(), EVERYTHING, Options(partials=False)])
def test_the_server_takes_it(options: Options) -> None:
    metadata = options.metadata()
    Draft202012Validator(schemas()["metadata"]).validate(metadata)
    taken = parse_metadata(json.dumps(metadata))
    assert taken.audio.sample_rate == options.sample_rate
    assert taken.stream.partials is bool(options.partials)


def test_what_is_not_asked_for_is_left_to_the_server() -> None:
    assert Options().metadata() == {
        "streaming_params": {"encoding": "pcm_s16le", "sample_rate": 16_000}
    }


def test_further_fields_are_added_and_win() -> None:
    more = {"streaming_params": {"sample_rate": 8_000}, "include_timing_info": True}
    assert Options(partials=True, more=more).metadata() == {
        "streaming_params": {
            "encoding": "pcm_s16le",
            "sample_rate": 8_000,
            "enable_partial_transcripts": True,
        },
        "include_timing_info": True,
    }


def test_groups_are_merged_without_changing_either() -> None:
    ours: dict[str, Any] = {"a": {"x": 1, "y": 1}, "b": 1}
    assert merged(ours, {"a": {"y": 2}, "c": {"z": 3}}) == {
        "a": {"x": 1, "y": 2},
        "b": 1,
        "c": {"z": 3},
    }
    assert ours == {"a": {"x": 1, "y": 1}, "b": 1}
