"""What the later stages must know of a window: the tensor WINDOW_INFO, as JSON.

Everything that `log_mel` and `transcript` need travels with the window, since a step behind a
decoupled one may not read the ensemble's own inputs. Positions are in samples.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.options import StreamOptions
from pipeline.stream_language import StreamLanguage


class SettledText(BaseModel):
    """What was recognised of a segment: it is not decoded again, and the final contains it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    log_prob: float = 0.0
    """Sum over its tokens."""
    tokens: int = 0
    words: list[dict[str, Any]] = []
    """Entries of the wire's `word_timestamps`; empty unless the stream asked for them."""
    possible_hallucination: bool = False


class KnownText(BaseModel):
    """What the engine has said of a window's very audio, when that was an early window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    log_prob: float
    """Sum over its tokens."""
    tokens: int
    language: str | None
    language_prob: float | None


class WindowInfo(BaseModel):
    """One window's place in its stream and how it is to be decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    utterance: int
    final: bool
    early: bool = False
    """No final, but the final will have the same audio if nothing more is said."""
    segment: bool = False
    """No final: the utterance goes on behind it, but its text is settled and not decoded again."""
    interrupted: bool = False
    """Whether speech runs on behind the window's end, perhaps in the middle of a word."""
    utterance_start: int
    start: int
    """Where the speech of this window begins: the utterance's start or a later segment's."""
    end: int
    audio_start: int
    goes_on_at: int = 0
    """Of a final: position from which on the next utterance is listened for."""
    vad_state: str = ""
    """Of a final: the voice-activity model's state at an earlier position, for a stream that is
    resumed behind it (`pipeline.options`); empty if it is not known."""
    vad_state_at: int = 0
    speech_probability: float
    language: str | None
    """The language to decode in; None: the engine finds it."""
    language_prob: float | None
    """How sure the stream is of `language`; None when the client gave it or it is unknown."""
    settled: list[SettledText] = []
    """The utterance's segments before this window, in order."""
    previous: str = ""
    """What the window before this one, of the same segment, was recognised as."""
    committed: str = ""
    """What the utterance's partials have agreed on of this segment: it only grows."""
    known: KnownText | None = None
    """The answer to the early window of the same audio, if it is there already."""
    stream_language: StreamLanguage | None = None
    """Of a final: what the stream was known to speak before it."""
    options: StreamOptions

    @property
    def is_whole(self) -> bool:
        """Whether the window's text stays, or may turn out to."""
        return self.final or self.early or self.segment

    @property
    def is_wanted(self) -> bool:
        """Whether the client has asked to be told of this window."""
        return self.final or self.options.partials
