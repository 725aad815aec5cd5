"""What the later stages must know of a window: the tensor WINDOW_INFO, as JSON.

Everything that `log_mel` and `transcript` need travels with the window, since a step behind a
decoupled one may not read the ensemble's own inputs. Positions are in samples.
"""

from pydantic import BaseModel, ConfigDict

from pipeline.options import StreamOptions


class WindowInfo(BaseModel):
    """One window's place in its stream and how it is to be decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    utterance: int
    final: bool
    early: bool = False
    """No final, but the final will have the same audio if nothing more is said."""
    start: int
    end: int
    audio_start: int
    speech_probability: float
    language: str | None
    """The language to decode in; None: the engine finds it."""
    language_prob: float | None
    """How sure the stream is of `language`; None when the client gave it or it is unknown."""
    options: StreamOptions

    @property
    def is_whole(self) -> bool:
        """Whether the window is, or may turn out to be, the whole utterance."""
        return self.final or self.early

    @property
    def is_wanted(self) -> bool:
        """Whether the client has asked to be told of this window."""
        return self.final or self.options.partials
