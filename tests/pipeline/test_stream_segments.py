"""One stream whose utterances are cut into segments: who gets them, and what later windows know."""

import numpy as np
import pytest

from pipeline.audio import SAMPLE_RATE, VAD_FRAME_SAMPLES
from pipeline.feedback import Feedback
from pipeline.options import StreamOptions
from pipeline.stream import Stream
from pipeline.stream_language import DETECTION_SAMPLES
from pipeline.window import SettledText, WindowInfo

SEGMENT_SAMPLES = 3 * SAMPLE_RATE
SECOND = SAMPLE_RATE // VAD_FRAME_SAMPLES
PAUSE = [0.0] * 6
WORDS = [0.9] * (2 * SECOND) + PAUSE
"""Two seconds of speech and a pause: of the second ones, a segment is cut in the pause before."""
EARLY_SILENCE = 4 * VAD_FRAME_SAMPLES
ENDPOINT = [0.0] * 12


def stream_of(**options: object) -> Stream:
    """A stream whose client echoes FEEDBACK."""
    stream = Stream(StreamOptions.model_validate(options), segment=SEGMENT_SAMPLES)
    stream.take_feedback("")
    return stream


def hear(stream: Stream, *parts: list[float]) -> list[WindowInfo]:
    """Frames of these probabilities, one a hop; the windows that come of them."""
    found = []
    for probability in [value for part in parts for value in part]:
        frames = stream.take_frames(np.zeros(VAD_FRAME_SAMPLES, np.int16))
        level = -20.0 if probability >= 0.5 else -60.0
        due = stream.next_window(frames, [probability], [level], end=False)
        if due is not None:
            found.append(due[1])
    return found


def answer(stream: Stream, info: WindowInfo, text: str = "", **fields: object) -> None:
    """What the transcript stage makes of a window."""
    settled = SettledText(text=text) if info.segment else None
    said: dict[str, object] = {"text": text, "settled": settled} | fields
    feedback = Feedback.model_validate(
        {"number": info.number, "utterance": info.utterance, "samples": info.end - info.start}
        | said
    )
    stream.take_feedback(feedback.model_dump_json())


def test_a_long_utterance_is_cut_for_a_client_that_echoes() -> None:
    (segment,) = hear(stream_of(), WORDS, WORDS)
    assert (segment.segment, segment.final, segment.is_whole) == (True, False, True)
    assert segment.end == 2 * SECOND * VAD_FRAME_SAMPLES


def test_a_client_that_never_echoes_gets_whole_utterances() -> None:
    stream = Stream(StreamOptions(), segment=SEGMENT_SAMPLES)
    (final,) = hear(stream, WORDS, WORDS, ENDPOINT)
    assert final.final
    assert final.start == 0


@pytest.mark.parametrize("option", ["language_detection_only", "beam_results"])
def test_what_cannot_be_joined_is_not_cut(option: str) -> None:
    (final,) = hear(stream_of(**{option: True}), WORDS, WORDS, ENDPOINT)
    assert final.final


def test_none_are_cut_unless_the_stage_says_so() -> None:
    stream = Stream(StreamOptions())
    stream.take_feedback("")
    (final,) = hear(stream, WORDS, WORDS, ENDPOINT)
    assert final.final


def test_later_windows_of_the_utterance_carry_what_is_settled() -> None:
    stream = stream_of()
    (first,) = hear(stream, WORDS, WORDS)
    answer(stream, first, "ask not")
    (second,) = hear(stream, WORDS)
    answer(stream, second, "what your country")
    (final,) = hear(stream, ENDPOINT)
    assert first.settled == []
    assert [it.text for it in second.settled] == ["ask not"]
    assert [it.text for it in final.settled] == ["ask not", "what your country"]
    assert first.utterance_start == second.utterance_start == final.utterance_start == 0
    assert first.start < second.start < final.start


