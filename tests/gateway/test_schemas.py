"""The published contract: it is valid by its own rules, and the code keeps it."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from build import fetch_npm
from gateway.legacy import MetadataError
from gateway.messages import ACKNOWLEDGED, FINISHED, HEALTHY, Request, error_frame
from gateway.protocol import parse_metadata
from gateway.refusal import RefusalType, refuse
from gateway.schemas.messages import SERVER_MESSAGES, schemas
from gateway.schemas.routes import documents
from gateway.server import WEBSOCKET_PATHS
from gateway.wire import SERVER_MESSAGE
from tests.contract import assert_promised, assert_promised_by_openapi
from tests.gateway.rest.http_client import request
from tests.gateway.support import Server

PUBLISHED = documents(WEBSOCKET_PATHS)
META_SCHEMA = "node_modules/@asyncapi/specs/schemas/3.0.0.json"


@pytest.mark.parametrize("name", schemas())
def test_every_schema_is_valid_json_schema(name: str) -> None:
    assert schemas()[name]["$schema"].endswith("2020-12/schema")
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize(
    "frame", [ACKNOWLEDGED, FINISHED, HEALTHY, error_frame("something")], ids=str
)
def test_frames_beside_transcriptions_are_as_published(frame: dict[str, Any]) -> None:
    assert_promised(frame)
    assert_promised(frame, frame["type"])
    told = SERVER_MESSAGE.validate_python(frame)
    assert told.model_dump() == frame


def test_every_type_of_the_server_is_published() -> None:
    for kind, model in SERVER_MESSAGES.items():
        assert model.model_fields["type"].annotation.__args__ == (kind,)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", Request)
def test_every_request_is_published(kind: Request) -> None:
    assert_promised({"type": kind.value}, "client_request")


@pytest.mark.parametrize("kind", RefusalType)
def test_every_refusal_is_as_published(kind: RefusalType) -> None:
    assert_promised(refuse(kind, "why").body, "upgrade_refusal")


@pytest.mark.parametrize(
    "frame",
    [
        ACKNOWLEDGED | {"more": 1},
        {"type": "end_audio", "body": {"status": "ended"}},
        {"type": "transcription", "is_final": True},
        {"type": "error", "message": "something"},
        {"type": "unknown"},
    ],
    ids=str,
)
def test_other_frames_are_not(frame: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="is not what is published"):
        assert_promised(frame)


# Metadata: the schema and the check agree.

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = st.one_of(st.integers(-2, 50_000), st.floats(-1, 40), st.sampled_from([0, 1, 300.0]))
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=3), st.just([]), st.just({}))
GROUPS: dict[str, list[str]] = {
    "whisper_params": [
        "prompt",
        "language_detection_only",
        "show_word_timestamps",
        "whisper_sampling_params",
        "unknown",
    ],
    "streaming_params": [
        "encoding",
        "sample_rate",
        "enable_partial_transcripts",
        "partial_transcript_interval_s",
        "final_transcript_max_duration_s",
    ],
    "streaming_vad_config": ["threshold", "min_silence_duration_ms", "speech_pad_ms"],
    "vad_params": ["threshold", "speech_pad_ms", "unknown"],
    "asr_options": ["beam_size"],
}
UNKNOWN = VALUES.filter(lambda value: value is not None)
"""Null is not given, so nobody minds an unknown field that is null; the schema does."""


def fields_of(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    values = {name: UNKNOWN if name == "unknown" else VALUES for name in names}
    return st.fixed_dictionaries({}, optional=values)


METADATA = st.fixed_dictionaries(
    {},
    optional={
        "include_timing_info": VALUES,
        "streaming_diarization_config": VALUES,
        "unknown": UNKNOWN,
        **{group: st.one_of(VALUES, fields_of(names)) for group, names in GROUPS.items()},
    },
)


def is_accepted(metadata: dict[str, Any]) -> bool:
    try:
        parse_metadata(json.dumps(metadata))
    except MetadataError:
        return False
    return True


@UNHURRIED
@given(METADATA)
def test_metadata_that_is_taken_fits_the_schema(metadata: dict[str, Any]) -> None:
    if is_accepted(metadata):
        Draft202012Validator(schemas()["metadata"]).validate(metadata)


@UNHURRIED
@given(METADATA)
def test_metadata_that_fits_the_schema_is_taken(metadata: dict[str, Any]) -> None:
    if Draft202012Validator(schemas()["metadata"]).is_valid(metadata):
        assert is_accepted(metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"whisper_params": None, "streaming_params": {"sample_rate": None}},
        {"whisper_params": {"whisper_sampling_params": {"beam_width": 4, "length_penalty": 1}}},
        {"streaming_params": {"encoding": "pcm_mulaw", "sample_rate": 8000.0}},
        {"vad_params": {"threshold": 0.3}, "asr_options": {"beam_size": 2}},
        {"whisper_params": {"audio_language": "en-US", "language_options": ["en", "fr"]}},
    ],
    ids=str,
)
def test_what_clients_send_fits_the_schema_and_is_taken(metadata: dict[str, Any]) -> None:
    Draft202012Validator(schemas()["metadata"]).validate(metadata)
    assert is_accepted(metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        {"whisper_params": {"beam_width": 1}},
        {"streaming_params": {"sample_rate": 96_000}},
        {"streaming_params": {"sample_rate": 16_000.5}},
        {"streaming_params": {"encoding": "opus"}},
        {"streaming_vad_config": {"threshold": 1}},
        {"streaming_diarization_config": {"speakers": 2}},
        {"include_timing_info": "yes"},
        {"asr_options": {"beam_width": 1}},
    ],
    ids=str,
)
def test_what_cannot_be_used_does_not_fit(metadata: Any) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(schemas()["metadata"]).validate(metadata)
    assert not is_accepted(metadata)


# The descriptions.


def test_openapi_is_valid() -> None:
    OpenAPIV31SpecValidator(PUBLISHED["openapi"]).validate()


@pytest.mark.timeout(600)  # the first run fetches AsyncAPI's schema from npm
def test_asyncapi_is_valid_by_asyncapi_s_own_schema() -> None:
    meta_schema = json.loads((fetch_npm.fetch() / META_SCHEMA).read_text())
    validator = Draft7Validator(meta_schema)
    validator.validate(PUBLISHED["asyncapi"])
    broken = PUBLISHED["asyncapi"] | {"channels": {"session": {"address": 1}}}
    assert not validator.is_valid(broken)


def test_asyncapi_has_every_path_and_its_references_lead_somewhere() -> None:
    document = PUBLISHED["asyncapi"]
    assert [channel["address"] for channel in document["channels"].values()] == [*WEBSOCKET_PATHS]
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def references(document: Any) -> list[str]:
    if isinstance(document, list):
        return [found for each in document for found in references(each)]
    if not isinstance(document, dict):
        return []
    own = [document["$ref"]] if "$ref" in document else []
    return own + [found for value in document.values() for found in references(value)]


async def test_all_of_it_is_published_without_a_key(server: Server) -> None:
    index = (await request(server, "/schema", "GET")).json
    assert set(index) == set(PUBLISHED)
    for name, path in index.items():
        answer = await request(server, path, "GET")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.json == PUBLISHED[name]


async def test_what_is_not_published_is_404(server: Server) -> None:
    for path in ("/schema/nothing.json", "/schema/openapi", "/schema/../server.py"):
        assert (await request(server, path, "GET")).status == 404


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/healthz", "HealthReport"),
        ("/readyz", "ReadinessReport"),
        ("/v1/models", "ModelList"),
        ("/v1/models/whisper-1", "Model"),
    ],
)
async def test_what_is_told_by_http_is_as_openapi_says(
    server: Server, path: str, name: str
) -> None:
    assert_promised_by_openapi((await request(server, path, "GET")).json, name)
