"""The memory that outlives a connection: what is sent again, and how times and numbers go on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.options import Options
from gateway.client.resumption import KEEP_S, MARK_S, MAX_AHEAD_S, Resumption
from gateway.wire import Transcription
from tests.gateway.rest.frames import final

BYTES_PER_S = 32_000


def resumption(**options: Any) -> Resumption:
    return Resumption(Options(**options).metadata())


def said(
    start_s: float, end_s: float, number: int = 0, is_final: bool = True, text: str = "word"
) -> Transcription:
    frame = final(text, start_s, end_s, words=[("word", start_s, end_s, 0.9)])
    frame |= {"transcription_num": number, "is_final": is_final}
    return Transcription.model_validate(frame)


def seconds(count: float) -> bytes:
    """Audio that is different in each place."""
    return bytes(at * 7 // 256 % 251 for at in range(round(count * BYTES_PER_S)))


def sent(session: Resumption) -> bytes:
    """Everything that this connection is to be sent now."""
    packets = []
    while (packet := session.next_packet()) is not None:
        packets.append(packet)
    return b"".join(packets)


def test_audio_is_sent_once_and_in_order() -> None:
    session = resumption()
    session.add(b"one ")
    session.add(b"two ")
    assert sent(session) == b"one two "
    session.add(b"three")
    assert sent(session) == b"three"
    assert session.next_packet() is None


def test_a_new_connection_is_sent_what_is_not_final() -> None:
    audio = seconds(5)
    session = resumption()
    for start in range(0, len(audio), 1000):
        session.add(audio[start : start + 1000])
    sent(session)
    session.heard(said(1, 2))
    session.heard(said(2.5, 4, number=1, is_final=False))
    session.restart()
    assert session.position_s == 2
    assert sent(session) == audio[2 * BYTES_PER_S :]


def test_what_had_not_been_sent_follows_what_is_sent_again() -> None:
    session = resumption()
    session.add(b"aa")
    sent(session)
    session.add(b"bb")
    session.restart()
    assert sent(session) == b"aabb"


def test_times_and_numbers_go_on() -> None:
    session = resumption()
    session.add(seconds(10))
    sent(session)
    session.heard(said(1, 2))
    session.heard(said(3, 4.5, number=1))
    session.restart()
    sent(session)
    partial = session.heard(said(0.5, 1, number=0, is_final=False))
    assert (partial.transcription_num, partial.start_s, partial.end_s) == (2, 5.0, 5.5)
    told = session.heard(said(0.5, 1.25, number=0))
    assert (told.transcription_num, told.start_s, told.end_s) == (2, 5.0, 5.75)
    (word,) = told.segments[0].word_timestamps
    assert (word.start_time, word.end_time) == (5.0, 5.75)
    assert told.audio_length_sec == 0.75
    session.restart()
    sent(session)
    assert session.heard(said(0, 1)).transcription_num == 3
    assert session.position_s == 5.75 + 1


def test_how_much_audio_the_server_had_received_is_told_of_the_whole_session() -> None:
    session = resumption()
    session.add(seconds(4))
    sent(session)
    session.heard(said(0, 2))
    session.restart()
    timed = said(0, 1).model_dump() | {
        "timing_info": {"audio_received_sec": 1.5, "hop_sent_at": 100.0, "answered_at": 101.0}
    }
    told = session.heard(Transcription.model_validate(timed))
    assert told.timing_info is not None
    assert told.timing_info.audio_received_sec == 3.5
    assert told.timing_info.hop_sent_at == 100.0


def test_padding_behind_a_final_may_be_the_next_utterance_s_audio() -> None:
    session = resumption(speech_pad_ms=200)
    session.add(seconds(5))
    sent(session)
    session.heard(said(0.8, 2.2))
    session.restart()
    assert session.position_s == 2


def test_a_final_that_takes_text_back_frees_nothing_and_has_its_number() -> None:
    session = resumption()
    session.add(seconds(5))
    sent(session)
    empty = said(0, 1).model_copy(update={"segments": [], "transcript": ""})
    session.heard(empty)
    session.restart()
    assert session.position_s == 0
    assert session.heard(said(0, 1)).transcription_num == 1


def test_a_sample_is_never_cut_in_two() -> None:
    session = resumption(sample_rate=44_100)
    session.add(bytes(88_201))
    sent(session)
    session.heard(said(0, 0.333))
    session.restart()
    assert (88_201 - session.kept_bytes) % 2 == 0


def test_health_checks_tell_how_far_the_server_has_read() -> None:
    session = resumption()
    session.add(bytes(round(MARK_S * BYTES_PER_S) - 2))
    sent(session)
    assert not session.take_mark()
    session.add(bytes(2))
    sent(session)
    assert session.take_mark()
    assert not session.take_mark()


def test_whoever_is_too_far_ahead_of_the_server_has_to_wait() -> None:
    session = resumption()
    session.add(seconds(MAX_AHEAD_S))
    assert session.has_room
    session.add(bytes(2))
    assert not session.has_room
    sent(session)
    assert session.take_mark()
    assert not session.has_room
    session.mark_answered()
    assert session.has_room


def test_answers_to_the_checks_of_a_lost_connection_do_not_count() -> None:
    session = resumption()
    session.add(bytes(10 * BYTES_PER_S))
    sent(session)
    assert session.take_mark()
    session.restart()
    session.mark_answered()
    session.add(bytes(11 * BYTES_PER_S))
    assert not session.has_room


def test_silence_of_an_hour_costs_no_memory() -> None:
    session = resumption()
    most = 0
    for _ in range(3600):
        assert session.has_room
        session.add(bytes(BYTES_PER_S))
        sent(session)
        if session.take_mark():
            session.mark_answered()
        most = max(most, session.kept_bytes)
    assert most <= (KEEP_S + MARK_S) * BYTES_PER_S


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("audio"), st.integers(1, 5_000)),
            st.tuples(st.just("final"), st.integers(0, 5_000)),
            st.tuples(st.just("lost"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_whatever_is_lost_no_audio_behind_the_last_final_is(
    events: list[tuple[str, int]],
) -> None:
    """A connection is told all audio from its beginning, and begins where the last final ended."""
    session = Resumption(Options(encoding="pcm_mulaw", sample_rate=8_000).metadata())
    audio = b""
    begin = 0  # of this connection, in bytes of the whole
    heard = b""
    final_end = 0
    numbers = []
    number = 0
    for kind, amount in events:
        if kind == "audio":
            packet = bytes((len(audio) + at) % 256 for at in range(amount))
            audio += packet
            session.add(packet)
            heard += sent(session)
        elif kind == "final" and final_end < len(audio):
            end = min(len(audio), final_end + 8 * amount)  # whole milliseconds
            end -= end % 8
            if end <= final_end:
                continue
            told = session.heard(said((final_end - begin) / 8_000, (end - begin) / 8_000, number))
            assert told.end_s == pytest.approx(end / 8_000)
            final_end, number = end, number + 1
            numbers.append(told.transcription_num)
        elif kind == "lost":
            session.restart()
            begin, heard, number = final_end, sent(session), 0
        assert heard == audio[begin:]
    assert numbers == [*range(len(numbers))]
