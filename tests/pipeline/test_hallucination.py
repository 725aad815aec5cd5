"""What speaks for a text being made up: each criterion alone, and none for ordinary speech."""

import pytest

from pipeline.hallucination import (
    DOUBTFUL_AVERAGE_LOG_PROB,
    DOUBTFUL_SPEECH_PROBABILITY,
    HIGHEST_COMPRESSION_RATIO,
    LOWEST_AVERAGE_LOG_PROB,
    LOWEST_SPEECH_PROBABILITY,
    PHANTOM_PHRASES,
    Evidence,
    compression_ratio,
    is_phantom_phrase,
    is_possible_hallucination,
)

ORDINARY = [
    "Tell me what an oak tree looks like.",
    "Thank you for watching my dog while I was away.",
    "I was watching the news.",
    "Thank you.",
    "Yes.",
    "No, no, no.",
    "Se lo agradezco. Gracias por ver a mi madre.",
    "Nous vous remercions d'avoir regardé ce dossier.",
    "Спасибо за просмотр моего дома и сада.",
    "Продолжение следует читать завтра.",
    "ありがとうございました",
    "ask not what your country can do for you, ask what you can do for your country",
]
PHANTOM = [
    "Thank you for watching!",
    "THANKS FOR WATCHING.",
    "  Thanks for watching...  ",
    "Please subscribe to my channel!",
    "Don't forget to like and subscribe.",
    "Don’t forget to like and subscribe.",
    "Subtitles by the Amara.org community",
    "Sous-titres réalisés par la communauté d'Amara.org",
    "Sous-titrage Société Radio-Canada",
    "Sous-titrage ST' 501",
    "¡Suscríbete!",
    "Subtítulos realizados por la comunidad de Amara.org",
    "Untertitel der Amara.org-Community",
    "Untertitelung des ZDF, 2020",
    "Sottotitoli creati dalla comunità Amara.org",
    "Субтитры сделал DimaTorzok",
    "Продолжение следует...",
    "Редактор субтитров А.Семкин Корректор А.Егорова",
    "ご視聴ありがとうございました。",
    "시청해주셔서 감사합니다.",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
    "字幕由Amara.org社区提供",
]


def verdict(
    text: str = ORDINARY[0], average_log_prob: float = -0.2, speech_probability: float = 0.95
) -> bool:
    return is_possible_hallucination(Evidence(text, average_log_prob, speech_probability))


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_speech_is_not_marked(text: str) -> None:
    assert not verdict(text)


@pytest.mark.parametrize("text", PHANTOM)
def test_phantom_phrases_are_marked_in_every_spelling(text: str) -> None:
    assert is_phantom_phrase(text)
    assert verdict(text)


@pytest.mark.parametrize("phrase", sorted(PHANTOM_PHRASES))
def test_every_listed_phrase_is_written_as_it_is_looked_up(phrase: str) -> None:
    assert phrase
    assert is_phantom_phrase(phrase)


def test_unlikely_text_is_marked() -> None:
    assert not verdict(average_log_prob=LOWEST_AVERAGE_LOG_PROB)
    assert verdict(average_log_prob=LOWEST_AVERAGE_LOG_PROB - 0.01)


def test_text_over_what_is_hardly_speech_is_marked() -> None:
    assert not verdict(speech_probability=LOWEST_SPEECH_PROBABILITY)
    assert verdict(speech_probability=LOWEST_SPEECH_PROBABILITY - 0.01)


def test_two_doubts_together_are_marked_and_one_is_not() -> None:
    doubtful_text = DOUBTFUL_AVERAGE_LOG_PROB - 0.01
    doubtful_speech = DOUBTFUL_SPEECH_PROBABILITY - 0.01
    assert verdict(average_log_prob=doubtful_text, speech_probability=doubtful_speech)
    assert not verdict(average_log_prob=doubtful_text)
    assert not verdict(speech_probability=doubtful_speech)


def test_text_that_repeats_itself_is_marked() -> None:
    looping = "you know " * 20
    assert compression_ratio(looping) > HIGHEST_COMPRESSION_RATIO
    assert verdict(looping)


def test_no_text_is_never_marked() -> None:
    assert not verdict("", average_log_prob=-9.0, speech_probability=0.0)


@pytest.mark.parametrize("text", ["...", "!", "♪"])
def test_a_text_without_words_is_no_phantom_phrase(text: str) -> None:
    assert not is_phantom_phrase(text)
