"""Text that Whisper may have made up: what speaks for it, and the verdict.

Whisper writes fluent text over music, noise and silence. Neither engine has the reference's
temperature fallback, so doubtful text is marked, never withheld. Pure: numbers and text in.
"""

import re
import zlib
from dataclasses import dataclass

LOWEST_AVERAGE_LOG_PROB = -1.0
HIGHEST_COMPRESSION_RATIO = 2.4
"""Both from openai/whisper's `transcribe` (`logprob_threshold`, `compression_ratio_threshold`)."""
LOWEST_SPEECH_PROBABILITY = 0.5
"""Mean probability of speech over the utterance; clear speech has over 0.8, singing much less."""
DOUBTFUL_AVERAGE_LOG_PROB = -0.7
DOUBTFUL_SPEECH_PROBABILITY = 0.65
"""Both a little weak together count as much as one that is very weak."""

PHANTOM_PHRASES = frozenset(
    phrase.strip()
    for phrase in """
    thank you for watching
    thanks for watching
    thanks for watching and ill see you in the next video
    please subscribe
    please subscribe to my channel
    like and subscribe
    dont forget to like and subscribe
    see you next time
    see you in the next video
    subtitles by the amaraorg community
    transcription by castingwords
    transcript emily beynon
    sous titres réalisés par la communauté damaraorg
    sous titrage st 501
    sous titrage société radio canada
    merci davoir regardé cette vidéo
    merci davoir regardé
    subtítulos realizados por la comunidad de amaraorg
    subtítulos por la comunidad de amaraorg
    gracias por ver el video
    gracias por ver
    suscríbete
    untertitel der amaraorg community
    untertitelung des zdf 2020
    untertitel im auftrag des zdf für funk 2017
    vielen dank fürs zuschauen
    sottotitoli creati dalla comunità amaraorg
    sottotitoli e revisione a cura di qtss
    grazie per la visione
    legendas pela comunidade amaraorg
    obrigado por assistir
    ondertiteld door de amaraorg gemeenschap
    ondertitels ingediend door de amaraorg gemeenschap
    napisy stworzone przez społeczność amaraorg
    продолжение следует
    субтитры сделал dimatorzok
    субтитры создавал dimatorzok
    редактор субтитров асемкин корректор аегорова
    спасибо за просмотр
    дякую за перегляд
    字幕由amaraorg社区提供
    字幕by索兰娅
    请不吝点赞订阅转发打赏支持明镜与点点栏目
    谢谢观看
    ご視聴ありがとうございました
    시청해주셔서 감사합니다
    """.strip().splitlines()
)
"""What Whisper writes over silence and music: the sign-offs and credits of its training data."""

_UNSPACED_PHRASES = frozenset(phrase.replace(" ", "") for phrase in PHANTOM_PHRASES)
"""Chinese is written with spaces or without."""
_NOT_WORDS = re.compile(r"[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a text."""

    text: str
    average_log_prob: float
    speech_probability: float


def is_possible_hallucination(evidence: Evidence) -> bool:
    """Whether a text may be made up."""
    if not evidence.text:
        return False
    weak = (
        evidence.average_log_prob < DOUBTFUL_AVERAGE_LOG_PROB
        and evidence.speech_probability < DOUBTFUL_SPEECH_PROBABILITY
    )
    return (
        weak
        or evidence.average_log_prob < LOWEST_AVERAGE_LOG_PROB
        or evidence.speech_probability < LOWEST_SPEECH_PROBABILITY
        or compression_ratio(evidence.text) > HIGHEST_COMPRESSION_RATIO
        or is_phantom_phrase(evidence.text)
    )


def compression_ratio(text: str) -> float:
    """How many times zlib shortens a text, as openai/whisper's `utils.compression_ratio`."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def is_phantom_phrase(text: str) -> bool:
    """Whether a text is nothing but one of the known phantom phrases."""
    words = _NOT_WORDS.sub("", text.lower().replace("-", " ")).split()
    return "".join(words) in _UNSPACED_PHRASES
