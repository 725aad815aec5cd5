"""The bodies of answers: a transcript as OpenAI's json, verbose_json, text, srt and vtt.

Pure. The models are the JSON answers; the description of the API is made from them. What Whisper's
own decoding loop would know and a streaming pipeline does not (`tokens`, `no_speech_prob`) has a
constant, so that clients that insist on the key can read the answer.
"""

import math
import zlib
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.rest.form import Request
from gateway.rest.languages import name_of
from gateway.rest.subtitles import srt, vtt
from gateway.rest.transcript import TimedWord, Transcript, log_probability

JSON_TYPE = "application/json"
TEXT_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
SEEK_PER_S = 100
"""Whisper's `seek` counts mel frames of 10 ms."""


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class Usage(_Answer):
    """How much audio was transcribed."""

    type: Literal["duration"] = "duration"
    seconds: int
    """Rounded up."""


class Language(_Answer):
    """A language that was heard."""

    code: str
    """ISO 639-1."""


class LogProbability(_Answer):
    """One word: its text with the space before it, UTF-8, and its log-probability."""

    token: str
    bytes: list[int]
    logprob: float


class Transcription(_Answer):
    """The answer with `response_format=json`."""

    text: str
    languages: list[Language]
    """Those that were heard, the one of most speech first."""
    logprobs: list[LogProbability] | None = None
    """With `include[]=logprobs`. Joined, the tokens are the text."""
    usage: Usage


class Word(_Answer):
    """A word with its times in seconds."""

    word: str
    start: float
    end: float


class Segment(_Answer):
    """An utterance."""

    id: int
    seek: int
    """Where it starts, in hundredths of a second."""
    start: float
    end: float
    text: str
    tokens: list[int] = []
    """Always empty."""
    temperature: float = 0.0
    avg_logprob: float
    """Average log-probability of a token."""
    compression_ratio: float
    """Bytes of the text by bytes of it compressed: above 2.4 it repeats itself."""
    no_speech_prob: float = 0.0
    """Always 0: what is no speech has been left out before recognition."""
    possible_hallucination: bool
    """The text may not be what was said. Not a field of OpenAI's."""


class TranscriptionVerbose(_Answer):
    """The answer with `response_format=verbose_json`."""

    task: Literal["transcribe"] = "transcribe"
    language: str
    """The English name of the language of most of the speech, in small letters."""
    duration: float
    """Seconds of audio."""
    text: str
    words: list[Word] | None = Field(default=None)
    """With the granularity `word`."""
    segments: list[Segment] | None = Field(default=None)
    """With the granularity `segment`, which is the default."""
    usage: Usage


def answer(transcript: Transcript, request: Request, duration_s: float) -> tuple[str, str]:
    """The body and its content type."""
    match request.form.response_format:
        case "text":
            return f"{transcript.text}\n", TEXT_TYPES["text"]
        case "srt":
            return srt(transcript.words()), TEXT_TYPES["srt"]
        case "vtt":
            return vtt(transcript.words()), TEXT_TYPES["vtt"]
        case "verbose_json":
            told: BaseModel = _verbose(transcript, request, duration_s)
        case "json":
            told = _brief(transcript, request, duration_s)
    return told.model_dump_json(exclude_none=True), JSON_TYPE


def log_probabilities(words: Iterable[TimedWord]) -> list[LogProbability]:
    """One for each word."""
    return [
        LogProbability(
            token=word.text, bytes=list(word.text.encode()), logprob=log_probability(word.prob)
        )
        for word in words
    ]


def compression_ratio(text: str) -> float:
    """As in openai/whisper (`utils.compression_ratio`)."""
    data = text.encode()
    return round(len(data) / len(zlib.compress(data)), 4)


def _brief(transcript: Transcript, request: Request, duration_s: float) -> Transcription:
    return Transcription(
        text=transcript.text,
        languages=[Language(code=code) for code in transcript.languages],
        logprobs=log_probabilities(transcript.words()) if request.form.include else None,
        usage=_usage(duration_s),
    )


def _verbose(transcript: Transcript, request: Request, duration_s: float) -> TranscriptionVerbose:
    return TranscriptionVerbose(
        language=name_of(transcript.main_language),
        duration=round(duration_s, 3),
        text=transcript.text,
        words=_words(transcript) if request.words else None,
        segments=_segments(transcript) if request.segments else None,
        usage=_usage(duration_s),
    )


def _words(transcript: Transcript) -> list[Word]:
    return [
        Word(word=word.text.strip(), start=word.start_s, end=word.end_s)
        for word in transcript.words()
    ]


def _segments(transcript: Transcript) -> list[Segment]:
    return [
        Segment(
            id=number,
            seek=round(SEEK_PER_S * segment["start_time"]),
            start=segment["start_time"],
            end=segment["end_time"],
            text=segment["text"],
            avg_logprob=log_probability(probability),
            compression_ratio=compression_ratio(segment["text"]),
            possible_hallucination=segment["possible_hallucination"],
        )
        for number, (segment, probability) in enumerate(transcript.segments())
    ]


def _usage(duration_s: float) -> Usage:
    return Usage(seconds=math.ceil(duration_s))
