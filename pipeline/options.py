"""What a client may ask of one stream: the START hop's `options` parameter.

Gateway and pipeline share this model, so a plain Triton client's options are checked exactly as
a websocket client's are. Field names are the pipeline's own; `gateway.protocol` maps the wire's
metadata onto them. Errors are pydantic's: each names the field and what is accepted.
"""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.audio import WHISPER_WINDOW_S
from pipeline.language import AUTO, normalize_language

MOST_BEAMS = 10
DEFAULT_PARTIAL_INTERVAL_S = 0.5
LEAST_PARTIAL_INTERVAL_S = 0.1
MAX_PROMPT_CHARS = 4096
"""Whisper keeps the last 223 prompt tokens, about 900 characters; more is cut there, not here."""

VAD_STATE_BYTES = 1152
"""Silero's recurrent state, 2 x 128 float32, and the last 64 samples (`pipeline.silero`)."""


def _language_or_auto(value: str) -> str:
    return AUTO if value.strip().lower() == AUTO else normalize_language(value)


def _vad_state(value: str) -> str:
    try:
        size = len(base64.b64decode(value, validate=True))
    except binascii.Error:
        raise ValueError("not base64") from None
    if size not in (0, VAD_STATE_BYTES):
        raise ValueError(f"{size} bytes; a state has {VAD_STATE_BYTES}")
    return value


Language = Annotated[str, AfterValidator(normalize_language)]
LanguageOrAuto = Annotated[str, AfterValidator(_language_or_auto)]


class StreamOptions(BaseModel):
    """Options of one stream, fixed for its life. Units are in the names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    language: LanguageOrAuto = "en"
    language_options: Annotated[list[Language], Field(max_length=100)] = []
    """Languages that detection may choose from; empty means all. Used when `language` is auto."""
    language_detection_only: bool = False
    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)] = ""
    dynamic_preprocessing: bool = False
    """Even out loudness before recognition."""

    word_timestamps: bool = False
    beam_results: bool = False
    beam_width: Annotated[int, Field(ge=1, le=MOST_BEAMS)] = 1
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 1.0
    repetition_penalty: Annotated[float, Field(gt=0, le=5)] = 1.0
    beam_search_diversity_rate: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Accepted for compatibility; neither engine's contract has an input for it."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=100)] = 0

    partials: bool = False
    partial_interval_s: Annotated[
        float, Field(ge=LEAST_PARTIAL_INTERVAL_S, le=WHISPER_WINDOW_S)
    ] = DEFAULT_PARTIAL_INTERVAL_S
    """Seconds of audio between partials."""
    max_utterance_s: Annotated[float, Field(ge=1, le=WHISPER_WINDOW_S)] = float(WHISPER_WINDOW_S)
    """A final is forced after this much audio."""

    vad_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    min_silence_ms: Annotated[int, Field(ge=0, le=10_000)] = 300
    """Silence that ends an utterance."""
    speech_pad_ms: Annotated[int, Field(ge=0, le=5_000)] = 0
    """Audio added before and after the detected speech."""

    start_sample: Annotated[int, Field(ge=0)] = 0
    """Position of the sequence's first sample: a stream that is resumed keeps its clock."""
    listen_from: Annotated[int, Field(ge=0)] = 0
    """Position where listening begins. What a resumed stream sends from before it is not looked at
    again: the voice-activity model hears it, and it may lead in to speech."""
    settled_until: Annotated[int, Field(ge=0)] = 0
    """Position up to which the audio is a final's already: no window contains it again."""
    vad_state: Annotated[str, AfterValidator(_vad_state)] = ""
    """Base64: what a resumed stream's voice-activity model had heard before `vad_state_at`, which
    has to be `start_sample`. Empty: nothing."""
    vad_state_at: Annotated[int, Field(ge=0)] = 0
    found_language: Language | None = None
    found_language_prob: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The language that a resumed stream was found to speak, when `language` is auto."""
