"""The transcript stage: messages key for key, and what an engine's tokens become."""

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.companion import Companion
from pipeline.engines.request import Hypothesis, output_tensors
from pipeline.feedback import Feedback
from pipeline.tokens import WhisperTokenizer
from pipeline.transcript import Answer, TranscriptWriter, read_outputs
from pipeline.window import KnownText
from tests.pipeline.support import JFK_WORDS, window_info
from tests.pipeline.transcripts import AUDIO, NoAligner, beam, given

SAMPLE_MESSAGE_KEYS = {
    "segments",
    "language_code",
    "language_prob",
    "diarization",
    "timing_info",
    "enable_chunk_level_language_detection",
    "audio_length_sec",
    "is_final",
    "transcription_num",
    "next_partial",
    "pipeline_latency",
    "type",
}
SAMPLE_SEGMENT_KEYS = {
    "start_time",
    "end_time",
    "text",
    "log_prob",
    "word_timestamps",
    "speaker",
    "speaker_confidence",
    "possible_hallucination",
    "beam_results",
    "language_code",
    "language_prob",
}
ADDED_KEYS = {"transcript", "committed", "confidence", "resume"}
"""The gateway keeps the last to itself."""

TEXT = "Tell me what an oak tree looks like."
OAK: dict[str, Any] = {
    "utterance": 2,
    "start": 55_808,
    "end": 108_544,
    "audio_start": 51_712,
    "goes_on_at": 113_664,
    "vad_state": "AAAA",
    "vad_state_at": 40_960,
}


@pytest.fixture
def writer(tokenizer: WhisperTokenizer) -> TranscriptWriter:
    return TranscriptWriter(tokenizer, NoAligner())


def found(tokenizer: WhisperTokenizer, language: str, prob: float, text: Hypothesis) -> Answer:
    """The answer to `<|startoftranscript|>` alone: the model says the language itself."""
    head = tokenizer.task_tokens(language)
    log_probs = [math.log(prob), 0.0, 0.0]
    return Answer([Hypothesis(head + text.tokens, log_probs + text.log_probs)], [tokenizer.start])


