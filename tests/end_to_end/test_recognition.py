"""What a client may ask of recognition: spellings, beams, word times, sampling, loudness."""

import numpy as np
import pytest

from scripts.recording import pcm_bytes
from scripts.server import Server
from tests.end_to_end.recordings import (
    DASHWOOD,
    GREGSON,
    JFK,
    audio,
    errors_in,
    language_of,
    samples,
)
from tests.end_to_end.sessions import Frame, transcribe


def whisper(**params: object) -> Frame:
    return {"whisper_params": params}


def sampling(**params: object) -> Frame:
    return whisper(whisper_sampling_params=params)


@pytest.mark.parametrize(
    ("name", "heard", "wanted"),
    [(GREGSON, "Gregson", "Gregsohn"), (DASHWOOD, "Dashwood", "Dashwoode")],
)
async def test_a_prompt_sets_the_spelling_of_a_name(
    name: str, heard: str, wanted: str, server: Server
) -> None:
    plain = await transcribe(server, audio(name))
    prompted = await transcribe(server, audio(name), whisper(prompt=f"A story about {wanted}."))
    assert f"{heard} " in plain.text
    assert f"{wanted} " in prompted.text


async def test_a_prompt_of_the_greatest_length_is_taken(server: Server) -> None:
    session = await transcribe(server, audio(GREGSON), whisper(prompt="Gregson. " * 455))
    assert errors_in(session.text, GREGSON).errors <= 1


@pytest.mark.parametrize("name", [DASHWOOD, JFK, "es/vm-review", "ru/demo-enterkeywords"])
async def test_words_rise_within_their_segment_and_joined_are_its_text(
    name: str, server: Server
) -> None:
    options = whisper(audio_language=language_of(name), show_word_timestamps=True)
    session = await transcribe(server, audio(name), options)
    assert session.segments
    for segment in session.segments:
        words = segment["word_timestamps"]
        assert " ".join(word["word"] for word in words) == segment["text"]
        assert len(words) == len(segment["text"].split())
        times = [time for word in words for time in (word["start_time"], word["end_time"])]
        assert times == sorted(times)
        assert segment["start_time"] <= times[0]
        assert times[-1] <= segment["end_time"]
        assert all(0 <= word["prob"] <= 1 for word in words)


async def test_words_stand_where_they_are_spoken(server: Server) -> None:
    """`country` is the third word of the third utterance, and the last of all."""
    session = await transcribe(server, audio(JFK), whisper(show_word_timestamps=True))
    words = [word for segment in session.segments for word in segment["word_timestamps"]]
    starts_s = [word["start_time"] for word in words if word["word"].startswith("country")]
    assert len(starts_s) == 2
    assert 5.6 < starts_s[0] < 6.1
    assert 9.9 < starts_s[1] < 10.5


async def test_words_are_not_told_unless_asked_for(server: Server) -> None:
    session = await transcribe(server, audio(GREGSON))
    assert [segment["word_timestamps"] for segment in session.segments] == [[]]


async def test_beams_are_told_when_asked_for(server: Server) -> None:
    options = whisper(show_beam_results=True, whisper_sampling_params={"beam_width": 4})
    session = await transcribe(server, audio(GREGSON), options)
    assert errors_in(session.text, GREGSON).errors <= 1
    (segment,) = session.segments
    texts = [beam["text"] for beam in segment["beam_results"]]
    assert 3 <= len(set(texts)) <= 4
    assert all(beam["log_prob"] < 0 for beam in segment["beam_results"])


@pytest.mark.parametrize("beam_width", [1, 2, 5, 10])
async def test_every_beam_width_hears_the_text(beam_width: int, server: Server) -> None:
    session = await transcribe(server, audio(DASHWOOD), sampling(beam_width=beam_width))
    assert errors_in(session.text, DASHWOOD).errors <= 1
    assert all(segment["beam_results"] == [] for segment in session.segments)


@pytest.mark.parametrize(
    "params",
    [
        {"length_penalty": 0.0, "beam_width": 3},
        {"length_penalty": 2.0, "beam_width": 3},
        {"repetition_penalty": 1.1},
        {"beam_search_diversity_rate": 1.0, "beam_width": 2},
        {"no_repeat_ngram_size": 3},
    ],
)
async def test_sampling_parameters_are_accepted_and_keep_the_text(
    params: dict[str, float], server: Server
) -> None:
    session = await transcribe(server, audio(DASHWOOD), sampling(**params))
    assert session.errors == []
    assert errors_in(session.text, DASHWOOD).errors <= 1


async def test_no_repeat_ngram_size_forbids_what_is_said_twice(server: Server) -> None:
    """Of size 1 it forbids the second `to` of the sentence, so the text cannot be right."""
    session = await transcribe(server, audio(DASHWOOD), sampling(no_repeat_ngram_size=1))
    words = session.text.lower().split()
    assert len(words) > 5
    assert words.count("to") <= 1


async def test_a_strong_repetition_penalty_changes_the_text(server: Server) -> None:
    """It forbids the second `to` of the sentence, more or less."""
    session = await transcribe(server, audio(DASHWOOD), sampling(repetition_penalty=3.0))
    assert errors_in(session.text, DASHWOOD).errors >= 1


async def test_dynamic_preprocessing_hears_speech_that_is_forty_db_softer(server: Server) -> None:
    soft = pcm_bytes(np.rint(samples(GREGSON) / 100).astype(np.int16))
    plain = await transcribe(server, soft)
    evened = await transcribe(server, soft, whisper(use_dynamic_preprocessing=True))
    assert errors_in(evened.text, GREGSON).errors == 0
    assert evened.segments[0]["log_prob"] > plain.segments[0]["log_prob"]


async def test_dynamic_preprocessing_leaves_times_and_text_of_loud_speech(server: Server) -> None:
    plain = await transcribe(server, audio(DASHWOOD))
    evened = await transcribe(server, audio(DASHWOOD), whisper(use_dynamic_preprocessing=True))
    assert evened.spans == plain.spans
    assert errors_in(evened.text, DASHWOOD).errors <= 1
