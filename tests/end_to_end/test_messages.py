"""Transcription messages against the published example message, key for key."""

import json
from typing import Any

from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, DATA, GREGSON, audio, silence
from tests.end_to_end.sessions import ACKNOWLEDGED, FINISHED, Frame, transcribe

SAMPLE: Frame = json.loads((DATA / "sample_message.json").read_text())
ADDED = {"transcript", "committed", "confidence"}
"""Keys that the example lacks: some clients read nothing else."""
EVERYTHING: Frame = {
    "whisper_params": {"show_word_timestamps": True, "show_beam_results": True},
    "streaming_params": {"enable_partial_transcripts": True},
    "include_timing_info": True,
}


def kinds(message: Frame) -> dict[str, type]:
    return {key: type(value) for key, value in message.items()}


async def test_a_final_has_the_keys_and_types_of_the_published_example(server: Server) -> None:
    session = await transcribe(server, audio(DASHWOOD))
    (final,) = session.finals
    assert kinds({key: final[key] for key in final if key not in ADDED}) == kinds(SAMPLE)
    assert set(final) == set(SAMPLE) | ADDED
    assert kinds(final["segments"][0]) == kinds(SAMPLE["segments"][0])


async def test_what_was_not_asked_for_has_the_published_example_s_values(server: Server) -> None:
    (final,) = (await transcribe(server, audio(DASHWOOD))).finals
    changing = {"segments", "audio_length_sec", "transcription_num"}
    fixed = {key: value for key, value in SAMPLE.items() if key not in changing}
    assert {key: final[key] for key in fixed} == fixed
    unasked = {
        key: value
        for key, value in SAMPLE["segments"][0].items()
        if key not in {"start_time", "end_time", "text", "log_prob"}
    }
    segment = final["segments"][0]
    assert {key: segment[key] for key in unasked} == unasked


async def test_the_numbers_of_a_message_belong_together(server: Server) -> None:
    session = await transcribe(server, audio(GREGSON) + silence(0.8) + audio(DASHWOOD))
    assert [final["transcription_num"] for final in session.finals] == [0, 1]
    for final in session.finals:
        (segment,) = final["segments"]
        assert final["transcript"] == segment["text"] == segment["text"].strip() != ""
        length_s = segment["end_time"] - segment["start_time"]
        assert abs(final["audio_length_sec"] - length_s) < 0.002
        assert segment["log_prob"] < 0
        assert 0.5 < final["confidence"] <= 1


async def test_everything_that_can_be_asked_for_changes_no_key(server: Server) -> None:
    session = await transcribe(server, audio(GREGSON) + silence(0.8), EVERYTHING, speed=2)
    assert session.partials
    for message in session.transcriptions:
        assert set(message) == set(SAMPLE) | ADDED
        assert all(set(segment) == set(SAMPLE["segments"][0]) for segment in message["segments"])
        assert 0 < message["pipeline_latency"] < 10
        assert timing_is_sound(message["timing_info"], audio_s=4)


def timing_is_sound(timing: dict[str, Any], audio_s: float) -> bool:
    in_order = bool(0 < timing["hop_sent_at"] <= timing["answered_at"])
    return in_order and bool(0 < timing["audio_received_sec"] <= audio_s)


async def test_the_end_of_the_audio_is_acknowledged_before_its_finals_and_finished_after_them(
    server: Server,
) -> None:
    session = await transcribe(server, audio(GREGSON))
    assert [frame["type"] for frame in session.frames] == [
        "end_audio",
        "transcription",
        "end_audio",
    ]
    assert session.frames[0] == ACKNOWLEDGED
    assert session.frames[-1] == FINISHED
