"""A transcription session of OpenAI's Realtime API, event by event, without a server."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.beta.realtime import ConversationItemCreatedEvent as BetaItemCreated
from openai.types.beta.realtime import TranscriptionSessionUpdatedEvent

from gateway.closing import Close, CloseCode
from gateway.dialects.dialect import RefusedUpgrade, Turn
from gateway.dialects.realtime.dialect import EVENTS, MAX_EVENT_CHARS, RealtimeDialect
from gateway.dialects.realtime.entrance import RealtimeEntrance
from gateway.messages import FLUSHED, Configure, Flush, Frame
from gateway.refusal import RefusalType, refuse
from tests.gateway.dialects.realtime_session import (
    COMMIT,
    SECOND,
    WHOLE_TURN,
    append,
    beta_update,
    dialect,
    kinds,
    update,
)
from tests.gateway.dialects.support import (
    metadata_of,
    replies,
    requests,
    told,
    transcription,
    upgrade,
)


def test_the_session_is_told_before_the_client_says_anything() -> None:
    turn = RealtimeDialect(is_beta=False).open()
    (metadata,) = turn.requests
    assert metadata_of(metadata)["streaming_params"]["sample_rate"] == 24_000
    (created,) = turn.replies
    assert kinds([created]) == ["session.created"]
    assert created["session"]["type"] == "transcription"
    assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}


def test_the_beta_has_its_own_session_and_item_events() -> None:
    talking = RealtimeDialect(is_beta=True)
    (created,) = talking.open().replies
    assert created["type"] == "transcription_session.created"
    assert created["session"]["input_audio_format"] == "pcm16"
    assert requests(talking, beta_update(input_audio_format="g711_alaw"))[0] == Flush()
    (updated,) = told(talking, FLUSHED)
    assert updated["session"]["input_audio_format"] == "g711_alaw"
    secret = {"client_secret": {"expires_at": 0, "value": ""}}  # only that of the REST API has one
    TranscriptionSessionUpdatedEvent.model_validate(
        updated | {"session": updated["session"] | secret}
    )
    events = told(talking, transcription(0, "One."))
    (item,) = [event for event in events if event["type"].startswith("conversation.item.c")]
    BetaItemCreated.model_validate(item)
    assert item["type"] == "conversation.item.created"


def test_who_updates_in_the_beta_s_form_is_answered_in_it() -> None:
    talking = dialect()
    requests(talking, beta_update(input_audio_transcription={"model": "whisper-1"}))
    (updated,) = told(talking, FLUSHED)
    assert updated["type"] == "transcription_session.updated"


@given(cuts=st.lists(st.integers(1, 99), max_size=5, unique=True))
def test_appended_audio_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    audio, edges = bytes(range(100)), [0, *sorted(cuts), 100]
    parts = [audio[a:b] for a, b in itertools.pairwise(edges)]
    found = requests(dialect(), *map(append, parts))
    assert b"".join(part for part in found if isinstance(part, bytes)) == audio


def test_a_law_is_expanded_once_it_is_agreed() -> None:
    talking = dialect()
    flush, configure = requests(talking, update(format={"type": "audio/pcma"}))
    assert flush == Flush()
    assert isinstance(configure, Configure)
    assert json.loads(configure.metadata)["streaming_params"]["sample_rate"] == 8_000
    told(talking, FLUSHED)
    assert requests(talking, append(b"\xd5\x55")) == [b"\x08\x00\xf8\xff"]


def test_an_update_counts_when_what_came_before_it_has_been_told() -> None:
    talking = dialect()
    told(talking, transcription(0, "One", is_final=False, committed=""))
    requests(talking, update(turn_detection=None))
    before = told(talking, transcription(0, "One."))
    assert kinds(before) == WHOLE_TURN[1:]
    (updated,) = told(talking, FLUSHED)
    assert kinds([updated]) == ["session.updated"]
    assert updated["session"]["audio"]["input"]["turn_detection"] is None
    assert kinds(told(talking, transcription(1, "Two."))) == ["delta"]


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{broken", "invalid_json", None),
        ("[" * 60_000, "invalid_json", None),
        (" " * (MAX_EVENT_CHARS + 1), "invalid_json", None),
        ("[]", "invalid_event", None),
        (b"\0\0", "invalid_event", None),
        ({"event_id": "mine"}, "invalid_event", None),
        ({"type": "response.create"}, "invalid_value", "type"),
        ({"type": ["session.update"]}, "invalid_value", "type"),
        ({"type": EVENTS[0]}, "invalid_type", "session"),
        ({"type": EVENTS[0], "session": []}, "invalid_type", "session"),
        (
            update(turn_detection={"type": "psychic"}),
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (beta_update(input_audio_format="opus"), "invalid_value", "session.input_audio_format"),
        ({"type": "input_audio_buffer.append"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 3}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "AAA"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "?AAA"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "öAAA"}, "invalid_value", "audio"),
    ],
)
def test_what_cannot_be_followed_is_an_error_event_and_the_session_goes_on(
    message: str | bytes | Frame, code: str, param: str | None
) -> None:
    talking = dialect()
    (error,) = replies(talking, message)
    assert kinds([error]) == ["error"]
    found = error["error"]
    assert (found["type"], found["code"], found["param"]) == ("invalid_request_error", code, param)
    assert len(found["message"]) < 400
    assert requests(talking, append(b"\0\0")) == [b"\0\0"]


def test_an_update_that_cannot_be_used_changes_nothing() -> None:
    talking = dialect()
    replies(talking, update(turn_detection=None, transcription={"language": "xx"}))
    requests(talking, update(transcription={"language": "de"}))
    (updated,) = told(talking, FLUSHED)
    shown = updated["session"]["audio"]["input"]
    assert shown["transcription"]["language"] == "de"
    assert shown["turn_detection"] is not None


def test_the_largest_event_is_taken() -> None:
    envelope = len(json.dumps(append(b"")))
    audio = bytes((MAX_EVENT_CHARS - envelope) // 4 * 3)
    assert requests(dialect(), append(audio)) == [audio]


def test_an_empty_append_is_nothing() -> None:
    assert dialect().hear(json.dumps(append(b""))) == Turn()


@pytest.mark.parametrize(
    ("end", "code", "kind"),
    [
        (Close(CloseCode.INTERNAL, "no engine"), 1011, "server_error"),
        (Close(CloseCode.TOO_LARGE, "too large"), 1009, "invalid_request_error"),
        (Close(CloseCode.OVERLOADED, "not read"), 1013, "invalid_request_error"),
    ],
)
def test_an_end_with_an_error_tells_it_as_an_event(end: Close, code: int, kind: str) -> None:
    last = dialect().farewell(end)
    (error,) = last.frames
    assert kinds([error]) == ["error"]
    assert (last.code, error["error"]["type"], error["error"]["message"]) == (code, kind, end.error)


@pytest.mark.parametrize("code", [CloseCode.NORMAL, CloseCode.RESTART])
def test_an_end_without_an_error_is_only_closed(code: CloseCode) -> None:
    last = dialect().farewell(Close(code))
    assert (last.frames, last.code) == ((), code)


def test_what_was_committed_is_completed_when_the_server_stops_and_nothing_else() -> None:
    talking = dialect(manual=True)
    told(talking, transcription(0, "One."))
    assert talking.farewell(Close(CloseCode.RESTART)).frames == ()
    replies(talking, append(SECOND), COMMIT)
    (completed,) = talking.farewell(Close(CloseCode.RESTART)).frames
    assert (kinds([completed]), completed["transcript"]) == (["completed"], "One.")
    assert talking.farewell(Close(CloseCode.RESTART)).frames == ()


@pytest.mark.parametrize(
    ("headers", "created"),
    [
        ({}, "session.created"),
        ({"OpenAI-Beta": "realtime=v1"}, "transcription_session.created"),
        (
            {"Sec-WebSocket-Protocol": "realtime, openai-beta.realtime-v1"},
            "transcription_session.created",
        ),
    ],
)
def test_a_client_of_the_beta_says_so_at_the_door(headers: dict[str, str], created: str) -> None:
    for query in ("intent=transcription", "model=whisper-1", ""):
        talking = RealtimeEntrance().begin(upgrade(query, headers=headers))
        assert talking.open().replies[0]["type"] == created


def test_there_is_no_conversation_to_be_had() -> None:
    with pytest.raises(RefusedUpgrade) as raised:
        RealtimeEntrance().begin(upgrade("intent=conversation"))
    refusal = raised.value.refusal
    assert refusal.status == 400
    assert refusal.body["error"]["param"] == "intent"


def test_refusals_have_openai_s_shape() -> None:
    own = refuse(RefusalType.UNAUTHORIZED, "no key")
    refusal = RealtimeEntrance().refuse(own)
    assert refusal.status == 401
    assert refusal.body["error"]["code"] == "invalid_api_key"
    assert refusal.body["error"]["message"] == "no key"
