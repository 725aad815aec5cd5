"""Twilio's media streams, message by message, without a server."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.closing import Close, CloseCode
from gateway.dialects.dialect import Turn
from gateway.dialects.twilio.calls import Calls
from gateway.dialects.twilio.dialect import TwilioDialect
from gateway.dialects.twilio.entrance import TwilioEntrance, signature
from gateway.messages import ACKNOWLEDGED, FINISHED, Frame
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
from tests.gateway.dialects.twilio_session import (
    CALL_SID,
    STREAM_SID,
    between,
    call,
    connected,
    media,
    start,
    stop,
)

END_AUDIO = '{"type": "end_audio"}'
SIDS = {"streamSid": STREAM_SID, "callSid": CALL_SID}


def started(calls: Calls | None = None) -> TwilioDialect:
    dialect = TwilioDialect(calls)
    requests(dialect, connected(), start())
    return dialect


@given(size=st.integers(1, 400))
def test_a_whole_call_is_metadata_audio_and_an_end(size: int) -> None:
    audio = bytes(range(256)) * 4
    metadata, *packets, end = requests(TwilioDialect(), *call(audio[:size]))
    assert metadata_of(metadata)["streaming_params"] == {
        "encoding": "pcm_mulaw",
        "sample_rate": 8_000,
    }
    assert b"".join(packet for packet in packets if isinstance(packet, bytes)) == audio[:size]
    assert end == END_AUDIO


def test_parameters_with_the_names_of_our_metadata_count_and_others_are_the_caller_s() -> None:
    parameters = {
        "audio_language": "es",
        "prompt": "123",
        "enable_partial_transcripts": "true",
        "partial_transcript_interval_s": "0.3",
        "language_options": '["en", "es"]',
        "include_timing_info": "true",
        "FirstName": "Jane",
        "whisper_params": "mine",
    }
    (metadata,) = requests(TwilioDialect(), start(parameters))
    found = metadata_of(metadata)
    assert found["whisper_params"] == {
        "audio_language": "es",
        "prompt": "123",
        "language_options": ["en", "es"],
    }
    assert found["streaming_params"]["enable_partial_transcripts"] is True
    assert found["streaming_params"]["partial_transcript_interval_s"] == 0.3
    assert found["include_timing_info"] is True
    assert len(found) == 3


def bad_start(**fields: Any) -> Frame:
    message = start()
    message["start"] |= fields
    return message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (start({"audio_language": "xx"}), 'customParameters.audio_language: found "xx"'),
        (start({"threshold": "loud"}), 'customParameters.threshold: found "loud"'),
        (start({"threshold": "NaN"}), 'customParameters.threshold: found "NaN"'),
        (start({"prompt": "a" * 5_000}), "customParameters.prompt"),
        (
            start({"min_silence_duration_ms": "[" * 60_000}),
            "customParameters.min_silence_duration_ms",
        ),
        (start({"track": "both"}), 'customParameters.track: found "both"'),
        (bad_start(mediaFormat={"encoding": "audio/x-l16"}), "mediaFormat.encoding"),
        (bad_start(mediaFormat={"sampleRate": 16_000}), "mediaFormat.sampleRate: found 16000"),
        (bad_start(mediaFormat=3), "mediaFormat: found 3"),
        (bad_start(customParameters=[1]), "customParameters: found [1]"),
        ({"event": "start", "start": None}, "start: found null"),
    ],
)
def test_a_stream_that_cannot_be_transcribed_is_closed_with_the_reason(
    message: Frame, complaint: str
) -> None:
    dialect = TwilioDialect()
    with pytest.raises(Close) as raised:
        requests(dialect, message)
    last = dialect.farewell(raised.value)
    (error,) = last.frames
    assert last.code == 1008
    assert error["event"] == "error"
    assert error["error"]["message"].startswith(complaint)
    assert len(last.reason) < 400


@pytest.mark.parametrize(
    ("tracks", "asked", "heard"),
    [
        (("inbound",), {}, "inbound"),
        (("outbound",), {}, "outbound"),
        (("outbound", "inbound"), {}, "inbound"),
        (("inbound", "outbound"), {"track": "outbound"}, "outbound"),
        ((), {}, "inbound"),
    ],
)
def test_one_track_is_transcribed(
    tracks: tuple[str, ...], asked: dict[str, str], heard: str
) -> None:
    dialect = TwilioDialect()
    requests(dialect, start(asked, tracks))
    audio = requests(dialect, media(b"in", track="inbound"), media(b"out", track="outbound"))
    assert audio == [heard.removesuffix("bound").encode()]
    (event,) = told(dialect, transcription(0, "One."))
    assert event["track"] == heard


def test_transcripts_are_events_with_the_call_s_ids() -> None:
    frame = transcription(0, "One.")
    events = told(started(), ACKNOWLEDGED, frame, error_frame("lost"), FINISHED)
    assert events == [
        {"event": "transcription", **SIDS, "track": "inbound", "transcription": frame},
        {"event": "error", **SIDS, "error": {"message": "lost"}},
        {"event": "finished", **SIDS},
    ]


def test_what_says_nothing_of_what_is_spoken_is_ignored() -> None:
    dialect = started()
    for message in (connected(), *between()):
        assert dialect.hear(json.dumps(message)) == Turn()


@pytest.mark.parametrize(
    "message",
    [
        "{broken",
        "[]",
        b"\0\0",
        {"event": "fly"},
        {"event": ["media"]},
        {},
        {"event": "media"},
        {"event": "media", "media": {"payload": "?"}},
        {"event": "media", "media": {"payload": 3}},
        {"event": "media", "media": "x"},
        start(),
    ],
)
def test_what_cannot_be_followed_is_an_error_and_the_stream_goes_on(
    message: str | bytes | Frame,
) -> None:
    dialect = started()
    (event,) = replies(dialect, message)
    assert event["event"] == "error"
    assert len(event["error"]["message"]) < 300
    assert requests(dialect, media(b"x")) == [b"x"]


@pytest.mark.parametrize("message", [media(b"x"), stop()])
def test_a_stream_begins_with_its_start(message: Frame) -> None:
    (event,) = replies(TwilioDialect(), message)
    assert "out of order" in event["error"]["message"]


def test_after_the_stop_nothing_is_heard() -> None:
    dialect = started()
    assert requests(dialect, stop(), media(b"x"), stop()) == [END_AUDIO]
    assert dialect.gone() == Turn()


class Listener:
    def __init__(self, calls: Calls, call_sid: str) -> None:
        self.heard: list[Frame | None] = []
        calls.join(call_sid, self.heard.append)


def test_twilio_itself_is_sent_nothing_and_listeners_of_the_call_everything() -> None:
    calls = Calls()
    by_call, by_stream = Listener(calls, CALL_SID), Listener(calls, STREAM_SID)
    others = Listener(calls, "CA1")
    dialect = started(calls)
    assert replies(dialect, {"event": "fly"}) == []
    assert told(dialect, transcription(0, "One."), FINISHED) == []
    last = dialect.farewell(Close(CloseCode.INTERNAL, "no engine"))
    assert (last.frames, last.code, last.reason) == ((), 1011, "no engine")
    dialect.farewell(Close(CloseCode.INTERNAL, "no engine"))
    kinds = [frame and frame["event"] for frame in by_call.heard]
    assert kinds == ["error", "transcription", "finished", "error", None]
    assert by_stream.heard == by_call.heard
    assert others.heard == []


def test_a_stream_that_breaks_off_ends_there_and_its_session_goes_on() -> None:
    dialect = started(Calls())
    assert dialect.outlives_client
    assert dialect.gone().requests == (END_AUDIO,)
    assert not started().outlives_client
    assert not TwilioDialect(Calls()).outlives_client  # it has not begun


def test_who_leaves_hears_no_more() -> None:
    calls, heard = Calls(), list[Frame | None]()
    calls.join("CA1", heard.append)
    calls.join("CA1", heard.append)
    calls.leave("CA1", heard.append)
    calls.leave("CA2", heard.append)
    calls.tell(("CA1", "MZ1"), {"event": "finished"})
    assert heard == []


KEYS = ("other", "12345")
"""The second is Twilio's auth token; the signature was made with Twilio's own formula."""
URL = "wss://example.com/v1/twilio"


def signed(signature_: str, host: str = "example.com") -> bool:
    headers = {"Host": host, "X-Twilio-Signature": signature_}
    asked = upgrade(target="/v1/twilio", headers=headers)
    return TwilioEntrance(Calls()).shown_key(asked, KEYS) == "12345"


def test_a_signature_is_base64_of_hmac_sha1_of_the_url() -> None:
    # echo -n wss://example.com/v1/twilio | openssl dgst -sha1 -hmac 12345 -binary | base64
    assert signature(URL, "12345") == b"ccJICYO7KLiZoW8QqJxo8M1ytBM="


def test_who_signs_with_a_key_shows_it() -> None:
    assert signed(signature(URL, "12345").decode())
    assert not signed(signature(URL, "1234").decode())
    assert not signed(signature(URL, "12345").decode(), host="example.org")
    assert not signed("")
    assert not signed("\udcff")
    assert len(base64.b64decode(signature(URL, "12345"))) == 20


@pytest.mark.parametrize(
    ("headers", "outlives"), [({}, False), ({"X-Twilio-Signature": "x"}, True)]
)
def test_only_twilio_itself_signs(headers: dict[str, str], outlives: bool) -> None:
    dialect = TwilioEntrance(Calls()).begin(upgrade(headers=headers))
    requests(dialect, start())
    assert dialect.outlives_client is outlives


def test_refusals_are_our_own() -> None:
    refusal = refuse(RefusalType.STOPPING, "why not")
    assert TwilioEntrance(Calls()).refuse(refusal) is refusal
