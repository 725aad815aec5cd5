"""OpenAI's events, as the tests of the Realtime dialect say and read them."""

import base64
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from gateway.dialects.realtime.dialect import RealtimeDialect
from gateway.messages import FLUSHED, Frame
from tests.gateway.dialects.support import requests, told

COMMIT = {"type": "input_audio_buffer.commit"}
CLEAR = {"type": "input_audio_buffer.clear"}
SECOND = bytes(48_000)
SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
ITEM_EVENTS = "conversation.item.input_audio_transcription."


def append(audio: bytes) -> Frame:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


def update(**parts: Any) -> Frame:
    session = {"type": "transcription", "audio": {"input": parts}}
    return {"type": "session.update", "session": session}


def beta_update(**session: Any) -> Frame:
    return {"type": "transcription_session.update", "session": session}


def dialect(*, is_beta: bool = False, manual: bool = False) -> RealtimeDialect:
    made = RealtimeDialect(is_beta=is_beta)
    made.open()
    if manual:
        requests(made, update(turn_detection=None))
        told(made, FLUSHED)
    return made


def kinds(events: list[Frame]) -> list[str]:
    """Their types, and that the openai package knows each of them."""
    for event in events:
        SERVER_EVENT.validate_python(event)
    return [event["type"].removeprefix(ITEM_EVENTS) for event in events]


def item_ids(events: list[Frame]) -> set[str]:
    return {event.get("item_id") or event["item"]["id"] for event in events}


WHOLE_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "delta",
    "completed",
]
