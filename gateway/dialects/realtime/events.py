"""The events that a client is sent, key for key.

Pure but for their ids. Shapes after `openai.types.realtime` of the openai package 3, and
`openai.types.beta.realtime` for the beta.
"""

import secrets
from typing import Any

from gateway.messages import Frame

TRANSCRIPTION = "conversation.item.input_audio_transcription"
INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"


def new_id(kind: str) -> str:
    """An id such as `item_6f0c4b...`."""
    return f"{kind}_{secrets.token_hex(10)}"


def event(kind: str, **fields: Any) -> Frame:
    """An event of this type."""
    return {"type": kind, "event_id": new_id("event"), **fields}


def error(
    message: str,
    *,
    kind: str = INVALID_REQUEST,
    code: str | None = None,
    param: str | None = None,
    event_id: Any = None,
) -> Frame:
    """An error; `event_id` is that of the client's event that caused it."""
    caused_by = event_id if isinstance(event_id, str) else None
    body = {
        "type": kind,
        "code": code,
        "message": message,
        "param": param,
        "event_id": caused_by,
    }
    return event("error", error=body)


def item(item_id: str) -> Frame:
    """A conversation item: what a user has said, which is told apart."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }


def added(item_id: str, previous: str | None, is_beta: bool) -> list[Frame]:
    """An item is in the conversation, behind the previous one."""
    kinds = ["created"] if is_beta else ["added", "done"]
    return [
        event(f"conversation.item.{kind}", previous_item_id=previous, item=item(item_id))
        for kind in kinds
    ]


def delta(item_id: str, text: str) -> Frame:
    """More of an item's text."""
    return event(f"{TRANSCRIPTION}.delta", item_id=item_id, content_index=0, delta=text)


def completed(item_id: str, text: str, seconds: float, languages: list[str]) -> Frame:
    """An item's whole text. `languages` are codes, in the order in which they were heard."""
    return event(
        f"{TRANSCRIPTION}.completed",
        item_id=item_id,
        content_index=0,
        transcript=text,
        languages=[{"code": code} for code in languages],
        logprobs=None,
        usage={"type": "duration", "seconds": round(seconds, 3)},
    )


def failed(item_id: str, message: str) -> Frame:
    """An item has no text, or not all of it."""
    body = {"type": SERVER_ERROR, "code": "transcription_failed", "message": message, "param": None}
    return event(f"{TRANSCRIPTION}.failed", item_id=item_id, content_index=0, error=body)
