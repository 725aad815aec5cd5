"""The frames around transcriptions: what the server says besides them, and what clients may ask.

Pure. Transcription messages are made by the pipeline; metadata is `gateway.protocol`'s. `Alive`,
`Flush` and `Configure` are not on the wire: only code of the gateway that speaks for a client says
them.
"""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

Frame = dict[str, Any]

HEALTHY: Frame = {"type": "health_check", "body": {"status": "ok"}}
ACKNOWLEDGED: Frame = {"type": "end_audio", "body": {"status": "acknowledged"}}
FINISHED: Frame = {"type": "end_audio", "body": {"status": "finished"}}
FLUSHED: Frame = {"type": "flush", "body": {"status": "finished"}}
"""Not on the wire: the finals of all audio before a `Flush` have been sent."""

MAX_TEXT_CHARS = 65_536
"""Longest text frame that is parsed: megabytes of JSON would hold up other sessions."""
MAX_SHOWN_CHARS = 80


class Request(Enum):
    """What a client's text frame may ask for, by its `type`."""

    END_AUDIO = "end_audio"
    HEALTH_CHECK = "health_check"


@dataclass(frozen=True, slots=True)
class Alive:
    """The client has said something that is not for the session: it is still there."""


@dataclass(frozen=True, slots=True)
class Flush:
    """End the open utterance here. `FLUSHED` follows its final; audio behind it waits for that."""

    discard: bool = False
    """Nobody waits for the open utterance: it gets no final."""


@dataclass(frozen=True, slots=True)
class Configure:
    """End the open utterance here; for the audio behind it this metadata (JSON) counts."""

    metadata: str


class RequestError(ValueError):
    """A text frame that is none of the requests; the session goes on."""


def error_frame(message: str) -> Frame:
    """An error, in both places where clients look for it."""
    return {"type": "error", "message": message, "body": {"message": message}}


def parse_json(text: str, max_chars: int = MAX_TEXT_CHARS) -> Any:
    """Strict JSON, without Python's NaN and Infinity.

    Raises:
        ValueError: it is not JSON; the text says where.
    """
    if len(text) > max_chars:
        raise ValueError(f"{len(text)} characters; accepted are {max_chars} at most")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_request(text: str) -> Request:
    """What a text frame after the metadata asks for.

    Raises:
        RequestError: nothing that is known; the text says what is accepted.
    """
    accepted = " or ".join(json.dumps({"type": request.value}) for request in Request)
    try:
        message = parse_json(text)
    except ValueError as error:
        raise RequestError(f"malformed JSON ({error}); accepted is {accepted}") from error
    try:
        return Request(message["type"])
    except (TypeError, KeyError, ValueError):
        raise RequestError(f"unknown message {show(message)}; accepted is {accepted}") from None


def show(value: Any) -> str:
    """A client's value for an error message, as JSON that is cut when it is long."""
    try:
        return cut(json.dumps(value))
    except RecursionError:
        return "a deeply nested value"


def cut(text: str) -> str:
    """Text of a client for an error message."""
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 3]}..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
