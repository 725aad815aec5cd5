"""The API over real HTTP, in front of a toy recogniser that hears every sample."""

import pytest

from gateway.refusal import RefusalType
from tests.contract import assert_promised_by_openapi
from tests.gateway.conftest import Serve
from tests.gateway.fake_triton import FakeTriton, text_of
from tests.gateway.rest.http_client import TRANSCRIPTIONS, form, post, request, wav
from tests.gateway.support import HOP_SAMPLES, Server, silence, speech, tone

SPOKEN = " ".join(text_of(tone(3 * HOP_SAMPLES, seed).tobytes()) for seed in (1, 2))
SPEECH = wav(speech(1, 2))


async def test_every_sample_of_the_file_is_heard_in_order(server: Server) -> None:
    answer = await post(server, SPEECH, model="whisper-1")
    assert answer.status == 200
    assert answer.json == {
        "text": SPOKEN,
        "languages": [{"code": "en"}],
        "usage": {"type": "duration", "seconds": 1},
    }


async def test_model_and_every_other_field_may_be_left_out(server: Server) -> None:
    assert (await post(server, SPEECH)).json["text"] == SPOKEN


async def test_fields_may_follow_the_file(server: Server) -> None:
    data = form(SPEECH)
    data.add_field("response_format", "text")
    assert (await request(server, data=data)).text == SPOKEN + "\n"


async def test_silence_has_an_empty_text(server: Server) -> None:
    answer = await post(server, wav(silence(20_000)), response_format="verbose_json")
    assert answer.json == {
        "task": "transcribe",
        "language": "und",
        "duration": 1.25,
        "text": "",
        "segments": [],
        "usage": {"type": "duration", "seconds": 2},
    }


@pytest.mark.parametrize(
    ("response_format", "content_type"),
    [
        ("json", "application/json"),
        ("verbose_json", "application/json"),
        ("text", "text/plain"),
        ("srt", "application/x-subrip"),
        ("vtt", "text/vtt"),
    ],
)
async def test_every_format_has_its_content_type(
    server: Server, response_format: str, content_type: str
) -> None:
    answer = await post(server, SPEECH, response_format=response_format)
    assert answer.headers["Content-Type"] == f"{content_type}; charset=utf-8"
    assert SPOKEN.split()[-1] in answer.text


async def test_what_is_asked_for_reaches_the_session(server: Server, triton: FakeTriton) -> None:
    await post(server, SPEECH, language="fr", prompt="Digium", include=["logprobs"])
    options = triton.hops[0].parameters["options"]
    assert '"fr"' in options
    assert "Digium" in options
    assert '"word_timestamps":true' in options.replace(" ", "")


async def test_events_add_to_the_text_and_end_with_the_whole(server: Server) -> None:
    answer = await post(server, SPEECH, stream="true")
    assert answer.headers["Content-Type"] == "text/event-stream"
    *deltas, done = answer.events
    assert [delta["type"] for delta in deltas] == ["transcript.text.delta"] * 2
    assert "".join(delta["delta"] for delta in deltas) == SPOKEN
    assert done == {
        "type": "transcript.text.done",
        "text": SPOKEN,
        "languages": [{"code": "en"}],
    }


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_log_probabilities_are_one_for_each_word(server: Server, stream: str) -> None:
    answer = await post(server, SPEECH, stream=stream, include=["logprobs"])
    whole = answer.events[-1] if stream == "true" else answer.json
    assert "".join(word["token"] for word in whole["logprobs"]) == SPOKEN
    for word in whole["logprobs"]:
        assert bytes(word["bytes"]).decode() == word["token"]
    if stream == "true":
        told = [word for event in answer.events[:-1] for word in event["logprobs"]]
        assert told == whole["logprobs"]


async def test_the_models_are_listed_and_described(serve: Serve) -> None:
    async with serve(models=("whisper-1", "our/large")) as server:
        listed = await request(server, "/v1/models", "GET")
        assert listed.json["object"] == "list"
        assert [model["id"] for model in listed.json["data"]] == ["whisper-1", "our/large"]
        one = await request(server, "/v1/models/our/large", "GET")
        assert one.json == listed.json["data"][1]
        assert {"id", "object", "created", "owned_by"} == set(one.json)
        unknown = await request(server, "/v1/models/gpt-2", "GET")
        assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("path", "method"),
    [(TRANSCRIPTIONS, "POST"), ("/v1/models", "GET"), ("/v1/models/whisper-1", "GET")],
)
async def test_without_a_known_key_nothing_is_told(serve: Serve, path: str, method: str) -> None:
    async with serve(api_keys=("one",)) as server:
        for headers in ({}, {"Authorization": "Bearer two"}):
            answer = await request(server, path, method, headers=headers)
            assert answer.status == 401
            assert answer.error["type"] == "invalid_request_error"
            assert answer.error["code"] == "invalid_api_key"


async def test_a_known_key_opens_the_door(serve: Serve) -> None:
    async with serve(api_keys=("one",)) as server:
        answer = await request(server, data=form(SPEECH), headers={"Authorization": "Bearer one"})
        assert answer.json["text"] == SPOKEN


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/audio/speech", "POST"),
        ("/v1/audio/transcriptions", "GET"),
        ("/v1/chat/completions", "POST"),
        ("/v1/models", "DELETE"),
    ],
)
async def test_what_there_is_not_is_told_in_the_same_shape(
    server: Server, path: str, method: str
) -> None:
    answer = await request(server, path, method)
    assert (answer.status, answer.error["code"]) == (404, "unknown_url")
    assert f"{method} {path}" in answer.error["message"]


async def test_translation_is_refused_with_what_there_is_instead(server: Server) -> None:
    answer = await request(server, "/v1/audio/translations", data=form(SPEECH))
    assert answer.status == 404
    assert "translation is not supported" in answer.error["message"]


@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        ("max_streams", RefusalType.TOO_MANY_STREAMS),
        ("max_streams_per_address", RefusalType.TOO_MANY_STREAMS_OF_ADDRESS),
    ],
)
async def test_a_full_server_says_when_to_come_again(
    serve: Serve, limit: str, kind: RefusalType
) -> None:
    async with serve(**{limit: 1}) as server, server.connect():
        answer = await post(server, SPEECH)
        assert answer.status == 503
        assert answer.error["type"] == "server_error"
        assert answer.error["code"] == kind.wire_name
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "Transcription"),
        ({"include": ["logprobs"]}, "Transcription"),
        ({"response_format": "verbose_json"}, "TranscriptionVerbose"),
        (
            {
                "response_format": "verbose_json",
                "timestamp_granularities": ["word", "segment"],
            },
            "TranscriptionVerbose",
        ),
        ({"temperature": "9"}, "ErrorBody"),
    ],
    ids=str,
)
async def test_answers_are_as_openapi_says(
    server: Server, fields: dict[str, str | list[str]], name: str
) -> None:
    answer = await post(server, SPEECH, **fields)
    assert_promised_by_openapi(answer.json, name)


async def test_events_are_as_openapi_says(server: Server) -> None:
    answer = await post(server, SPEECH, stream="true", include=["logprobs"])
    *deltas, done = answer.events
    for delta in deltas:
        assert_promised_by_openapi(delta, "TextDelta")
    assert_promised_by_openapi(done, "TextDone")
