"""Transcriptions as items of a Realtime session: turns, commits, deltas, failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import FLUSHED, Flush
from tests.gateway.dialects.realtime_session import (
    CLEAR,
    COMMIT,
    SECOND,
    WHOLE_TURN,
    append,
    dialect,
    item_ids,
    kinds,
)
from tests.gateway.dialects.support import (
    error_frame,
    replies,
    requests,
    told,
    transcription,
)


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
