"""Where utterances begin and end, and when partials come, as a client sees it."""

import asyncio
from collections import defaultdict
from itertools import pairwise

import pytest

from pipeline.audio import VAD_FRAME_MS
from scripts.server import Server
from tests.end_to_end.recordings import (
    DASHWOOD,
    GREGSON,
    JFK,
    JFK_FINALS,
    audio,
    errors_in,
    silence,
)
from tests.end_to_end.sessions import Frame, Session, transcribe

FRAME_S = VAD_FRAME_MS / 1000
WITH_PAUSES = (JFK, GREGSON, "en/pbx-invalidpark")
"""Half a minute of speech with a pause every three seconds or so."""


def endpointing(**config: object) -> Frame:
    return {"streaming_vad_config": config}


def partials_every(interval_s: float) -> Frame:
    return {
        "streaming_params": {
            "enable_partial_transcripts": True,
            "partial_transcript_interval_s": interval_s,
        },
        "include_timing_info": True,
    }


async def test_min_silence_decides_how_many_finals_there_are(server: Server) -> None:
    short = await transcribe(server, audio(JFK), endpointing(min_silence_duration_ms=300))
    long = await transcribe(server, audio(JFK), endpointing(min_silence_duration_ms=2000))
    assert (len(short.finals), len(long.finals)) == (JFK_FINALS, 1)
    assert errors_in(short.text, JFK).errors <= 2
    assert errors_in(long.text, JFK).errors <= 1


async def test_speech_pad_widens_what_a_final_covers_on_both_sides(server: Server) -> None:
    plain = await transcribe(server, audio(JFK))
    padded = await transcribe(server, audio(JFK), endpointing(speech_pad_ms=200))
    assert len(padded.spans) == len(plain.spans) == JFK_FINALS
    for (start_s, end_s), (padded_start_s, padded_end_s) in zip(
        plain.spans, padded.spans, strict=True
    ):
        assert start_s - padded_start_s == pytest.approx(0.2, abs=0.001)
        assert padded_end_s - end_s == pytest.approx(0.2, abs=0.001)


async def test_a_higher_threshold_hears_less_as_speech(server: Server) -> None:
    low = await transcribe(server, audio(JFK), endpointing(threshold=0.2))
    high = await transcribe(server, audio(JFK), endpointing(threshold=0.9))
    assert speech_s(high) < speech_s(low)


def speech_s(session: Session) -> float:
    return sum(end_s - start_s for start_s, end_s in session.spans)


async def test_a_long_utterance_is_cut_in_its_pauses_and_loses_no_word(server: Server) -> None:
    reading = audio(*WITH_PAUSES)
    unbroken = endpointing(min_silence_duration_ms=3000)
    limited = unbroken | {"streaming_params": {"final_transcript_max_duration_s": 5}}
    uncut = await transcribe(server, reading, unbroken)
    cut = await transcribe(server, reading, limited)
    assert len(uncut.finals) == 1
    assert len(cut.finals) >= 4
    assert all(final["audio_length_sec"] <= 5 for final in cut.finals)
    assert all(end_s <= start_s for (_, end_s), (start_s, _) in pairwise(cut.spans))
    errors, uncut_errors = (errors_in(each.text, *WITH_PAUSES) for each in (cut, uncut))
    assert errors.deletions <= uncut_errors.deletions
    assert errors.rate_percent <= uncut_errors.rate_percent + 10


async def test_speech_without_a_pause_is_cut_all_the_same(server: Server) -> None:
    limited = {"streaming_params": {"final_transcript_max_duration_s": 3}}
    session = await transcribe(server, audio(DASHWOOD), limited)
    assert len(session.finals) >= 3
    assert all(final["audio_length_sec"] <= 3 for final in session.finals)
    assert errors_in(session.text, DASHWOOD).rate_percent < 40


async def test_times_count_from_the_first_sample_that_was_sent(server: Server) -> None:
    """Speech that comes later by whole VAD frames has its times later by exactly as much."""
    early_s, late_s = 31 * FRAME_S, 31 * FRAME_S * 20
    early = await transcribe(server, silence(early_s) + audio(JFK))
    late = await transcribe(server, silence(late_s) + audio(JFK))
    assert len(early.spans) >= JFK_FINALS
    for before, after in zip(early.spans, late.spans, strict=True):
        shift_s = pytest.approx(late_s - early_s, abs=0.002)
        assert [b - a for a, b in zip(before, after, strict=True)] == [shift_s, shift_s]


async def test_times_say_where_the_speech_is(server: Server) -> None:
    session = await transcribe(server, silence(2) + audio(DASHWOOD) + silence(1))
    ((start_s, end_s),) = session.spans
    assert 2.1 < start_s < 2.5
    assert 8.7 < end_s < 9.1


async def test_partials_come_only_when_asked_for(server: Server) -> None:
    assert (await transcribe(server, audio(GREGSON), speed=1)).partials == []


async def test_partials_come_at_the_interval_that_was_asked_for(server: Server) -> None:
    intervals_s = (0.5, 1.5)
    often, seldom = await asyncio.gather(
        *(
            transcribe(server, audio(DASHWOOD), partials_every(interval_s), speed=1)
            for interval_s in intervals_s
        )
    )
    assert 6 <= len(often.partials) <= 13
    assert 2 <= len(seldom.partials) <= 5
    for session, interval_s in zip((often, seldom), intervals_s, strict=True):
        behind_s = [partial["timing_info"]["audio_received_sec"] for partial in session.partials]
        steps_s = [later - earlier for earlier, later in pairwise(behind_s)]
        assert all(step_s >= interval_s for step_s in steps_s[:-1])  # the last is the speech's end
        words = [len(partial["transcript"].split()) for partial in session.partials]
        assert words[-1] > words[0]


async def test_no_partial_follows_its_final_and_numbers_have_no_gaps(server: Server) -> None:
    session = await transcribe(server, audio(JFK) + silence(0.5), partials_every(0.25), speed=2)
    kinds: dict[int, list[bool]] = defaultdict(list)
    for message in session.transcriptions:
        kinds[message["transcription_num"]].append(message["is_final"])
    assert list(kinds) == list(range(len(kinds)))
    assert len(kinds) >= JFK_FINALS
    assert all(of_one == [False] * (len(of_one) - 1) + [True] for of_one in kinds.values())
    assert errors_in(session.text, JFK).errors <= 3


async def test_partials_do_not_change_the_finals(server: Server) -> None:
    plain = await transcribe(server, audio(JFK))
    with_partials = await transcribe(server, audio(JFK), partials_every(0.3), speed=4)
    assert with_partials.partials
    assert with_partials.spans == plain.spans
    assert with_partials.text == plain.text


async def test_a_final_comes_while_the_client_is_still_sending(server: Server) -> None:
    session = await transcribe(server, audio(GREGSON) + silence(2.5), speed=1)
    types = [frame["type"] for frame in session.frames]
    assert types == ["transcription", "end_audio", "end_audio"]
