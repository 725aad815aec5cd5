"""Partials of the transcript stage: what is shown, what of it is committed, what comes back."""

from typing import Any

from pipeline.feedback import Feedback
from pipeline.tokens import WhisperTokenizer
from tests.pipeline.transcripts import AUDIO, EvenAligner, written

PARTIAL: dict[str, Any] = {"final": False, "interrupted": True, "partials": True}
EARLY: dict[str, Any] = {"final": False, "early": True, "partials": True}
SEEN: dict[str, Any] = {"previous": "And so, my fellow", "committed": "And so, my"}


def test_a_partial_shows_what_is_committed_and_what_the_window_does_not_cut(
    tokenizer: WhisperTokenizer,
) -> None:
    message, feedback = written(tokenizer, "and so my fellow Americans, ask", **PARTIAL, **SEEN)
    assert message["transcript"] == "And so, my fellow Americans"
    assert message["segments"][0]["text"] == message["transcript"]
    assert message["committed"] == feedback.committed == "And so, my fellow"
    assert feedback.text == "and so my fellow Americans, ask"
    assert feedback.settled is None


def test_what_comes_back_makes_the_next_partial_stable(tokenizer: WhisperTokenizer) -> None:
    feedback = Feedback(number=0, utterance=0, samples=0)
    shown = []
    for text in ["And so my fell", "And so, my fellow and", "And so my fellow Americans."]:
        seen: dict[str, Any] = {"previous": feedback.text, "committed": feedback.committed}
        message, feedback = written(tokenizer, text, **PARTIAL, **seen)
        shown.append((message["transcript"], message["committed"]))
    assert shown == [
        ("And so my", ""),
        ("And so, my fellow", "And so, my"),
        ("And so, my fellow", "And so, my fellow"),
    ]


def test_without_an_echo_the_last_word_is_held_back_all_the_same(
    tokenizer: WhisperTokenizer,
) -> None:
    message, _ = written(tokenizer, "And so my fell.", **PARTIAL)
    assert (message["transcript"], message["committed"]) == ("And so my", "")


def test_an_early_window_holds_nothing_back_and_keeps_what_is_committed(
    tokenizer: WhisperTokenizer,
) -> None:
    message, feedback = written(tokenizer, "And so my fellow Americans!", **EARLY, **SEEN)
    assert message["transcript"] == "And so, my fellow Americans!"
    assert message["committed"] == feedback.committed == "And so, my fellow"
    assert message["is_final"] is False


def test_a_final_is_what_the_engine_said_and_all_of_it_is_committed(
    tokenizer: WhisperTokenizer,
) -> None:
    text = "And sow my fell."
    message, feedback = written(tokenizer, text, interrupted=True, **SEEN)
    assert message["transcript"] == message["committed"] == text
    assert feedback == Feedback(number=1, utterance=0, samples=len(AUDIO))


def test_a_partial_of_nothing_keeps_what_is_committed(tokenizer: WhisperTokenizer) -> None:
    message, feedback = written(tokenizer, "", **PARTIAL, **SEEN)
    (segment,) = message["segments"]
    assert segment["text"] == message["transcript"] == message["committed"] == "And so, my"
    assert (segment["log_prob"], message["confidence"]) == (0, 0)
    assert (feedback.text, feedback.committed) == ("", "And so, my")


def test_a_partial_that_holds_all_of_it_back_has_no_segments(tokenizer: WhisperTokenizer) -> None:
    message, feedback = written(tokenizer, "Yes.", **PARTIAL)
    assert message["segments"] == []
    assert message["transcript"] == message["committed"] == ""
    assert message["confidence"] == 0
    assert feedback.text == "Yes."


def test_characters_are_the_words_of_chinese(tokenizer: WhisperTokenizer) -> None:
    seen: dict[str, Any] = {"previous": "我们走", "committed": "我"}
    message, _ = written(tokenizer, "我们走吧。", "zh", **PARTIAL, **seen)
    assert (message["transcript"], message["committed"]) == ("我们走", "我们走")


def test_beams_are_what_the_engine_said(tokenizer: WhisperTokenizer) -> None:
    message, _ = written(tokenizer, "And so my fell.", beam_results=True, beam_width=2, **PARTIAL)
    assert [result["text"] for result in message["segments"][0]["beam_results"]] == [
        "And so my fell."
    ]


def test_the_words_of_a_partial_are_those_it_shows(tokenizer: WhisperTokenizer) -> None:
    window = PARTIAL | SEEN | {"word_timestamps": True}
    message, _ = written(tokenizer, "and so my fellow Amer.", aligner=EvenAligner(), **window)
    words = message["segments"][0]["word_timestamps"]
    assert [word["word"] for word in words] == ["And", "so,", "my", "fellow"]


def test_words_of_a_message_that_nobody_wants_are_not_timed(tokenizer: WhisperTokenizer) -> None:
    early = EARLY | {"partials": False}
    _, feedback = written(tokenizer, "And so.", word_timestamps=True, **early)
    assert feedback.text == "And so."