def test_the_next_utterance_begins_with_nothing_settled() -> None:
    stream = stream_of()
    (segment,) = hear(stream, WORDS, WORDS)
    answer(stream, segment, "ask not")
    hear(stream, ENDPOINT)
    (following,) = hear(stream, WORDS, ENDPOINT)
    assert (following.utterance, following.settled) == (1, [])


def test_an_echo_that_is_repeated_settles_nothing_twice() -> None:
    stream = stream_of()
    (segment,) = hear(stream, WORDS, WORDS)
    for _ in range(3):
        answer(stream, segment, "ask not")
    (final,) = hear(stream, ENDPOINT)
    assert len(final.settled) == 1


def test_a_segment_answered_without_its_text_is_decoded_again() -> None:
    stream = stream_of()
    (segment,) = hear(stream, WORDS, WORDS)
    answer(stream, segment, "ask not", settled=None)
    (final,) = hear(stream, ENDPOINT)
    assert (final.final, final.start, final.settled) == (True, 0, [])


def test_a_text_that_comes_too_late_is_not_settled() -> None:
    stream = stream_of()
    (segment,) = hear(stream, WORDS, WORDS)
    answer(stream, segment, "ask not", settled=None)
    answer(stream, segment, "ask not")
    (final,) = hear(stream, ENDPOINT)
    assert final.settled == []


def test_the_end_of_the_audio_has_what_is_settled_by_then() -> None:
    stream = stream_of()
    (segment,) = hear(stream, WORDS, WORDS)
    answer(stream, segment, "ask not")
    due = stream.next_window(np.empty((0, VAD_FRAME_SAMPLES), np.int16), [], [], end=True)
    assert due is not None
    assert [it.text for it in due[1].settled] == ["ask not"]
    assert due[1].start > segment.end


# What was recognised of the open segment.


def partials_stream() -> Stream:
    return stream_of(partials=True, partial_interval_s=0.5)


def test_a_window_knows_what_the_partial_before_it_was_recognised_as() -> None:
    stream = partials_stream()
    first, *_ = hear(stream, [0.9] * SECOND)
    answer(stream, first, "ask nut", committed="ask")
    (second,) = hear(stream, [0.9] * 2)
    assert (first.previous, first.committed) == ("", "")
    assert (second.previous, second.committed) == ("ask nut", "ask")
    assert (first.interrupted, second.interrupted) == (True, True)
    answer(stream, second, "ask not what", committed="ask not")
    *_, final = hear(stream, ENDPOINT)
    assert final.final
    assert (final.previous, final.committed) == ("ask not what", "ask not")


def test_an_answer_that_is_overtaken_by_a_newer_one_is_not_heeded() -> None:
    options = StreamOptions(partials=True)
    stream = Stream(options, early_silence=EARLY_SILENCE)
    stream.take_feedback("")
    *_, partial = hear(stream, [0.9] * 18)
    *_, early = hear(stream, PAUSE)
    assert (partial.early, early.early) == (False, True)
    answer(stream, early, "new")
    answer(stream, partial, "old")
    answer(stream, early, "new")
    (final,) = hear(stream, ENDPOINT)
    assert final.previous == "new"


def test_what_was_recognised_of_a_segment_does_not_count_behind_it() -> None:
    stream = partials_stream()
    *_, partial = hear(stream, [0.9] * SECOND)
    answer(stream, partial, "ask", committed="ask")
    *_, segment = hear_and_answer(stream, WORDS, WORDS)
    assert segment.segment
    assert segment.committed == "ask"
    answer(stream, segment, "ask not what")
    partial, *_ = hear(stream, [0.9] * SECOND)
    assert partial.settled
    assert (partial.previous, partial.committed) == ("", "")


