"""Deepgram's conversation: messages in, `Results` and the rest out, without a server."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.closing import Close, CloseCode
from gateway.dialects.deepgram.dialect import DeepgramDialect
from gateway.dialects.deepgram.entrance import DeepgramEntrance
from gateway.dialects.dialect import RefusedUpgrade, Turn
from gateway.messages import ACKNOWLEDGED, FINISHED, FLUSHED, Configure, Flush, Frame
from gateway.refusal import RefusalType, refuse
from tests.gateway.dialects.support import (
    error_frame,
    metadata_of,
    replies,
    requests,
    told,
    transcription,
    upgrade,
    word,
)
from tests.gateway.dialects.test_wav import wav

LINEAR = "encoding=linear16&sample_rate=16000&model=nova-3"
SECOND = bytes(32_000)
END_AUDIO = '{"type": "end_audio"}'


def dialect(query: str = LINEAR, *, opened: bool = True) -> DeepgramDialect:
    made = DeepgramEntrance().begin(upgrade(query, "/v1/listen"))
    if opened:
        made.open()
    return made


def texts(results: list[Frame]) -> list[str]:
    return [result["channel"]["alternatives"][0]["transcript"] for result in results]


def test_the_metadata_comes_first_and_then_audio_as_it_is() -> None:
    talking = dialect(opened=False)
    (metadata,) = talking.open().requests
    assert metadata_of(metadata)["streaming_params"]["sample_rate"] == 16_000
    assert requests(talking, b"\1\2\3", b"\4") == [b"\1\2\3", b"\4"]


def test_a_law_is_expanded() -> None:
    assert requests(dialect("encoding=alaw&sample_rate=8000"), b"\xd5\x55") == [b"\x08\x00\xf8\xff"]


@pytest.mark.parametrize(("encoding", "count"), [("alaw", 4096), ("mulaw", 8192)])
def test_packets_are_gathered_by_what_becomes_of_them(encoding: str, count: int) -> None:
    assert dialect(f"encoding={encoding}&sample_rate=8000").bytes_for(8192) == count


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4))
def test_a_file_s_header_says_what_it_is_however_it_is_cut(sizes: list[int]) -> None:
    talking, data, at, i = dialect("model=nova-3"), wav(rate=8_000), 0, 0
    found: list[Any] = []
    while at < len(data):
        size = sizes[i % len(sizes)]
        found += requests(talking, data[at : at + size])
        at, i = at + size, i + 1
    configure, *audio = found
    assert isinstance(configure, Configure)
    assert json.loads(configure.metadata)["streaming_params"]["sample_rate"] == 8_000
    assert b"".join(audio) == bytes(range(200))


@pytest.mark.parametrize("data", [b"OggS\0\0\0\0\0\0\0\0", wav(channels=2), wav(rate=96_000)])
def test_a_file_that_cannot_be_decoded_closes_with_data_0000(data: bytes) -> None:
    talking = dialect("model=nova-3")
    with pytest.raises(Close) as raised:
        requests(talking, data)
    last = talking.farewell(raised.value)
    assert last.code == 1008
    assert last.reason.startswith("DATA-0000")


def test_a_final_is_a_result_with_bare_and_punctuated_words() -> None:
    words = [word("He", 1.0, 1.2), word("said:", 1.2, 1.5), word("“it's", 1.5, 1.8, 0.5)]
    (result,) = told(dialect(), transcription(0, "He said: “it's", words=words, span=(0.9, 2.0)))
    assert (result["type"], result["is_final"], result["speech_final"]) == ("Results", True, True)
    assert (result["start"], result["duration"]) == (0.9, 1.1)
    assert result["from_finalize"] is False
    assert result["metadata"]["model_info"]["name"] == "nova-3"
    (alternative,) = result["channel"]["alternatives"]
    assert alternative["transcript"] == "He said: “it's"
    assert [w["word"] for w in alternative["words"]] == ["he", "said", "it's"]
    assert [w["punctuated_word"] for w in alternative["words"]] == ["He", "said:", "“it's"]
    assert alternative["words"][2] == {
        "word": "it's",
        "start": 1.5,
        "end": 1.8,
        "confidence": 0.5,
        "punctuated_word": "“it's",
    }


def test_a_word_without_letters_stays_as_it_is() -> None:
    (result,) = told(dialect(), transcription(0, "...", words=[word("...", 0, 1)]))
    assert result["channel"]["alternatives"][0]["words"][0]["word"] == "..."


def test_the_language_found_is_told_when_it_was_not_given() -> None:
    frame = transcription(0, "Hola", language="es", words=[word("Hola", 1, 2)])
    (result,) = told(dialect(f"{LINEAR}&language=multi"), frame)
    alternative = result["channel"]["alternatives"][0]
    assert alternative["languages"] == ["es"]
    assert alternative["words"][0]["language"] == "es"
    (given_result,) = told(dialect(f"{LINEAR}&language=es"), frame)
    assert "languages" not in given_result["channel"]["alternatives"][0]


def test_partials_are_told_only_when_they_are_asked_for() -> None:
    partial = transcription(0, "He", is_final=False)
    assert told(dialect(), partial) == []
    (result,) = told(dialect(f"{LINEAR}&interim_results=true"), partial)
    assert (result["is_final"], result["speech_final"]) == (False, False)


def test_speech_starts_once_for_each_utterance() -> None:
    talking = dialect(f"{LINEAR}&vad_events=true")
    frames = [
        transcription(0, "He", is_final=False, span=(0.5, 1.0)),
        transcription(0, "He said", is_final=False, span=(0.5, 1.5)),
        transcription(0, "He said", span=(0.5, 1.5)),
        transcription(1, "Yes", span=(3.0, 3.5)),
    ]
    found = told(talking, *frames)
    assert [frame["type"] for frame in found] == [
        "SpeechStarted",
        "Results",
        "SpeechStarted",
        "Results",
    ]
    assert [f["timestamp"] for f in found if f["type"] == "SpeechStarted"] == [0.5, 3.0]


def test_text_that_is_taken_back_is_an_empty_final_where_it_was() -> None:
    talking = dialect(f"{LINEAR}&interim_results=true")
    shown, final = told(
        talking, transcription(0, "Thank", is_final=False, span=(4, 5)), transcription(0, "")
    )
    assert texts([shown, final]) == ["Thank", ""]
    assert final["is_final"]
    assert (final["start"], final["duration"]) == (4, 1)


def test_an_utterance_that_was_cut_at_its_greatest_length_is_no_end_of_speech() -> None:
    talking = dialect()
    cut, end = told(
        talking,
        transcription(0, "So it went on", span=(2.0, 27.4), heard_s=31.6),
        transcription(1, "and on.", span=(27.5, 33.0), heard_s=33.4),
    )
    assert (cut["is_final"], cut["speech_final"]) == (True, False)
    assert (end["is_final"], end["speech_final"]) == (True, True)


def test_without_endpointing_no_end_of_speech_is_told() -> None:
    (result,) = told(dialect(f"{LINEAR}&endpointing=false"), transcription(0, "He"))
    assert (result["is_final"], result["speech_final"]) == (True, False)


def test_finalize_flushes_and_the_last_final_behind_it_says_so() -> None:
    talking = dialect()
    assert requests(talking, {"type": "Finalize"}) == [Flush()]
    found = told(talking, transcription(0, "One."), transcription(1, "Two."), FLUSHED)
    assert texts(found) == ["One.", "Two."]
    assert [result["from_finalize"] for result in found] == [False, True]
    (later,) = told(talking, transcription(2, "Three."))
    assert later["from_finalize"] is False


def test_finalize_is_answered_even_if_nothing_was_said() -> None:
    talking = dialect()
    requests(talking, SECOND, {"type": "Finalize"})
    (result,) = told(talking, FLUSHED)
    assert texts([result]) == [""]
    assert (result["is_final"], result["from_finalize"]) == (True, True)
    assert (result["start"], result["duration"]) == (1.0, 0.0)


def test_keep_alive_is_answered_with_nothing() -> None:
    talking = dialect()
    assert talking.hear('{"type": "KeepAlive"}') == Turn()


@pytest.mark.parametrize("message", [{"type": "CloseStream"}, b""])
def test_the_end_is_told_with_the_finals_and_a_summary(message: Frame | bytes) -> None:
    talking = dialect()
    audio = bytes(range(256)) * 125
    assert requests(talking, audio, message) == [audio, END_AUDIO]
    assert requests(talking, b"too late", {"type": "Finalize"}, "{broken") == []
    final, summary = told(talking, ACKNOWLEDGED, transcription(0, "Two."), FINISHED)
    assert texts([final]) == ["Two."]
    assert summary["type"] == "Metadata"
    assert summary["duration"] == 1.0
    assert summary["sha256"] == hashlib.sha256(audio).hexdigest()
    assert summary["created"] == "2023-11-14T22:13:20.500Z"
    assert summary["request_id"] == final["metadata"]["request_id"]
    assert summary["model_info"] == {
        final["metadata"]["model_uuid"]: final["metadata"]["model_info"]
    }
    assert talking.farewell(Close(CloseCode.NORMAL)).code == 1000


def test_a_stream_without_audio_ends_in_order_whatever_it_would_have_been() -> None:
    talking = dialect("model=nova-3")
    assert requests(talking, {"type": "Finalize"}, {"type": "CloseStream"}) == [Flush(), END_AUDIO]
    result, summary = told(talking, FLUSHED, FINISHED)
    assert texts([result]) == [""]
    assert summary["duration"] == 0


def utterance_ends(talking: DeepgramDialect, seconds: float) -> list[float]:
    """When so much more audio comes in, by twentieths of a second."""
    packets = [bytes(1_600)] * round(seconds * 20)
    return [frame["last_word_end"] for frame in replies(talking, *packets)]


def test_an_utterance_ends_once_when_no_word_has_followed_for_as_long_as_was_asked() -> None:
    talking = dialect(f"{LINEAR}&utterance_end_ms=1000")
    assert utterance_ends(talking, 2.3) == []
    told(talking, transcription(0, "One.", words=[word("One.", 1.4, 2.0)]))
    assert utterance_ends(talking, 1.15) == []
    assert utterance_ends(talking, 0.1) == [2.0]
    assert utterance_ends(talking, 5) == []


def test_an_utterance_does_not_end_while_somebody_goes_on() -> None:
    talking = dialect(f"{LINEAR}&utterance_end_ms=1000")
    utterance_ends(talking, 2.3)
    told(talking, transcription(0, "One.", span=(1, 2)))
    utterance_ends(talking, 1)
    told(talking, transcription(1, "And", is_final=False, span=(2.8, 3.1)))
    assert utterance_ends(talking, 3) == []
    told(talking, transcription(1, "And two.", span=(2.8, 5.0)))
    assert utterance_ends(talking, 1) == [5.0]


def test_no_utterance_ends_unless_it_was_asked_for() -> None:
    talking = dialect()
    told(talking, transcription(0, "One."))
    assert utterance_ends(talking, 5) == []


def test_a_final_that_is_held_when_the_server_stops_goes_out_before_the_close() -> None:
    talking = dialect()
    requests(talking, {"type": "Finalize"})
    assert told(talking, transcription(0, "One.")) == []
    last = talking.farewell(Close(CloseCode.RESTART))
    assert (texts(list(last.frames)), last.code) == (["One."], 1012)
    assert talking.farewell(Close(CloseCode.RESTART)).frames == ()


@pytest.mark.parametrize("text", ["{broken", "[]", "3", '{"type": "Fly"}', "", "[" * 60_000])
def test_a_text_that_is_not_understood_is_a_schema_error_and_the_stream_goes_on(text: str) -> None:
    talking = dialect()
    (error,) = replies(talking, text)
    assert (error["type"], error["variant"]) == ("Error", "SchemaError")
    assert "CloseStream" in error["description"]
    assert len(error["message"]) <= 80
    assert requests(talking, b"\0\0") == [b"\0\0"]


def test_configure_is_declined_in_its_own_terms() -> None:
    (answer,) = replies(dialect(), {"type": "Configure", "keyterms": ["oak"]})
    assert answer["code"] == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"


def test_audio_that_could_not_be_transcribed_is_an_error_and_the_stream_goes_on() -> None:
    (error,) = told(dialect(), error_frame("a part of the audio"))
    assert (error["type"], error["description"]) == ("Error", "a part of the audio")


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [
        (Close(CloseCode.NORMAL), 1011, "NET-0001"),
        (Close(CloseCode.INTERNAL, "no engine"), 1011, "NET-0000: no engine"),
        (Close(CloseCode.TOO_LARGE, "too large"), 1009, "too large"),
        (Close(CloseCode.RESTART), 1012, ""),
    ],
)
def test_other_ends_have_deepgram_s_codes(end: Close, code: int, reason: str) -> None:
    last = dialect().farewell(end)
    assert (last.frames, last.code) == ((), code)
    assert last.reason.startswith(reason)


def test_every_request_has_an_id_of_its_own_which_its_response_tells() -> None:
    first, second = dialect(), dialect()
    assert first.response_headers != second.response_headers
    (result,) = told(first, transcription(0, "One."))
    assert first.response_headers == {"dg-request-id": result["metadata"]["request_id"]}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (RefusalType.UNAUTHORIZED, 401, "INVALID_AUTH"),
        (RefusalType.FORBIDDEN_ORIGIN, 403, "FORBIDDEN"),
        (RefusalType.TOO_MANY_STREAMS, 429, "TOO_MANY_REQUESTS"),
        (RefusalType.TOO_MANY_STREAMS_OF_KEY, 429, "TOO_MANY_REQUESTS"),
        (RefusalType.TOO_MANY_STREAMS_OF_ADDRESS, 429, "TOO_MANY_REQUESTS"),
        (RefusalType.OVERLOADED, 503, "SERVICE_UNAVAILABLE"),
        (RefusalType.STOPPING, 503, "SERVICE_UNAVAILABLE"),
        (RefusalType.UPGRADE_REQUIRED, 426, "Bad Request"),
    ],
)
def test_refusals_have_deepgram_s_shape(kind: RefusalType, status: int, code: str) -> None:
    own = refuse(kind, "why not")
    refusal = DeepgramEntrance().refuse(own)
    assert refusal.status == status
    assert refusal.body["err_code"] == code
    assert refusal.body["err_msg"] == refusal.headers["dg-error"] == "why not"
    assert refusal.body["request_id"] == refusal.headers["dg-request-id"]
    assert refusal.headers.items() >= own.headers.items()


def test_options_that_cannot_be_served_are_a_bad_request_with_a_header_that_can_be_sent() -> None:
    with pytest.raises(RefusedUpgrade) as raised:
        dialect("encoding=linear16&sample_rate=%C2%B2%0A")
    refusal = raised.value.refusal
    assert refusal.status == 400
    assert refusal.body["err_msg"].startswith("sample_rate: found ²")
    assert refusal.headers["dg-error"].startswith("sample_rate: found ??")
