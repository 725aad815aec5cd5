"""When a stream's utterances begin and end, when they are cut, and when they show partials.

Part of the endpointing core: it imports no numpy, asyncio, time or logging.
"""

from dataclasses import dataclass

from pipeline.audio import SAMPLE_RATE, WHISPER_WINDOW_SAMPLES

HYSTERESIS = 0.15
LOWEST_SILENCE_THRESHOLD = 0.01
"""Silero's VADIterator: silence is under `max(threshold - 0.15, 0.01)`."""


@dataclass(frozen=True, slots=True)
class EndpointingPolicy:
    """What the endpointing core follows. Lengths are in samples."""

    threshold: float = 0.5
    min_silence: int = SAMPLE_RATE * 300 // 1000
    speech_pad: int = 0
    max_window: int = WHISPER_WINDOW_SAMPLES
    """An utterance that grows longer is cut into finals."""
    partial_interval: int | None = None
    """Audio between two partials; None makes no partials."""
    early_silence: int | None = None
    """Silence after which the utterance so far is a window; None makes none before the end."""
    segment: int | None = None
    """An utterance whose open segment grows longer has it cut in two; None leaves it whole."""

    @property
    def silence_threshold(self) -> float:
        """A frame with a probability under this is silence."""
        return max(self.threshold - HYSTERESIS, LOWEST_SILENCE_THRESHOLD)
