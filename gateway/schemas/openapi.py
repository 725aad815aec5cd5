"""The OpenAPI 3.1 description of everything that is plain HTTP.

Pure. Requests and answers of the transcription API are the models of `gateway.rest`.
"""

from typing import Any

from pydantic import BaseModel

from gateway.rest.errors import ErrorBody
from gateway.rest.events import TextDelta, TextDone
from gateway.rest.form import TranscriptionForm
from gateway.rest.formats import TEXT_TYPES, Transcription, TranscriptionVerbose
from gateway.rest.models import Model, ModelList
from gateway.rest.paths import MODELS, TRANSCRIPTIONS
from gateway.schemas.asyncapi import JSON_TYPE, LICENSE, TITLE, VERSION
from gateway.schemas.plain import Schema, components_of, reference

Document = dict[str, Any]

OPENAPI = "3.1.0"
FORM_TYPE = "multipart/form-data"
EVENTS_TYPE = "text/event-stream"


class HealthReport(BaseModel):
    """The process lives."""

    status: str
    streams: int
    """Sessions that are open."""
    free_streams: int
    """How many more would be let in now and served in time, by an estimate."""
    partial_delay_s: float | None
    """The median delay of partials in the last 10 s."""
    final_delay_s: float | None
    """The 90th percentile of the delays of finals in the last 10 s."""


class ReadinessReport(BaseModel):
    """Whether a session would be served."""

    ready: bool
    reason: str | None = None
    """Why not."""


ANSWERS: tuple[type[BaseModel], ...] = (
    Transcription,
    TranscriptionVerbose,
    TextDelta,
    TextDone,
    Model,
    ModelList,
    ErrorBody,
    HealthReport,
    ReadinessReport,
)


def openapi() -> Document:
    """The description."""
    return {
        "openapi": OPENAPI,
        "info": {
            "title": TITLE,
            "version": VERSION,
            "summary": "Transcription of whole files, compatible with OpenAI's API.",
            "license": LICENSE,
        },
        "servers": [{"url": "/"}],
        "paths": {
            TRANSCRIPTIONS: {"post": _transcribe()},
            MODELS: {"get": _get("listModels", "The names of the model.", ModelList, keys=True)},
            f"{MODELS}/{{model}}": {"get": _describe_model()},
            "/healthz": {"get": _get("reportHealth", "The process lives.", HealthReport)},
            "/readyz": {"get": _report_readiness()},
            **{f"/schema{path}": {"get": get} for path, get in _schemas().items()},
        },
        "components": {
            "schemas": components_of(ANSWERS) | {"TranscriptionRequest": _form()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _form() -> Schema:
    form = components_of([TranscriptionForm], mode="validation")
    schema = form.pop("TranscriptionForm")
    schema["properties"]["file"] = {
        "description": "The recording.",
        "type": "string",
        "contentMediaType": "application/octet-stream",
    }
    vad = form["ServerVad"]
    strategy = schema["properties"]["chunking_strategy"]
    strategy["anyOf"] = [vad if "$ref" in kind else kind for kind in strategy["anyOf"]]
    return schema | {"required": ["file"]}


def _transcribe() -> Document:
    texts = {kind: {"schema": {"type": "string"}} for kind in TEXT_TYPES.values()}
    whole = {"anyOf": [reference(Transcription), reference(TranscriptionVerbose)]}
    events = {
        "description": "With `stream=true`: the data of the events.",
        "anyOf": [reference(TextDelta), reference(TextDone), reference(ErrorBody)],
    }
    content = {JSON_TYPE: {"schema": whole}, **texts, EVENTS_TYPE: {"schema": events}}
    return {
        "operationId": "createTranscription",
        "summary": "Transcribe a recording.",
        "security": [{"bearer": []}, {}],
        "requestBody": {
            "required": True,
            "content": {
                FORM_TYPE: {"schema": {"$ref": "#/components/schemas/TranscriptionRequest"}}
            },
        },
        "responses": {
            "200": {"description": "The transcript.", "content": content},
            **_errors(
                {
                    "400": "The form, a field or the file cannot be used.",
                    "401": "The key is missing or unknown.",
                    "404": "There is no such model.",
                    "408": "The form has stopped coming.",
                    "413": "The file is too large.",
                    "500": "A part of the audio could not be transcribed.",
                    "503": "Full, overloaded, stopping, or without its engine.",
                }
            ),
        },
    }


def _describe_model() -> Document:
    described = _get("describeModel", "A name of the model.", Model, keys=True)
    described["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    described["responses"] |= _errors({"404": "There is no such model."})
    return described


def _report_readiness() -> Document:
    report = _get("reportReadiness", "A session would be served.", ReadinessReport)
    not_ready = dict(report["responses"]["200"]) | {"description": "None would be served."}
    report["responses"]["503"] = not_ready
    return report


def _get(operation: str, summary: str, answer: type[BaseModel], keys: bool = False) -> Document:
    responses: Document = {
        "200": {"description": summary, "content": {JSON_TYPE: {"schema": reference(answer)}}}
    }
    if keys:
        responses |= _errors({"401": "The key is missing or unknown."})
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{"bearer": []}, {}] if keys else [],
        "responses": responses,
    }


def _schemas() -> dict[str, Document]:
    told = {"": "What is published.", "/{name}.json": "A JSON Schema, or a description."}
    gets: dict[str, Document] = {}
    for number, (path, summary) in enumerate(told.items()):
        content = {JSON_TYPE: {"schema": {"type": "object"}}}
        gets[path] = {
            "operationId": f"{'describe' if number else 'list'}Schema{'' if number else 's'}",
            "summary": summary,
            "security": [],
            "responses": {"200": {"description": summary, "content": content}},
        }
    gets["/{name}.json"]["parameters"] = [
        {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    return gets


def _errors(told: dict[str, str]) -> Document:
    return {
        status: {
            "description": description,
            "content": {JSON_TYPE: {"schema": reference(ErrorBody)}},
        }
        for status, description in told.items()
    }