def hear_and_answer(stream: Stream, *parts: list[float]) -> list[WindowInfo]:
    """As `hear`, and every partial is recognised as "ask", until a segment is cut."""
    found: list[WindowInfo] = []
    for probability in [value for part in parts for value in part]:
        for info in hear(stream, [probability]):
            found.append(info)
            if info.segment:
                return found
            answer(stream, info, "ask", committed="ask")
    return found


def test_what_was_recognised_counts_again_when_the_segment_is_lost() -> None:
    stream = partials_stream()
    *_, segment = hear_and_answer(stream, WORDS, WORDS)
    answer(stream, segment, "ask not", settled=None)
    *_, final = hear(stream, ENDPOINT)
    assert final.final
    assert (final.start, final.previous, final.committed) == (0, "ask", "ask")


def test_what_was_recognised_of_an_utterance_does_not_count_for_the_next() -> None:
    stream = partials_stream()
    hear_and_answer(stream, WORDS)
    *_, final = hear(stream, ENDPOINT)
    answer(stream, final, "ask")
    following, *_ = hear(stream, WORDS)
    assert (following.utterance, following.previous, following.committed) == (1, "", "")


# Language.


def settle_one(stream: Stream, **fields: object) -> WindowInfo:
    """Speak until a segment is cut and settle it; the next window."""
    (segment,) = hear(stream, WORDS, WORDS)
    answer(stream, segment, "ask not", **fields)
    (following,) = hear(stream, WORDS)
    return following


def test_the_rest_of_an_utterance_is_decoded_in_its_first_segments_language() -> None:
    stream = stream_of(language="auto")
    segment = settle_one(stream, language="fr", language_prob=0.4)
    assert (segment.segment, segment.language, segment.language_prob) == (True, "fr", 0.4)
    answer(stream, segment, "what")
    (final,) = hear(stream, ENDPOINT)
    assert (final.final, final.language, final.language_prob) == (True, "fr", 0.4)
    (following,) = hear(stream, [0.9] * (2 * SECOND + 8), ENDPOINT)
    assert following.end - following.start > DETECTION_SAMPLES
    assert following.language is None


def test_the_first_segments_language_stays() -> None:
    stream = stream_of(language="auto")
    segment = settle_one(stream, language="fr", language_prob=0.9)
    answer(stream, segment, "what", language="de", language_prob=0.9)
    (final,) = hear(stream, ENDPOINT)
    assert (final.final, final.language) == (True, "fr")


def test_a_segment_in_the_streams_language_gives_it_to_the_rest_of_its_utterance() -> None:
    stream = Stream(StreamOptions(language="auto"), segment=SEGMENT_SAMPLES // 2)
    french = Feedback(number=0, utterance=0, samples=9, language="fr", language_prob=0.9)
    stream.take_feedback(french.model_dump_json())
    (segment,) = hear(stream, [0.9] * SECOND, PAUSE, [0.9] * SECOND)
    assert (segment.segment, segment.language) == (True, "fr")
    answer(stream, segment, "quoi")
    *_, final = hear(stream, [0.4] * 2 * SECOND, ENDPOINT)
    assert final.end - final.start > DETECTION_SAMPLES
    assert (final.final, final.language) == (True, "fr")


def test_a_given_language_stays() -> None:
    segment = settle_one(stream_of(language="es"), language="fr", language_prob=0.9)
    assert (segment.language, segment.language_prob) == ("es", None)


def test_a_segment_is_decoded_in_the_language_of_the_early_window_in_its_pause() -> None:
    stream = Stream(
        StreamOptions(language="auto"), early_silence=EARLY_SILENCE, segment=SEGMENT_SAMPLES // 2
    )
    stream.take_feedback("")
    (early,) = hear(stream, [0.9] * SECOND, [0.0] * 8)
    answer(stream, early, "ask", language="fr", language_prob=0.9)
    (segment,) = hear(stream, [0.9] * SECOND)
    assert (early.early, segment.segment) == (True, True)
    assert (segment.start, segment.end) == (early.start, early.end)
    assert early.language is segment.language is None
