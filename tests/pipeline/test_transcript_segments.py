"""Long utterances: settled segments, and messages that are of the whole utterance."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.companion import Companion
from pipeline.feedback import Feedback
from pipeline.hallucination import LOWEST_AVERAGE_LOG_PROB
from pipeline.tokens import WhisperTokenizer
from pipeline.transcript import TranscriptWriter
from pipeline.window import SettledText
from tests.pipeline.support import window_info
from tests.pipeline.transcripts import AUDIO, EvenAligner, NoAligner, beam, given, written

WORD = {"word": "Ask", "start_time": 1.1, "end_time": 1.3, "prob": 0.9}
SETTLED = [
    SettledText(text="Ask not", log_prob=-0.5, tokens=3, words=[WORD]),
    SettledText(text=""),
    SettledText(text="what your country.", log_prob=-1.5, tokens=5),
]
BEFORE = "Ask not what your country."
LATER: dict[str, Any] = {
    "utterance_start": SAMPLE_RATE,
    "start": 5 * SAMPLE_RATE,
    "end": 7 * SAMPLE_RATE,
    "audio_start": 5 * SAMPLE_RATE - 4000,
    "settled": SETTLED,
}
PARTIAL: dict[str, Any] = {"final": False, "interrupted": True, "partials": True}
SEGMENT: dict[str, Any] = {"final": False, "segment": True, "partials": True}


def test_a_final_is_of_the_whole_utterance(tokenizer: WhisperTokenizer) -> None:
    message, feedback = written(tokenizer, "Can do for you?", **LATER)
    (segment,) = message["segments"]
    text = f"{BEFORE} Can do for you?"
    assert segment["text"] == message["transcript"] == message["committed"] == text
    assert (segment["start_time"], segment["end_time"]) == (1.0, 7.0)
    assert message["audio_length_sec"] == 6.0
    assert feedback == Feedback(number=1, utterance=0, samples=2 * SAMPLE_RATE)


def test_log_probability_and_confidence_count_every_token(tokenizer: WhisperTokenizer) -> None:
    message, _ = written(tokenizer, "Can do for you?", **LATER)
    tokens = len(tokenizer.encode(" Can do for you?"))
    log_prob = -2.0 - 0.1 * tokens
    assert message["segments"][0]["log_prob"] == pytest.approx(log_prob)
    expected = math.exp(log_prob / (8 + tokens + 1))
    assert message["confidence"] == pytest.approx(expected, abs=1e-4)


def test_a_final_of_nothing_tells_what_was_settled(tokenizer: WhisperTokenizer) -> None:
    message, _ = written(tokenizer, "", **LATER)
    (segment,) = message["segments"]
    assert segment["text"] == message["transcript"] == message["committed"] == BEFORE
    assert segment["log_prob"] == -2.0
    assert message["confidence"] == pytest.approx(math.exp(-2.0 / 9), abs=1e-4)


def test_a_partial_behind_settled_segments_shows_them_as_committed(
    tokenizer: WhisperTokenizer,
) -> None:
    first, feedback = written(tokenizer, "can do for", **LATER, **PARTIAL)
    assert (first["transcript"], first["committed"]) == (f"{BEFORE} can do", BEFORE)
    seen: dict[str, Any] = {"previous": feedback.text, "committed": feedback.committed}
    second, _ = written(tokenizer, "can do for you", **LATER, **PARTIAL, **seen)
    assert second["transcript"] == second["committed"] == f"{BEFORE} can do for"


def test_a_partial_of_nothing_behind_settled_segments_shows_those(
    tokenizer: WhisperTokenizer,
) -> None:
    message, _ = written(tokenizer, "Can", **LATER, **PARTIAL)
    assert message["transcript"] == message["committed"] == BEFORE


def test_a_segment_is_told_as_a_partial_and_settled(tokenizer: WhisperTokenizer) -> None:
    seen: dict[str, Any] = {"previous": "Cat do for", "committed": "Cat do"}
    message, feedback = written(tokenizer, "Can do for you?", **LATER, **SEGMENT, **seen)
    assert message["is_final"] is False
    assert message["transcript"] == message["committed"] == f"{BEFORE} Can do for you?"
    tokens = len(tokenizer.encode(" Can do for you?"))
    assert (feedback.text, feedback.committed) == ("", "")
    assert feedback.settled is not None
    assert (feedback.settled.text, feedback.settled.tokens) == ("Can do for you?", tokens)
    assert feedback.settled.log_prob == pytest.approx(-0.1 * tokens)
    assert Feedback.model_validate_json(feedback.model_dump_json()) == feedback


def test_a_segment_of_nothing_is_settled_too(tokenizer: WhisperTokenizer) -> None:
    message, feedback = written(tokenizer, "", **SEGMENT)
    assert message["segments"] == []
    assert feedback.settled == SettledText(text="")


@pytest.mark.parametrize("wanted", [True, False])
def test_the_words_of_a_segment_are_settled_with_it(
    tokenizer: WhisperTokenizer, wanted: bool
) -> None:
    window = LATER | SEGMENT | {"word_timestamps": True, "partials": wanted}
    message, feedback = written(tokenizer, "can do", aligner=EvenAligner(), **window)
    assert feedback.settled is not None
    own = feedback.settled.words
    assert [(word["word"], word["start_time"], word["end_time"]) for word in own] == [
        ("can", 5.0, 6.0),
        ("do", 6.0, 7.0),
    ]
    assert message["segments"][0]["word_timestamps"] == [WORD, *own]


def test_only_the_window_s_own_text_is_aligned_to_its_audio(
    tokenizer: WhisperTokenizer, companion: Companion, jfk: NDArray[np.int16]
) -> None:
    writer = TranscriptWriter(tokenizer, companion)
    answer = given(tokenizer, beam(tokenizer, "And so, my fellow Americans"))
    window = LATER | {"end": 5 * SAMPLE_RATE + 40_000, "word_timestamps": True}
    message, _ = writer.write(answer, jfk[:44_000], window_info(0, **window))
    settled, *own = message["segments"][0]["word_timestamps"]
    assert settled == WORD
    assert [word["word"] for word in own] == ["And", "so,", "my", "fellow", "Americans"]
    assert all(5.0 <= word["start_time"] <= word["end_time"] <= 7.5 for word in own)


def test_an_utterance_is_doubtful_where_any_of_its_segments_is(tokenizer: WhisperTokenizer) -> None:
    doubtful = SettledText(text="Thank you for watching!", possible_hallucination=True)
    for settled, expected in [([doubtful], True), (SETTLED, False)]:
        window = LATER | {"settled": settled}
        message, _ = written(tokenizer, "Can do for you?", **window)
        assert message["segments"][0]["possible_hallucination"] is expected


def test_a_segment_that_may_be_made_up_is_settled_as_such(tokenizer: WhisperTokenizer) -> None:
    answer = given(tokenizer, beam(tokenizer, "Can do.", 2 * LOWEST_AVERAGE_LOG_PROB))
    writer = TranscriptWriter(tokenizer, NoAligner())
    _, feedback = writer.write(answer, AUDIO, window_info(0, **LATER, **SEGMENT))
    assert feedback.settled is not None
    assert feedback.settled.possible_hallucination is True


def test_segments_are_joined_as_the_language_is_written(tokenizer: WhisperTokenizer) -> None:
    window = LATER | {"settled": [SettledText(text="你好。"), SettledText(text="世界")]}
    message, _ = written(tokenizer, "我们走吧。", "zh", **window)
    assert message["transcript"] == "你好。世界我们走吧。"


def test_every_beam_is_of_the_whole_utterance(tokenizer: WhisperTokenizer) -> None:
    answer = given(tokenizer, beam(tokenizer, "Can do."), beam(tokenizer, "Can you."))
    info = window_info(0, beam_width=2, beam_results=True, **LATER)
    writer = TranscriptWriter(tokenizer, NoAligner())
    (segment,) = writer.write(answer, AUDIO, info)[0]["segments"]
    first, second = segment["beam_results"]
    assert first == {"text": segment["text"], "log_prob": segment["log_prob"]}
    assert second["text"] == f"{BEFORE} Can you."
