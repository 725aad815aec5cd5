"""A transcription session of OpenAI's Realtime API, event by event, without a server."""

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.beta.realtime import ConversationItemCreatedEvent as BetaItemCreated
from openai.types.beta.realtime import TranscriptionSessionUpdatedEvent
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from gateway.closing import Close, CloseCode
from gateway.dialects.dialect import RefusedUpgrade, Turn
from gateway.dialects.realtime.dialect import EVENTS, MAX_EVENT_CHARS, RealtimeDialect
from gateway.dialects.realtime.entrance import RealtimeEntrance
from gateway.messages import FLUSHED, Configure, Flush, Frame
from gateway.refusal import RefusalType, refuse
from tests.gateway.dialects.support import (
    error_frame,
    metadata_of,
    replies,
    requests,
    told,
    transcription,
    upgrade,
)

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


def test_an_utterance_is_an_item() -> None:
    events = told(dialect(), transcription(0, "One.", span=(1.25, 2.5)))
    assert kinds(events) == WHOLE_TURN
    assert len(item_ids(events)) == 1
    started, stopped, committed = events[:3]
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (1_250, 2_500)
    assert committed["previous_item_id"] is None
    assert events[-2]["delta"] == events[-1]["transcript"] == "One."
    assert events[-1]["usage"] == {"type": "duration", "seconds": 1.25}
    assert events[-1]["languages"] == [{"code": "en"}]
    assert len({event["event_id"] for event in events}) == len(events)


def test_items_follow_one_another() -> None:
    events = told(dialect(), transcription(0, "One."), transcription(1, "Two."))
    first, second = [e for e in events if e["type"] == "input_audio_buffer.committed"]
    assert second["previous_item_id"] == first["item_id"] != second["item_id"]


def test_deltas_are_what_is_committed_and_only_add_to_it() -> None:
    events = told(
        dialect(),
        transcription(0, "One to", is_final=False, committed=""),
        transcription(0, "One two thr", is_final=False, committed="One two"),
        transcription(0, "One two three", is_final=False, committed="One two"),
        transcription(0, "One two three four.", is_final=False, committed="One two three"),
        transcription(0, "One two three, four."),
    )
    assert [e["delta"] for e in events if e["type"].endswith("delta")] == [
        "One two",
        " three",
        ", four.",
    ]
    assert kinds(events)[0] == "input_audio_buffer.speech_started"
    assert kinds(events).count("input_audio_buffer.speech_started") == 1


def test_a_final_that_corrects_what_was_told_makes_no_delta() -> None:
    events = told(
        dialect(),
        transcription(0, "One tow", is_final=False, committed="One tow"),
        transcription(0, "One two."),
    )
    assert [e["delta"] for e in events if e["type"].endswith("delta")] == ["One tow"]
    assert events[-1]["transcript"] == "One two."


def test_text_that_is_taken_back_completes_empty_where_it_was() -> None:
    events = told(
        dialect(),
        transcription(0, "Thank", is_final=False, committed="", span=(1.0, 1.5)),
        transcription(0, ""),
    )
    assert kinds(events) == [*WHOLE_TURN[:5], "completed"]
    assert events[1]["audio_end_ms"] == 1_500
    assert (events[-1]["transcript"], events[-1]["languages"]) == ("", [])


def test_a_commit_makes_one_item_of_all_that_was_said_since_the_last() -> None:
    talking = dialect(manual=True)
    assert kinds(told(talking, transcription(0, "One.", span=(0, 1)))) == ["delta"]
    (committed, *added) = replies(talking, append(SECOND), COMMIT)
    assert kinds([committed, *added]) == WHOLE_TURN[2:5]
    events = told(talking, transcription(1, "Two.", span=(2, 4)), FLUSHED)
    assert kinds(events) == ["delta", "completed"]
    assert events[-1]["transcript"] == "One. Two."
    assert events[-1]["usage"]["seconds"] == 3
    assert item_ids(events) == {committed["item_id"]}
    later = told(talking, transcription(2, "Three.", is_final=False))
    assert item_ids(later) != item_ids(events)


def test_a_commit_flushes() -> None:
    talking = dialect(manual=True)
    assert requests(talking, append(SECOND), COMMIT) == [SECOND, Flush()]


def test_a_commit_of_silence_completes_empty() -> None:
    talking = dialect(manual=True)
    replies(talking, append(SECOND), COMMIT)
    (event,) = told(talking, FLUSHED)
    assert (kinds([event]), event["transcript"]) == (["completed"], "")


def test_texts_of_languages_without_spaces_are_joined_without() -> None:
    talking = dialect(manual=True)
    replies(talking, append(SECOND), COMMIT)
    finals = [transcription(n, text, language="ja") for n, text in enumerate(["一つ。", "二つ。"])]
    events = told(talking, *finals, FLUSHED)
    assert [e["delta"] for e in events[:-1]] == ["一つ。", "二つ。"]
    assert events[-1]["transcript"] == "一つ。二つ。"


