"""Finals become one text with words and times."""

import math

import pytest

from gateway.messages import Frame
from gateway.rest.transcript import Transcript, log_probability, timed_words
from tests.gateway.rest.frames import final


def transcript(*finals: Frame, language: str = "auto") -> Transcript:
    heard = Transcript(language)
    for frame in finals:
        heard.add(frame)
    return heard


def test_finals_are_joined_with_spaces() -> None:
    assert transcript(final("Hello."), final("Good bye.")).text == "Hello. Good bye."


def test_languages_without_spaces_are_joined_without() -> None:
    assert transcript(final("你好。", language="zh"), final("再见。", language="zh")).text == (
        "你好。再见。"
    )


def test_what_each_final_adds_joined_is_the_text() -> None:
    frames = [
        final("One."),
        final("", language="und"),
        final("二。", language="ja"),
        final("三。", language="ja"),
        final("Four."),
    ]
    heard = Transcript()
    added = [heard.add(frame) for frame in frames]
    assert "".join(added) == heard.text
    assert added[1] == ""


def test_the_language_is_that_of_most_of_the_speech() -> None:
    heard = transcript(
        final("One.", 0, 1), final("Deux.", 1, 4, language="fr"), final("Three.", 4, 5)
    )
    assert heard.main_language == "fr"
    assert heard.languages == ["fr", "en"]


def test_a_language_that_was_given_is_told() -> None:
    assert transcript(language="de").main_language == "de"


def test_where_nothing_was_said_the_language_is_undetermined() -> None:
    assert transcript().main_language == "und"
    assert transcript().languages == []
    assert transcript().text == ""


WORDS = [("Hello,", 0.1, 0.5, 0.9), ("world!", 0.6, 1.0, 0.5)]


def test_words_joined_are_the_text() -> None:
    heard = transcript(
        final("Hello, world!", words=WORDS),
        final("你好。", language="zh", words=[("你", 2, 2.1, 1.0), ("好。", 2.1, 2.2, 1.0)]),
        final("你。", language="zh", words=[("你。", 3, 3.1, 1.0)]),
    )
    words = list(heard.words())
    assert "".join(word.text for word in words) == heard.text
    assert [word.text for word in words] == ["Hello,", " world!", " 你", "好。", "你。"]
    assert [word.start_s for word in words] == [0.1, 0.6, 2, 2.1, 3]


def test_text_behind_the_last_word_belongs_to_it() -> None:
    (segment,) = final("Hello, world! ...", words=WORDS)["segments"]
    assert [word.text for word in timed_words(segment)] == ["Hello,", " world! ..."]


def test_a_word_that_is_not_in_the_text_is_left_out() -> None:
    words = [WORDS[0], ("there", 0.5, 0.6, 0.9), WORDS[1]]
    (segment,) = final("Hello, world!", words=words)["segments"]
    assert [word.text for word in timed_words(segment)] == ["Hello,", " world!"]


def test_without_word_times_the_words_are_spread_over_the_segment() -> None:
    (segment,) = final("a bb ccc", 10, 16)["segments"]
    spread = timed_words(segment)
    assert [(word.text, word.start_s, word.end_s) for word in spread] == [
        ("a", 10, 11),
        (" bb", 11, 13),
        (" ccc", 13, 16),
    ]


def test_a_probability_of_0_has_a_logarithm_all_the_same() -> None:
    assert log_probability(0) < -9
    assert log_probability(0.5) == pytest.approx(math.log(0.5), abs=1e-4)
