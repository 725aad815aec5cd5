"""FEEDBACK: the small token that closes the loop from the last stage to the first.

The transcript stage makes it, the client echoes the newest with its next hop, and the
voice-activity stage reads it. Clients never look inside. An empty string says "I will echo".
"""

from pydantic import BaseModel, ConfigDict

from pipeline.window import SettledText


class Feedback(BaseModel):
    """What the answered window taught."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """The window that was answered."""
    utterance: int
    samples: int
    """Length of the utterance behind it."""
    language: str | None = None
    language_prob: float | None = None
    """Set when the engine found the language itself."""
    text: str = ""
    """The window's hypothesis, without what was settled before it."""
    log_prob: float = 0.0
    """Sum over the tokens of `text`."""
    tokens: int = 0
    committed: str = ""
    """What this hypothesis and those before it agree on, of the same segment."""
    settled: SettledText | None = None
    """Set for a segment: what was recognised of it."""
