"""When every word of a recording is spoken, found by asking the server itself, beforehand.

Each recording is played alone, as fast as the server takes it, with word times in its finals. The
answers stay in a file, with the texts: they tell what the server hears when it is not loaded. A
recording for which it gives no word times has its words spread evenly over its speech.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gateway.client.options import Options
from pipeline.audio import SAMPLE_RATE, VAD_FRAME_MS
from scripts.client import Message, SessionError, run_session
from scripts.load.player import Target
from scripts.load.playlist import AUTO
from scripts.load.track import Clip, Speech, Word
from scripts.load.words import tokens
from scripts.recording import Recording
from scripts.sources import PacketFormat, from_recording

_QUIET_SHARE = 0.05
"""Of the loudest frame's level; quieter frames at the ends of a recording are no speech."""


@dataclass
class Cache:
    """Answers of one server, in a file that another server's answers replace."""

    path: Path
    url: str
    answers: dict[str, Any]

    @classmethod
    def read(cls, path: Path, url: str, *, anew: bool = False) -> "Cache":
        """What is known already; nothing with `anew`, or when the file is no use."""
        try:
            kept = {} if anew else json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        fits = isinstance(kept, dict) and kept.get("url") == url
        return cls(path, url, kept["recordings"] if fits else {})

    def write(self) -> None:
        """Keep all answers."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"url": self.url, "recordings": self.answers}
        self.path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


async def calibrated(clip: Clip, recording: Recording, target: Target, cache: Cache) -> Clip:
    """The recording with its speech.

    Raises:
        SessionError: no connection to the server.
    """
    language = AUTO if target.detect_language else clip.language
    form = PacketFormat(recording.rate_hz, VAD_FRAME_MS)
    session = _session(form, language, target)
    key = _digest(recording.pcm.tobytes() + json.dumps(session).encode())
    finals = cache.answers[key]["finals"] if key in cache.answers else None
    if finals is None:
        finals = await _ask(recording, form, session, target)
        if finals is not None:
            cache.answers[key] = {"name": Path(clip.name).name, "finals": finals}
            cache.write()
    return replace(clip, speech=speech(finals, clip, recording))


async def reach(target: Target) -> None:
    """A session without audio, so that a server that cannot be had is found out at once.

    Raises:
        SessionError: says why.
    """
    form = PacketFormat(SAMPLE_RATE, VAD_FRAME_MS)
    nothing = Recording(np.zeros(0, np.int16), SAMPLE_RATE)
    await run_session(
        target.url,
        _session(form, AUTO, target),
        from_recording(nothing, form, speed=0),
        lambda message: None,
        api_key=target.api_key,
    )


def speech(finals: Sequence[Message] | None, clip: Clip, recording: Recording) -> Speech:
    """What finals tell of a recording; None: it could not be asked about."""
    heard = [segment for final in finals or [] for segment in final["segments"] if segment["text"]]
    if not heard:
        start_s, end_s = loud_span_s(recording)
        words = tuple(spread(tokens(clip.said or ""), start_s, end_s))
        return Speech(words, (start_s,), None if finals is None else "")
    timed = [list(_timed_words(segment)) for segment in heard]
    words = tuple(
        word
        for segment, own in zip(heard, timed, strict=True)
        for word in own or spread(tokens(segment["text"]), *_span_s(segment))
    )
    return Speech(
        words,
        tuple(_span_s(segment)[0] for segment in heard),
        " ".join(segment["text"] for segment in heard),
        measured=all(timed),
    )


def spread(words: Sequence[str], start_s: float, end_s: float) -> Iterator[Word]:
    """Words evenly over a time, each as long as it has characters."""
    ends = np.cumsum([0, *map(len, words)]) / max(1, sum(map(len, words)))
    for word, (begin, end) in zip(words, pairwise(ends), strict=True):
        length_s = end_s - start_s
        yield Word(word, start_s + length_s * float(begin), start_s + length_s * float(end))


def loud_span_s(recording: Recording) -> tuple[float, float]:
    """From the first frame that is not quiet to the last."""
    size = recording.rate_hz * VAD_FRAME_MS // 1000
    count = len(recording.pcm) // size
    if not count:
        return 0.0, recording.duration_s
    frames = recording.pcm[: count * size].reshape(count, size).astype(np.float32)
    levels = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(levels >= _QUIET_SHARE * levels.max())
    return float(loud[0] * size / recording.rate_hz), float(
        (loud[-1] + 1) * size / recording.rate_hz
    )


async def _ask(
    recording: Recording, form: PacketFormat, session: Message, target: Target
) -> list[Message] | None:
    """The finals of a recording, or None when the session broke."""
    finals: list[Message] = []

    def take(message: Message) -> None:
        if message.get("type") == "transcription" and message.get("is_final"):
            finals.append({"segments": [_kept(each) for each in message.get("segments") or []]})

    try:
        await run_session(
            target.url,
            session,
            from_recording(recording, form, speed=0),
            take,
            api_key=target.api_key,
        )
    except SessionError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None
    return finals


def _session(form: PacketFormat, language: str, target: Target) -> Message:
    return Options(
        encoding=form.encoding,
        sample_rate=form.rate_hz,
        language=language,
        words=True,
        min_silence_ms=target.min_silence_ms,
        speech_pad_ms=target.speech_pad_ms,
        more=target.metadata,
    ).metadata()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _kept(segment: Message) -> Message:
    """What is needed of a segment."""
    words = segment.get("word_timestamps") or []
    return {
        "text": (segment.get("text") or "").strip(),
        "start_time": segment.get("start_time"),
        "end_time": segment.get("end_time"),
        "words": [[word["word"], word["start_time"], word["end_time"]] for word in words],
    }


def _timed_words(segment: Message) -> Iterator[Word]:
    for text, start_s, end_s in segment["words"]:
        yield from spread(tokens(text), start_s, end_s)


def _span_s(segment: Message) -> tuple[float, float]:
    return segment["start_time"], segment["end_time"]
