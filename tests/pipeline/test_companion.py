"""The companion on real recordings: word times, and languages among some."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.companion import Companion
from pipeline.words import Word
from tests.pipeline.support import CLIPS, recording, window_info

JFK_TEXT = (
    "And so, my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)


def waveform(path: Path) -> NDArray[np.float32]:
    return recording(path).astype(np.float32) / np.float32(32768)


def start_of(words: list[Word], text: str) -> float:
    """When the last occurrence of a word begins, in seconds."""
    return [word.start for word in words if word.text == text][-1] / SAMPLE_RATE


@pytest.fixture(scope="module")
def aligned(companion: Companion, jfk: NDArray[np.int16]) -> list[Word]:
    return companion.align(jfk, window_info(len(jfk)), JFK_TEXT, "en")


def test_the_words_are_the_text(aligned: list[Word]) -> None:
    assert " ".join(word.text for word in aligned) == JFK_TEXT


def test_words_stand_where_they_are_spoken(aligned: list[Word]) -> None:
    # Where a pause stands before a word, Whisper takes some of it for the word.
    expected_s = {"fellow": 1.2, "Americans,": 1.6, "country": 5.8, "you,": 7.1, "country.": 9.9}
    for text, seconds in expected_s.items():
        assert start_of(aligned, text) == pytest.approx(seconds, abs=0.2), text


def test_words_do_not_last_through_the_pauses_behind_them(aligned: list[Word]) -> None:
    americans = next(word for word in aligned if word.text == "Americans,")
    assert americans.end - americans.start < SAMPLE_RATE


def test_words_follow_each_other_within_the_utterance(
    aligned: list[Word], jfk: NDArray[np.int16]
) -> None:
    assert all(0 <= word.start <= word.end <= len(jfk) for word in aligned)
    assert all(before.end <= after.start for before, after in pairwise(aligned))
    assert all(0 <= word.prob <= 1 for word in aligned)
    assert np.mean([word.prob for word in aligned]) > 0.7


def test_times_are_the_streams_and_keep_to_the_utterance(
    companion: Companion, jfk: NDArray[np.int16]
) -> None:
    begin, second = 10**7, SAMPLE_RATE
    info = window_info(0, audio_start=begin, start=begin + second // 4, end=begin + 2 * second)
    words = companion.align(jfk[: 5 * second // 2], info, "And so, my fellow Americans.", "en")
    assert words[0].start >= info.start
    assert words[-1].end <= info.end
    assert words[-1].start > begin + second


def test_text_in_a_language_without_spaces_is_aligned_too(
    companion: Companion, jfk: NDArray[np.int16]
) -> None:
    words = companion.align(jfk, window_info(len(jfk)), "こんにちは、世界。", "ja")
    assert "".join(word.text for word in words) == "こんにちは、世界。"


@pytest.mark.parametrize(
    ("clip", "options", "expected"),
    [
        ("fr/vm-whichbox.wav", ["en", "fr"], "fr"),
        ("es/vm-nonumber.wav", ["ru", "es", "en"], "es"),
        ("ru/privacy-unident.wav", ["fr", "ru"], "ru"),
    ],
)
def test_the_language_is_found_among_the_options(
    companion: Companion, clip: str, options: list[str], expected: str
) -> None:
    language, share = companion.detect(waveform(CLIPS / clip), options)
    assert language == expected
    assert 0.8 < share <= 1


def test_nothing_but_an_option_is_ever_found(companion: Companion) -> None:
    language, share = companion.detect(waveform(CLIPS / "fr" / "vm-whichbox.wav"), ["ja", "ko"])
    assert language in {"ja", "ko"}
    assert 0.5 <= share <= 1


def test_a_language_that_the_model_lacks_is_never_found(companion: Companion) -> None:
    clip = waveform(CLIPS / "fr" / "vm-whichbox.wav")
    assert companion.detect(clip, ["yue", "fr"]) == ("fr", 1.0)
    assert companion.detect(clip, ["yue"]) == ("yue", 1.0)
