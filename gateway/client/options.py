"""What a session is asked for, as fields with names and units, and as the metadata of the wire.

Pure. What is None is left to the server. Limits are the server's to check; its published schema
(`/schema/metadata.json`) has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Encoding = Literal["pcm_s16le", "pcm_mulaw"]
Groups = dict[str, Any]

SAMPLE_BYTES: dict[Encoding, int] = {"pcm_s16le": 2, "pcm_mulaw": 1}


@dataclass(frozen=True)
class Options:
    """Options of one session, fixed for its life."""

    encoding: Encoding = "pcm_s16le"
    sample_rate: int = 16_000
    """Hz."""

    language: str | None = None
    """ISO 639-1, or `auto`."""
    language_options: Sequence[str] | None = None
    """With `auto`: choose among these."""
    detect_language_only: bool | None = None
    prompt: str | None = None
    """Names and spellings to expect."""
    even_loudness: bool | None = None
    words: bool | None = None
    """Tell the times of words."""
    beams: bool | None = None
    """Tell every beam's text."""
    beam_width: int | None = None
    length_penalty: float | None = None
    repetition_penalty: float | None = None
    beam_search_diversity_rate: float | None = None
    no_repeat_ngram_size: int | None = None

    partials: bool | None = None
    """Tell what has been heard before it is final."""
    partial_interval_s: float | None = None
    max_utterance_s: float | None = None
    """Force a final after this much audio."""

    vad_threshold: float | None = None
    min_silence_ms: int | None = None
    """Silence that ends an utterance."""
    speech_pad_ms: int | None = None

    timing: bool | None = None
    """Tell how late messages are."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the metadata by group; they win over ours."""

    def metadata(self) -> Groups:
        """The session's first message."""
        sampling = {
            "beam_width": self.beam_width,
            "length_penalty": self.length_penalty,
            "repetition_penalty": self.repetition_penalty,
            "beam_search_diversity_rate": self.beam_search_diversity_rate,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
        }
        groups = {
            "whisper_params": _given(
                self._whisper() | {"whisper_sampling_params": _given(sampling)}
            ),
            "streaming_params": _given(self._streaming()),
            "streaming_vad_config": _given(self._voice_activity()),
            "include_timing_info": self.timing or None,
        }
        return merged(_given(groups), self.more)

    def _whisper(self) -> Groups:
        choices = None if self.language_options is None else list(self.language_options)
        return {
            "audio_language": self.language,
            "language_options": choices,
            "language_detection_only": self.detect_language_only or None,
            "prompt": self.prompt,
            "use_dynamic_preprocessing": self.even_loudness or None,
            "show_word_timestamps": self.words or None,
            "show_beam_results": self.beams or None,
        }

    def _streaming(self) -> Groups:
        return {
            "encoding": self.encoding,
            "sample_rate": self.sample_rate,
            "enable_partial_transcripts": self.partials,
            "partial_transcript_interval_s": self.partial_interval_s,
            "final_transcript_max_duration_s": self.max_utterance_s,
        }

    def _voice_activity(self) -> Groups:
        return {
            "threshold": self.vad_threshold,
            "min_silence_duration_ms": self.min_silence_ms,
            "speech_pad_ms": self.speech_pad_ms,
        }


def merged(groups: Groups, more: Mapping[str, Any]) -> Groups:
    """Groups of fields, those of `more` added and winning."""
    both = dict(groups)
    for name, value in more.items():
        ours = both.get(name)
        is_group = isinstance(ours, dict) and isinstance(value, Mapping)
        both[name] = {**ours, **value} if is_group and ours is not None else value
    return both


def _given(values: Groups) -> Groups:
    return {name: value for name, value in values.items() if value is not None and value != {}}
