"""The transcription message of the wire protocol, key for key.

Pure. `transcription_num` is the utterance's number in its sequence, and the gateway fills in
timing. It does not know where a text comes from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.audio import samples_to_s
from pipeline.language import UNDETERMINED
from pipeline.stream_language import StreamLanguage, learnt
from pipeline.window import SettledText, WindowInfo
from pipeline.words import join_texts


@dataclass(frozen=True, slots=True)
class Transcription:
    """What a message tells of an utterance."""

    info: WindowInfo
    language: str | None
    language_prob: float | None
    recognised: SettledText
    """Of the whole utterance."""
    committed: str
    """The part of the text, from its beginning, that partials do not change any more."""
    beams: list[dict[str, Any]]

    def message(self) -> dict[str, Any]:
        """The message. One without text has no segments, unless only the language was asked for."""
        info, text = self.info, self.recognised.text
        is_told = bool(text) or info.options.language_detection_only
        return (self._resume() if info.final else {}) | {
            "type": "transcription",
            "is_final": info.final,
            "transcription_num": info.utterance,
            "segments": [self._segment()] if is_told else [],
            "language_code": self.language or UNDETERMINED,
            "language_prob": self.language_prob,
            "audio_length_sec": samples_to_s(info.end - info.utterance_start),
            "diarization": [],
            "timing_info": None,
            "pipeline_latency": None,
            "enable_chunk_level_language_detection": False,
            "next_partial": None,
            "transcript": text,
            "committed": self.committed,
            "confidence": _confidence(self.recognised),
        }

    def _resume(self) -> dict[str, Any]:
        """How a stream that breaks off behind this final is resumed: options of the next one."""
        info, language = self.info, self._stream_language()
        return {
            "resume": {
                "listen_from": info.goes_on_at,
                "settled_until": info.end,
                "vad_state": info.vad_state,
                "vad_state_at": info.vad_state_at,
                "found_language": None if language is None else language.code,
                "found_language_prob": 0.0 if language is None else language.prob,
            }
        }

    def _stream_language(self) -> StreamLanguage | None:
        """What the stream is known to speak behind this final: found, not given by the client."""
        info = self.info
        if self.language is None or self.language_prob is None:
            return info.stream_language
        found = StreamLanguage(self.language, self.language_prob)
        return learnt(info.stream_language, found, info.end - info.start)

    def _segment(self) -> dict[str, Any]:
        return {
            "start_time": samples_to_s(self.info.utterance_start),
            "end_time": samples_to_s(self.info.end),
            "text": self.recognised.text,
            "log_prob": self.recognised.log_prob,
            "word_timestamps": self.recognised.words,
            "speaker": None,
            "speaker_confidence": None,
            "possible_hallucination": self.recognised.possible_hallucination,
            "beam_results": self.beams,
            "language_code": self.language,
            "language_prob": self.language_prob,
        }


def joined(parts: Sequence[SettledText], language: str | None) -> SettledText:
    """Parts of an utterance, in their order, as one."""
    return SettledText(
        text=join_texts((part.text for part in parts), language),
        log_prob=sum(part.log_prob for part in parts),
        tokens=sum(part.tokens for part in parts),
        words=[word for part in parts for word in part.words],
        possible_hallucination=any(part.possible_hallucination for part in parts),
    )


def _confidence(recognised: SettledText) -> float:
    """Probability of an average token, 0 to 1; 0 when there are none."""
    average = recognised.log_prob / (recognised.tokens + 1)
    return round(math.exp(min(0.0, average)), 4) if recognised.tokens else 0.0
