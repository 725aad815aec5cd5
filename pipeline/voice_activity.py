"""The voice-activity stage, the only one with state: hops of many streams in, windows out.

It scores all waiting streams in one batch, keeps a `Stream` per correlation id, and forgets
streams that have been idle for longer than Triton keeps their sequence (Triton does not tell a
stage that it dropped one). It knows no Triton API; time is passed in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline.audio import MAX_HOP_SAMPLES, SAMPLE_RATE
from pipeline.options import StreamOptions
from pipeline.silero import SileroVad, frame_levels
from pipeline.stream import Stream
from pipeline.utterance import Window
from pipeline.window import WindowInfo

IDLE_LIMIT_S = 130
"""Longer than `max_sequence_idle_microseconds` in config.pbtxt: Triton's limit comes first."""
EXPIRY_INTERVAL_S = 1
"""How often idle streams are looked for."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One request to the stage."""

    stream_id: int
    audio: NDArray[np.int16]
    """[n]"""
    start: bool = False
    end: bool = False
    options: str | None = None
    feedback: str | None = None
    discard: bool = False
    resume: bool = False
    """Whether it only asks how the stream would go on elsewhere."""


class HopError(ValueError):
    """A hop that cannot be taken; the message says what was wrong and what is accepted."""


@dataclass(frozen=True, slots=True)
class Resume:
    """How a stream would go on elsewhere."""

    options: dict[str, Any]
    """Fields of `StreamOptions`."""


Answer = tuple[Window, WindowInfo] | Resume | HopError | None


@dataclass(slots=True)
class _Known:
    """A stream and what its last hop brought."""

    stream: Stream
    seen_s: float
    feedback: str | None = None


class VoiceActivity:
    """State of every stream, and the model that scores them."""

    def __init__(
        self,
        vad: SileroVad,
        early_silence: int | None = None,
        segment: int | None = None,
        early_most: int | None = None,
    ) -> None:
        """`early_most`: early windows are made while no more utterances are open than this."""
        self._vad = vad
        self._early_silence = early_silence
        self._early_most = math.inf if early_most is None else early_most
        self._segment = segment
        self._known: dict[int, _Known] = {}
        self._next_expiry_s = -math.inf

    def __len__(self) -> int:
        """How many streams are remembered."""
        return len(self._known)

    def take(self, hops: Sequence[Hop], now_s: float) -> list[Answer]:
        """Answer hops of different streams, at most one hop of each. `now_s` is monotonic time."""
        self._expire(now_s)
        answers: list[Answer] = [None] * len(hops)
        scored: list[tuple[int, Stream, NDArray[np.int16]]] = []
        for i, hop in enumerate(hops):
            try:
                stream = self._stream_of(hop, now_s)
                scored.append((i, stream, stream.take_frames(hop.audio)))
            except HopError as error:
                answers[i] = error
                if hop.start or hop.end:
                    self._forget(hop.stream_id)
        probabilities = self._vad.score(
            [frames for _, _, frames in scored], [stream.silero for _, stream, _ in scored]
        )
        early = self._open_utterances() <= self._early_most
        for (i, stream, frames), scores in zip(scored, probabilities, strict=True):
            answers[i] = self._window_of(hops[i], stream, frames, scores, early)
        return answers

    def _open_utterances(self) -> int:
        """How many streams speak at the moment: the load that the engine has."""
        return sum(known.stream.is_open for known in self._known.values())

    def _stream_of(self, hop: Hop, now_s: float) -> Stream:
        if len(hop.audio) > MAX_HOP_SAMPLES:
            raise HopError(
                f"AUDIO holds {len(hop.audio)} samples; a hop may hold at most {MAX_HOP_SAMPLES} "
                f"({MAX_HOP_SAMPLES // SAMPLE_RATE} s)"
            )
        if hop.resume and (len(hop.audio) or hop.start or hop.end):
            raise HopError("parameter resume: only an empty hop between START and END may ask")
        if hop.start:
            options = _parse_options(hop.options)
            stream = Stream(options, self._early_silence, self._segment)
            self._known[hop.stream_id] = _Known(stream, now_s)
        known = self._known.get(hop.stream_id)
        if known is None:
            raise HopError(
                f"sequence {hop.stream_id} is not known: its first hop was refused or it was idle "
                f"for more than {IDLE_LIMIT_S} s; begin again with a START hop"
            )
        known.seen_s = now_s
        if hop.feedback is not None and hop.feedback != known.feedback:  # mostly the same again
            _take_feedback(known.stream, hop.feedback)
            known.feedback = hop.feedback
        return known.stream

    def _window_of(
        self,
        hop: Hop,
        stream: Stream,
        frames: NDArray[np.int16],
        scores: list[float],
        early: bool,
    ) -> tuple[Window, WindowInfo] | Resume | None:
        if hop.resume:
            options = stream.resume()
            return None if options is None else Resume(options)
        if hop.end:
            self._forget(hop.stream_id)
            if hop.discard:
                return None
        return stream.next_window(frames, scores, frame_levels(frames), end=hop.end, early=early)

    def _expire(self, now_s: float) -> None:
        if now_s < self._next_expiry_s:
            return
        self._next_expiry_s = now_s + EXPIRY_INTERVAL_S
        for stream_id, known in list(self._known.items()):
            if now_s - known.seen_s > IDLE_LIMIT_S:
                self._forget(stream_id)

    def _forget(self, stream_id: int) -> None:
        self._known.pop(stream_id, None)


def _parse_options(text: str | None) -> StreamOptions:
    if text is None:
        return StreamOptions()
    try:
        return StreamOptions.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'options'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise HopError(f"parameter options: {problems}") from error


def _take_feedback(stream: Stream, text: str) -> None:
    try:
        stream.take_feedback(text)
    except ValidationError as error:
        raise HopError("parameter feedback: not a FEEDBACK output of this ensemble") from error
