"""What answers say, checked against the models that OpenAI's own package reads them with."""

import json
import zlib
from typing import Any

import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from gateway.messages import Frame
from gateway.rest.form import parse_form
from gateway.rest.formats import answer, compression_ratio
from gateway.rest.languages import NAMES, name_of
from gateway.rest.transcript import Transcript
from pipeline.language import LANGUAGES
from tests.gateway.rest.frames import final

HELLO = final(
    "Hello, world!",
    0.5,
    1.5,
    confidence=0.8,
    words=[("Hello,", 0.5, 0.9, 0.9), ("world!", 1.0, 1.5, 0.5)],
)
BONJOUR = final("Bonjour.", 2.0, 2.25, language="fr", words=[("Bonjour.", 2.0, 2.25, 0.7)])


DURATION_S = 3.2


def body(*finals: Frame, **fields: str) -> str:
    heard = Transcript()
    for frame in finals:
        heard.add(frame)
    return answer(heard, parse_form(fields.items(), ("whisper-1",)), DURATION_S)[0]


def verbose(*finals: Frame, **fields: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(body(*finals, response_format="verbose_json", **fields))
    return told


def test_json_is_what_openai_reads() -> None:
    told = Transcription.model_validate_json(body(HELLO, BONJOUR), strict=True)
    assert told.text == "Hello, world! Bonjour."
    assert told.languages is not None
    assert [language.code for language in told.languages] == ["en", "fr"]
    assert told.usage is not None
    assert told.usage.to_dict() == {"type": "duration", "seconds": 4}
    assert told.logprobs is None


def test_verbose_json_is_what_openai_reads() -> None:
    told = TranscriptionVerbose.model_validate(verbose(HELLO, timestamp_granularities="word"))
    assert (told.language, told.duration, told.text) == ("english", 3.2, "Hello, world!")
    assert told.segments is None
    assert told.words is not None
    assert [word.to_dict() for word in told.words] == [
        {"word": "Hello,", "start": 0.5, "end": 0.9},
        {"word": "world!", "start": 1.0, "end": 1.5},
    ]


def test_a_segment_tells_times_confidence_and_repetition() -> None:
    told = TranscriptionVerbose.model_validate(verbose(HELLO, BONJOUR))
    assert told.words is None
    assert told.segments is not None
    first, second = told.segments
    assert (first.id, first.seek, first.start, first.end) == (0, 50, 0.5, 1.5)
    assert first.avg_logprob == pytest.approx(-0.2231)  # log of 0.8
    assert first.compression_ratio == compression_ratio("Hello, world!")
    assert (second.id, second.text) == (1, "Bonjour.")


def test_the_compression_ratio_is_whispers() -> None:
    text = "again and again " * 20
    assert compression_ratio(text) == round(320 / len(zlib.compress(text.encode())), 4) > 2.4
    assert compression_ratio("") == 0


def test_text_ends_with_a_line_break() -> None:
    assert body(HELLO, BONJOUR, response_format="text") == "Hello, world! Bonjour.\n"


def test_subtitles_are_cut_from_the_words() -> None:
    assert body(HELLO, BONJOUR, response_format="srt") == (
        "1\n00:00:00,500 --> 00:00:01,500\nHello, world!\n\n"
        "2\n00:00:02,000 --> 00:00:02,250\nBonjour.\n\n"
    )
    assert body(BONJOUR, response_format="vtt") == (
        "WEBVTT\n\n00:00:02.000 --> 00:00:02.250\nBonjour.\n\n"
    )


def test_every_language_has_a_name_of_its_own() -> None:
    assert set(NAMES) == LANGUAGES
    assert len(set(NAMES.values())) == len(LANGUAGES)
    named = {code: name_of(code) for code in ("de", "zh", "yue", "sw", "la", "su", "nn")}
    assert named == {
        "de": "german",
        "zh": "chinese",
        "yue": "cantonese",
        "sw": "swahili",
        "la": "latin",
        "su": "sundanese",
        "nn": "nynorsk",
    }
    assert name_of("und") == "und"