def test_a_client_may_commit_a_turn_that_would_have_ended_itself() -> None:
    talking = dialect()
    started = told(talking, transcription(0, "One", is_final=False, committed="One"))
    committed = replies(talking, append(SECOND), COMMIT)
    ended = told(talking, transcription(0, "One."), FLUSHED)
    assert kinds(started) == ["input_audio_buffer.speech_started", "delta"]
    assert kinds(committed) == WHOLE_TURN[2:5]
    assert kinds(ended) == ["delta", "completed"]
    assert len(item_ids([*started, *committed, *ended])) == 1


@pytest.mark.parametrize(("audio", "ms"), [(b"", 0), (bytes(4_700), 98)])
def test_a_commit_without_enough_audio_is_an_error(audio: bytes, ms: int) -> None:
    talking = dialect(manual=True)
    (error,) = replies(talking, append(audio), COMMIT | {"event_id": "mine"})
    assert error["error"]["code"] == "input_audio_buffer_commit_empty"
    assert f"has {ms} ms" in error["error"]["message"]
    assert error["error"]["event_id"] == "mine"
    assert requests(talking, append(bytes(4_800 - len(audio))), COMMIT)[-1] == Flush()


def test_what_was_committed_is_not_there_to_commit_again() -> None:
    talking = dialect(manual=True)
    replies(talking, append(SECOND), COMMIT)
    told(talking, FLUSHED)
    assert kinds(replies(talking, COMMIT)) == ["error"]
    by_itself = dialect()
    replies(by_itself, append(SECOND))
    told(by_itself, transcription(0, "One."))
    assert kinds(replies(by_itself, COMMIT)) == ["error"]


def test_a_clear_drops_what_was_not_committed() -> None:
    talking = dialect(manual=True)
    told(talking, transcription(0, "One.", is_final=False))
    assert requests(talking, append(SECOND), CLEAR) == [SECOND, Flush(discard=True)]
    events = told(talking, transcription(0, "One."), error_frame(), FLUSHED)
    assert kinds(events) == ["input_audio_buffer.cleared"]
    assert kinds(replies(talking, COMMIT)) == ["error"]
    replies(talking, append(SECOND), COMMIT)
    assert told(talking, transcription(1, "Two."), FLUSHED)[-1]["transcript"] == "Two."


def test_a_turn_that_could_not_be_transcribed_fails_as_an_item() -> None:
    talking = dialect()
    told(talking, transcription(0, "One", is_final=False))
    events = told(talking, error_frame("out of memory"))
    assert kinds(events) == [*WHOLE_TURN[2:5], "failed"]
    assert events[-1]["error"]["message"] == "out of memory"
    assert kinds(told(talking, transcription(1, "Two."))) == WHOLE_TURN


def test_a_commit_fails_only_if_there_is_no_text() -> None:
    talking = dialect(manual=True)
    assert told(talking, error_frame("out of memory")) == []
    replies(talking, append(SECOND), COMMIT)
    assert kinds(told(talking, FLUSHED)) == ["failed"]
    told(talking, error_frame("out of memory"))
    replies(talking, append(SECOND), COMMIT)
    assert told(talking, transcription(1, "Two."), FLUSHED)[-1]["transcript"] == "Two."


def test_a_turn_without_a_final_fails_when_the_next_one_begins() -> None:
    talking = dialect()
    first = told(talking, transcription(0, "One", is_final=False))
    events = told(talking, transcription(1, "Two.", is_final=False))
    failed, started = kinds(events).index("failed"), kinds(events).index(WHOLE_TURN[0])
    assert failed < started
    assert item_ids(first) == item_ids(events[: failed + 1]) != item_ids(events[started:])


MESSAGES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["one", "two", "three"]), max_size=4),
        st.sampled_from(["partial", "final", "commit", "clear", "error"]),
    ),
    max_size=12,
)


@given(MESSAGES, st.booleans())
def test_every_committed_item_ends_once_and_deltas_never_take_back(
    messages: list[tuple[list[str], str]], manual: bool
) -> None:
    talking, events, num = dialect(manual=manual), [], 0
    for words, kind in messages:
        text = " ".join(words)
        match kind:
            case "partial" | "final":
                is_final = kind == "final"
                events += told(talking, transcription(num, text, is_final=is_final))
                num += is_final
            case "error":
                events += told(talking, error_frame())
            case _:
                events += replies(talking, append(SECOND), COMMIT if kind == "commit" else CLEAR)
                events += told(talking, transcription(num, text), FLUSHED)
                num += 1
    committed = [e["item_id"] for e in events if e["type"] == "input_audio_buffer.committed"]
    ended = [e["item_id"] for e in events if e["type"].endswith(("completed", "failed"))]
    assert len(set(committed)) == len(committed)
    assert ended == committed
    deltas = [e["delta"] for e in events if e["type"].endswith("delta")]
    assert all(deltas)
    kinds(events)


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