def test_a_message_has_the_samples_keys_and_those_that_were_added(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    message, _ = writer.write(given(tokenizer, beam(tokenizer, TEXT)), AUDIO, window_info(1))
    assert set(message) == SAMPLE_MESSAGE_KEYS | ADDED_KEYS
    (segment,) = message["segments"]
    assert set(segment) == SAMPLE_SEGMENT_KEYS


def test_a_final_says_what_the_sample_says(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    tokens = beam(tokenizer, TEXT, -0.15)
    message, _ = writer.write(given(tokenizer, tokens), AUDIO, window_info(0, **OAK))
    log_prob = pytest.approx(-0.15 * len(tokens.tokens))
    confidence = message.pop("confidence")
    assert message == {
        "segments": [
            {
                "start_time": 3.488,
                "end_time": 6.784,
                "text": TEXT,
                "log_prob": log_prob,
                "word_timestamps": [],
                "speaker": None,
                "speaker_confidence": None,
                "possible_hallucination": False,
                "beam_results": [],
                "language_code": "en",
                "language_prob": None,
            }
        ],
        "language_code": "en",
        "language_prob": None,
        "diarization": [],
        "timing_info": None,
        "enable_chunk_level_language_detection": False,
        "audio_length_sec": 3.296,
        "is_final": True,
        "transcription_num": 2,
        "next_partial": None,
        "pipeline_latency": None,
        "type": "transcription",
        "transcript": TEXT,
        "committed": TEXT,
        "resume": {
            "listen_from": 113_664,
            "settled_until": 108_544,
            "vad_state": "AAAA",
            "vad_state_at": 40_960,
            "found_language": None,
            "found_language_prob": 0.0,
        },
    }
    assert 0.8 < confidence < 0.9
    assert json.loads(json.dumps(message, allow_nan=False))


def test_a_partial_is_no_final(writer: TranscriptWriter, tokenizer: WhisperTokenizer) -> None:
    info = window_info(0, **OAK, final=False)
    message, _ = writer.write(given(tokenizer, beam(tokenizer, TEXT)), AUDIO, info)
    assert (message["is_final"], message["transcription_num"]) == (False, 2)
    assert "resume" not in message


@pytest.mark.parametrize("tokens", [[], [220]])
def test_nothing_recognised_is_a_message_without_segments(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer, tokens: list[int]
) -> None:
    empty = Hypothesis(tokens, [-0.5] * len(tokens))
    message, feedback = writer.write(given(tokenizer, empty), AUDIO, window_info(0, **OAK))
    assert message["segments"] == []
    assert message["transcript"] == message["committed"] == ""
    assert message["confidence"] == 0
    assert message["language_code"] == "en"
    assert message["audio_length_sec"] == 3.296
    assert feedback.number == 1


def test_a_language_that_the_model_found_comes_with_its_probability(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    answer = found(tokenizer, "fr", 0.9, beam(tokenizer, "Bonjour."))
    message, feedback = writer.write(answer, AUDIO, window_info(0, None, **OAK))
    assert message["transcript"] == "Bonjour."
    for holder in (message, message["segments"][0]):
        assert (holder["language_code"], holder["language_prob"]) == ("fr", 0.9)
    assert feedback.language == "fr"
    assert feedback.language_prob == pytest.approx(0.9)


def test_the_probability_of_the_language_is_not_the_texts(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    text = beam(tokenizer, "Bonjour.", -0.2)
    (segment,) = writer.write(found(tokenizer, "fr", 0.01, text), AUDIO, window_info(0, None))[0][
        "segments"
    ]
    assert segment["log_prob"] == pytest.approx(-0.2 * len(text.tokens))


def test_a_language_that_the_stream_follows_comes_with_the_streams_probability(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    info = window_info(0, "fr", language_prob=0.8)
    answer = given(tokenizer, beam(tokenizer, "Bonjour."), language="fr")
    message, feedback = writer.write(answer, AUDIO, info)
    assert (message["language_code"], message["language_prob"]) == ("fr", 0.8)
    assert feedback.language is None  # nothing new was learnt


def test_a_language_chosen_before_the_engine_is_read_from_the_prompt(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    answer = given(tokenizer, beam(tokenizer, "Привет."), language="ru")
    message, _ = writer.write(answer, AUDIO, window_info(0, None, language_options=["ru", "en"]))
    assert message["language_code"] == message["segments"][0]["language_code"] == "ru"


def test_a_given_language_is_told_even_where_the_model_takes_the_nearest(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    answer = given(tokenizer, beam(tokenizer, "你好。"), language="yue")
    message, _ = writer.write(answer, AUDIO, window_info(0, "yue"))
    assert message["language_code"] == message["segments"][0]["language_code"] == "yue"


@pytest.mark.parametrize(
    ("known", "prob", "seconds", "learnt"),
    [
        (None, 0.9, 1, ("fr", 0.9)),
        (None, 0.4, 5, (None, 0.0)),
        (("es", 0.8), 0.9, 5, ("fr", 0.9)),
        (("es", 0.8), 0.9, 1, ("es", 0.8)),
        (("es", 0.8), 0.4, 5, ("es", 0.8)),
    ],
)
def test_a_resumed_stream_knows_the_language_that_the_stream_would_have_learnt(
    known: tuple[str, float] | None,
    prob: float,
    seconds: int,
    learnt: tuple[str | None, float],
    writer: TranscriptWriter,
    tokenizer: WhisperTokenizer,
) -> None:
    answer = found(tokenizer, "fr", prob, beam(tokenizer, "Bonjour."))
    speech = {"start": 0, "end": seconds * SAMPLE_RATE, "stream_language": known}
    message, _ = writer.write(answer, AUDIO, window_info(0, None, **speech))
    resume = message["resume"]
    assert (resume["found_language"], resume["found_language_prob"]) == learnt


def test_detection_only_gives_the_language_and_no_text(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    answer = Answer([Hypothesis([tokenizer.language_token("es")], [-0.1])], [tokenizer.start])
    info = window_info(0, None, **OAK, language_detection_only=True)
    message, feedback = writer.write(answer, AUDIO, info)
    (segment,) = message["segments"]
    assert (segment["text"], segment["word_timestamps"]) == ("", [])
    assert (segment["start_time"], segment["end_time"]) == (3.488, 6.784)
    assert segment["language_code"] == message["language_code"] == "es"
    assert segment["language_prob"] == pytest.approx(math.exp(-0.1), abs=1e-4)
    assert segment["possible_hallucination"] is False
    assert feedback.language == "es"


def test_feedback_tells_what_the_window_taught(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    info = window_info(0, **OAK, number=9)
    _, feedback = writer.write(given(tokenizer, beam(tokenizer, TEXT)), AUDIO, info)
    assert feedback == Feedback(number=9, utterance=2, samples=52_736)
    assert Feedback.model_validate_json(feedback.model_dump_json()) == feedback


@pytest.mark.parametrize("at", [0, 3, -1])
@pytest.mark.parametrize("special", ["<|0.00|>", "<|7.50|>", "<|nospeech|>", "<|startoflm|>"])
def test_stray_special_tokens_are_no_text(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer, special: str, at: int
) -> None:
    token = tokenizer._tokenizer.token_to_id(special) or tokenizer.no_timestamps + 1
    text = beam(tokenizer, TEXT)
    text.tokens.insert(at, token)
    text.log_probs.insert(at, -9.0)
    text.tokens.append(tokenizer.end)
    text.log_probs.append(-0.1)
    message, _ = writer.write(given(tokenizer, text), AUDIO, window_info(0))
    assert message["transcript"] == TEXT
    assert message["segments"][0]["log_prob"] > -9.0


def test_a_stray_language_token_does_not_change_the_language(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    text = beam(tokenizer, TEXT)
    text.tokens.insert(4, tokenizer.language_token("cy"))
    text.log_probs.insert(4, -3.0)
    for answer, language in [
        (given(tokenizer, text), "en"),
        (found(tokenizer, "fr", 0.9, text), None),
    ]:
        message, _ = writer.write(answer, AUDIO, window_info(0, language))
        assert message["language_code"] == ("fr" if language is None else "en")
        assert message["transcript"] == TEXT


def test_a_text_cut_within_a_character_ends_before_it(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    tokens = tokenizer.encode(" 你好𝄞")[:-1]
    message, _ = writer.write(
        given(tokenizer, Hypothesis(tokens, [-0.1] * len(tokens)), language="zh"),
        AUDIO,
        window_info(0, "zh"),
    )
    assert message["transcript"] == "你好"


def test_beams_are_shown_best_first_when_asked(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    beams = [beam(tokenizer, TEXT, -0.1), beam(tokenizer, "Tell me.", -0.5)]
    info = window_info(0, beam_width=2, beam_results=True)
    (segment,) = writer.write(given(tokenizer, *beams), AUDIO, info)[0]["segments"]
    assert [result["text"] for result in segment["beam_results"]] == [TEXT, "Tell me."]
    assert segment["beam_results"][0]["log_prob"] == segment["log_prob"]
    unasked = writer.write(given(tokenizer, *beams), AUDIO, window_info(0, beam_width=2))[0]
    assert unasked["segments"][0]["beam_results"] == []


@pytest.mark.parametrize(
    ("text", "log_prob", "speech_probability", "expected"),
    [
        (TEXT, -0.1, 0.95, False),
        (TEXT, -1.5, 0.95, True),
        (TEXT, -0.1, 0.3, True),
        ("Thank you for watching!", -0.1, 0.95, True),
    ],
)
def test_doubtful_text_is_marked_and_not_withheld(
    writer: TranscriptWriter,
    tokenizer: WhisperTokenizer,
    text: str,
    log_prob: float,
    speech_probability: float,
    expected: bool,
) -> None:
    info = window_info(0, speech_probability=speech_probability)
    message, _ = writer.write(given(tokenizer, beam(tokenizer, text, log_prob)), AUDIO, info)
    assert message["segments"][0]["possible_hallucination"] is expected
    assert message["transcript"] == text


def test_confidence_is_the_probability_of_an_average_token(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    for log_prob in (-3.0, -0.5, 0.0, 0.001):  # rounding may carry a sum above 0
        text = beam(tokenizer, TEXT, log_prob)
        message, _ = writer.write(given(tokenizer, text), AUDIO, window_info(0))
        count = len(text.tokens)
        expected = math.exp(min(0.0, log_prob) * count / (count + 1))
        assert message["confidence"] == pytest.approx(expected, abs=1e-3)


def test_word_times_are_the_aligners(
    tokenizer: WhisperTokenizer, companion: Companion, jfk: NDArray[np.int16]
) -> None:
    text = " ".join(JFK_WORDS)
    info = window_info(len(jfk), word_timestamps=True)
    message, _ = TranscriptWriter(tokenizer, companion).write(
        given(tokenizer, beam(tokenizer, text)), jfk, info
    )
    words = message["segments"][0]["word_timestamps"]
    assert [word["word"] for word in words] == JFK_WORDS
    assert all(set(word) == {"word", "start_time", "end_time", "prob"} for word in words)
    assert 0 <= words[0]["start_time"] < words[-1]["end_time"] <= 11.0


# Reading an engine's outputs.


def test_what_the_embedded_engine_writes_is_read_back() -> None:
    beams = [Hypothesis([5, 6, 7], [-0.5, -0.25, -0.25]), Hypothesis([8], [-2.0])]
    assert read_outputs(output_tensors(beams)) == beams
    assert read_outputs(output_tensors([Hypothesis([], [])])) == [Hypothesis([], [])]


def outputs(
    ids: list[list[int]], lengths: list[int], log_probs: NDArray[np.float32]
) -> dict[str, NDArray[np.generic]]:
    return {
        "output_ids": np.array([ids], np.int32),
        "sequence_length": np.array([lengths], np.int32),
        "cum_log_probs": np.zeros((1, len(ids)), np.float32),
        "output_log_probs": log_probs,
    }


@pytest.mark.parametrize("shape", [(1, 1, 0), (1, 0), (1, 0, 0)])
def test_missing_log_probabilities_count_as_none(shape: tuple[int, ...]) -> None:
    (read,) = read_outputs(outputs([[5, 6, -1, -1]], [2], np.zeros(shape, np.float32)))
    assert read == Hypothesis([5, 6], [0.0, 0.0])


def test_padding_is_never_a_token_even_where_the_length_counts_it() -> None:
    log_probs = np.full((1, 1, 4), -0.5, np.float32)
    (read,) = read_outputs(outputs([[5, 6, -1, -1]], [4], log_probs))
    assert read == Hypothesis([5, 6], [-0.5, -0.5])


def test_log_probabilities_longer_than_the_tokens_are_cut() -> None:
    log_probs = np.full((1, 1, 114), -0.5, np.float32)
    (read,) = read_outputs(outputs([[5, 6, 7, -1]], [3], log_probs))
    assert read == Hypothesis([5, 6, 7], [-0.5] * 3)


def test_a_language_chosen_among_some_comes_with_its_probability(
    tokenizer: WhisperTokenizer,
) -> None:
    prompt = tokenizer.decoder_prompt("fr", "")
    beam = Hypothesis(tokenizer.encode(" Bonjour."), [-0.1] * len(tokenizer.encode(" Bonjour.")))
    info = window_info(16_000, None, language_options=["en", "fr"])
    message, feedback = TranscriptWriter(tokenizer, NoAligner()).write(
        Answer([beam], prompt, language_prob=0.75), np.zeros(16_000, np.int16), info
    )
    assert (message["language_code"], message["language_prob"]) == ("fr", 0.75)
    assert (feedback.language, feedback.language_prob) == ("fr", 0.75)


@pytest.mark.parametrize(("language", "prob"), [("en", None), (None, 0.9)])
def test_forced_text_stands_in_front_of_the_engines_own_with_what_is_known_of_it(
    language: str | None, prob: float | None, writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    said = tokenizer.encode(" The oak")
    known = KnownText(
        text="The oak", log_prob=-2.0, tokens=len(said), language="en", language_prob=prob
    )
    own = beam(tokenizer, "is old.", -0.5)
    prompt = [*tokenizer.decoder_prompt("en", ""), *said]
    message, feedback = writer.write(
        Answer([own], prompt), AUDIO, window_info(1, language, known=known)
    )
    (segment,) = message["segments"]
    assert message["transcript"] == segment["text"] == "The oak is old."
    assert segment["log_prob"] == pytest.approx(-2.0 - 0.5 * len(own.tokens))
    assert (message["language_code"], message["language_prob"]) == ("en", prob)
    assert feedback.language == (None if prob is None else "en")


def test_an_engine_that_adds_nothing_leaves_the_forced_text_as_it_was(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    said = tokenizer.encode(" The oak is old.")
    known = KnownText(
        text="The oak is old.", log_prob=-2.0, tokens=len(said), language="en", language_prob=None
    )
    prompt = [*tokenizer.decoder_prompt("en", ""), *said]
    message, _ = writer.write(
        Answer([Hypothesis([], [])], prompt), AUDIO, window_info(1, known=known)
    )
    assert message["transcript"] == "The oak is old."
    assert message["confidence"] == pytest.approx(math.exp(-2.0 / (len(said) + 1)), abs=1e-3)


def test_an_initial_prompt_is_not_taken_for_forced_text(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    prompt = tokenizer.decoder_prompt("en", "A story of oaks.")
    message, _ = writer.write(Answer([beam(tokenizer, "The end.")], prompt), AUDIO, window_info(1))
    assert message["transcript"] == "The end."


def test_feedback_tells_how_sure_the_engine_was_of_what_goes_on(
    writer: TranscriptWriter, tokenizer: WhisperTokenizer
) -> None:
    hypothesis = beam(tokenizer, "The oak", -0.5)
    _, feedback = writer.write(given(tokenizer, hypothesis), AUDIO, window_info(1, final=False))
    assert feedback.tokens == len(hypothesis.tokens)
    assert feedback.log_prob == pytest.approx(-0.5 * len(hypothesis.tokens))
