"""Words and their times: nothing of the text is lost, and times rise within the utterance."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokens import WhisperTokenizer
from pipeline.words import Spelling, Word, join_texts, split_words, time_words

TEXTS = {
    "en": 'He said: "Don\'t!" (and left) -- at 10:30 a.m., for $5.50.',
    "fr": "« L'été », dit-il, « c'est fini ! » N'est-ce pas ?",
    "es": "¿Qué pasó? ¡Nada! El niño cumplió 2,5 años.",
    "de": "Er rief: „Schöne Grüße!“ Dann war's still.",
    "ru": "Введите одно или несколько слов, «решётка» — и всё.",
    "tr": "İstanbul'a gidiyoruz, değil mi?",
    "hi": "नमस्ते, आप कैसे हैं?",
    "ko": "안녕하세요, 만나서 반갑습니다.",
    "ar": "مرحبا، كيف حالك؟",
    "ja": "「こんにちは」、お元気ですか？はい。",
    "zh": "你好，世界！我们走吧。",
    "yue": "你食咗飯未呀？",
    "th": "สวัสดีครับ คุณสบายดีไหม",
}
UNSPACED = {"ja", "zh", "yue", "th"}


def split(tokenizer: WhisperTokenizer, text: str, language: str) -> list[Spelling]:
    return split_words(tokenizer, tokenizer.encode(" " + text), language)


def texts(tokenizer: WhisperTokenizer, text: str, language: str = "en") -> list[str]:
    return [word.text for word in split(tokenizer, text, language)]


@pytest.mark.parametrize(("language", "text"), TEXTS.items())
def test_joined_the_words_are_the_text(
    tokenizer: WhisperTokenizer, language: str, text: str
) -> None:
    words = texts(tokenizer, text, language)
    assert "".join(words).replace(" ", "") == text.replace(" ", "")
    if language not in UNSPACED:
        assert " ".join(words) == text
    assert len(words) >= 3


@pytest.mark.parametrize(("language", "text"), TEXTS.items())
def test_every_token_belongs_to_a_word(
    tokenizer: WhisperTokenizer, language: str, text: str
) -> None:
    words = split(tokenizer, text, language)
    assert sum(word.tokens for word in words) == len(tokenizer.encode(" " + text))
    assert all(0 < word.spoken <= word.tokens for word in words)


@pytest.mark.parametrize("language", ["en", "ja"])
@settings(deadline=None, max_examples=200)
@given(text=st.text(st.sampled_from("ab1é字я.,'\"-$¿( ") | st.characters(codec="utf-8")))
def test_no_text_loses_a_character(tokenizer: WhisperTokenizer, language: str, text: str) -> None:
    text = " ".join(text.replace("\N{REPLACEMENT CHARACTER}", "").split())
    words = texts(tokenizer, text, language)
    assert "".join("".join(words).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Well, yes.", ["Well,", "yes."]),
        ("a well-known man", ["a", "well-known", "man"]),
        ("it's John's", ["it's", "John's"]),
        ("for $5.50 or 10%", ["for", "$5.50", "or", "10%"]),
        ("number #1 at @home", ["number", "#1", "at", "@home"]),
        ('so "called" words', ["so", '"called"', "words"]),
        ("one (or two) three", ["one", "(or", "two)", "three"]),
        ("yes — no", ["yes —", "no"]),
        ("- Yes. - No.", ["- Yes.", "- No."]),
        ("this & that", ["this &", "that"]),
        ("Hmm... what?!", ["Hmm...", "what?!"]),
        ("antidisestablishmentarianism", ["antidisestablishmentarianism"]),
        ("'Tis it", ["'Tis", "it"]),
        ("¿Qué? ¡No!", ["¿Qué?", "¡No!"]),
    ],
)
def test_words_are_divided_at_spaces_and_keep_their_punctuation(
    tokenizer: WhisperTokenizer, text: str, expected: list[str]
) -> None:
    assert texts(tokenizer, text) == expected


def test_languages_without_spaces_are_divided_finely(tokenizer: WhisperTokenizer) -> None:
    words = texts(tokenizer, "「こんにちは」、お元気ですか？はい。", "ja")
    assert words[0].startswith("「")
    assert words[-1].endswith("。")
    assert not any(word in "「」、？。" for word in words)


def test_a_text_of_nothing_but_punctuation_is_one_word(tokenizer: WhisperTokenizer) -> None:
    assert texts(tokenizer, "...") == ["..."]


def test_no_text_has_no_words(tokenizer: WhisperTokenizer) -> None:
    assert split_words(tokenizer, [], "en") == []


def times(words: list[Word]) -> list[tuple[int, int]]:
    return [(word.start, word.end) for word in words]


def spelling(tokens: int, spoken: int | None = None) -> Spelling:
    return Spelling("word", tokens, tokens if spoken is None else spoken)


def test_a_word_lasts_until_the_next_one_begins() -> None:
    words = [spelling(2), spelling(1), spelling(1)]
    path = [(0, 5), (1, 8), (2, 10), (2, 11), (3, 20), (4, 25)]
    timed = time_words(words, path, [0.5, 0.7, 0.9, 1.0], 320, 1000, 0, 10**6)
    assert times(timed) == [(2600, 4200), (4200, 7400), (7400, 9000)]
    assert [word.prob for word in timed] == pytest.approx([0.6, 0.9, 1.0])


def test_a_pause_belongs_to_no_word() -> None:
    words = [spelling(2, spoken=1), spelling(1)]  # "so," and a pause at the comma
    path = [(0, 0), (1, 10), (1, 30), (2, 40), (3, 50)]
    timed = time_words(words, path, [0.9, 0.1, 0.8], 320, 0, 0, 10**6)
    assert times(timed) == [(0, 3200), (12_800, 16_000)]
    assert [word.prob for word in timed] == pytest.approx([0.9, 0.8])


def test_the_last_word_ends_with_the_utterance_at_the_latest() -> None:
    timed = time_words([spelling(1)], [(0, 5)], [0.5], 320, 0, 0, 4000)
    assert times(timed) == [(1600, 4000)]


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=10),
    steps=st.lists(st.integers(0, 1500), max_size=40),
    origin=st.integers(0, 10**6),
    lead=st.integers(-16_000, 16_000),
    length=st.integers(0, 480_000),
)
def test_times_rise_and_lie_within_the_utterance(
    counts: list[int], steps: list[int], origin: int, lead: int, length: int
) -> None:
    words = [spelling(count) for count in counts]
    start = origin + lead
    path = list(enumerate(sorted(steps)))
    timed = time_words(words, path, [0.5] * sum(counts), 320, origin, start, start + length)
    assert len(timed) == len(words)
    for word in timed:
        assert start <= word.start <= word.end <= start + length
    for before, after in pairwise(timed):
        assert before.end <= after.start


def test_a_word_on_the_wire_has_seconds() -> None:
    message = Word("one", 16_000, 24_008, 0.123456).message()
    assert message == {"word": "one", "start_time": 1.0, "end_time": 1.5, "prob": 0.1235}


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", "Yes. No."), ("ko", "Yes. No."), ("zh", "Yes.No."), (None, "Yes. No.")],
)
def test_texts_are_joined_as_the_language_is_written(language: str | None, expected: str) -> None:
    assert join_texts(["", "Yes.", "", "No.", ""], language) == expected


def test_joined_no_texts_are_none() -> None:
    assert join_texts(["", ""], "en") == join_texts([], "en") == ""
