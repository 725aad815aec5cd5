"""What a stream remembers of what was recognised of its open utterance."""

import pytest

from pipeline.feedback import Feedback
from pipeline.recognised import MOST_REMEMBERED, Recognised
from pipeline.utterance import Window
from pipeline.window import KnownText, SettledText

ENGLISH, UNKNOWN = ("en", 0.8), (None, None)


def window(
    number: int, start: int = 0, segment: bool = False, early: bool = False, audio: bytes = b""
) -> Window:
    return Window(
        number=number,
        utterance=0,
        final=False,
        utterance_start=0,
        start=start,
        end=start + 512,
        audio_start=start,
        audio=audio,
        voiced=512,
        speech_probability=0.9,
        segment=segment,
        early=early,
    )


def said(number: int, text: str, language: str | None = None) -> Feedback:
    prob = None if language is None else 0.6
    return Feedback(
        number=number, utterance=0, samples=512, text=text, language=language, language_prob=prob
    )


def test_only_windows_of_the_utterance_teach_something() -> None:
    recognised = Recognised()
    recognised.learn(said(1, "hello"))
    assert recognised.texts_before(window(2)) == ("", "")


def test_the_newest_answer_counts() -> None:
    recognised = Recognised()
    for number in (1, 2):
        recognised.send(window(number), UNKNOWN)
    recognised.learn(said(2, "newer"))
    recognised.learn(said(1, "older"))
    assert recognised.texts_before(window(3)) == ("newer", "")


def test_windows_that_were_never_answered_are_not_remembered_for_ever() -> None:
    recognised = Recognised()
    for number in range(1, 1000):
        recognised.send(window(number), UNKNOWN)
    assert len(recognised._sent) == MOST_REMEMBERED
    recognised.learn(said(999, "hello"))
    assert recognised.texts_before(window(1000)) == ("hello", "")


@pytest.mark.parametrize(
    ("sent_in", "found", "expected"),
    [
        (UNKNOWN, "fr", ("fr", 0.6)),
        (ENGLISH, "fr", ("fr", 0.6)),
        (ENGLISH, None, ENGLISH),
        (UNKNOWN, None, None),
    ],
)
def test_a_settled_segment_has_the_language_found_in_it_or_that_it_was_decoded_in(
    sent_in: tuple[str | None, float | None],
    found: str | None,
    expected: tuple[str, float] | None,
) -> None:
    recognised = Recognised()
    recognised.send(window(1, segment=True), sent_in)
    recognised.settle(said(1, "hello", found), SettledText(text="hello"))
    assert recognised.language == expected


def test_a_segments_own_text_is_not_what_came_before_the_rest() -> None:
    recognised = Recognised()
    recognised.send(window(1, segment=True), UNKNOWN)
    recognised.learn(said(1, "hello"))
    assert recognised.texts_before(window(2)) == ("", "")


def test_the_answer_to_an_early_window_is_known_for_the_same_audio_alone() -> None:
    recognised = Recognised()
    recognised.send(window(1, early=True, audio=b"12"), ENGLISH)
    assert recognised.known_of(window(2, audio=b"12")) is None  # not answered yet
    recognised.learn(said(1, "hello").model_copy(update={"log_prob": -1.5, "tokens": 2}))
    known = KnownText(text="hello", log_prob=-1.5, tokens=2, language="en", language_prob=0.8)
    assert recognised.known_of(window(2, audio=b"12")) == known
    assert recognised.known_of(window(2, audio=b"1234")) is None
    assert recognised.known_of(window(2, start=512, audio=b"12")) is None


def test_a_partial_after_the_early_window_takes_nothing_from_what_is_known() -> None:
    recognised = Recognised()
    recognised.send(window(1, early=True), ENGLISH)
    recognised.send(window(2), ENGLISH)
    recognised.learn(said(1, "hello"))
    recognised.learn(said(2, "hello there"))
    known = recognised.known_of(window(3))
    assert known is not None
    assert known.text == "hello"


def test_what_a_partial_was_recognised_as_is_not_known_of_the_final() -> None:
    recognised = Recognised()
    recognised.send(window(1), ENGLISH)
    recognised.learn(said(1, "hello"))
    assert recognised.known_of(window(2)) is None


def test_the_language_of_what_is_known_is_the_one_that_the_engine_found() -> None:
    recognised = Recognised()
    recognised.send(window(1, early=True), UNKNOWN)
    recognised.learn(said(1, "bonjour", "fr"))
    known = recognised.known_of(window(2))
    assert known is not None
    assert (known.language, known.language_prob) == ("fr", 0.6)
