"""The states that Silero VAD was in: what a stream that is resumed goes on from.

Its recurrent state does not forget: behind twenty seconds of the same silence or music, the scores
of two states that began differently differ by up to 0.9. Hearing a few seconds again is not enough
to get the same ends of utterances, so every now and then the state is noted, and each final brings
along the one from which the audio behind it can be heard again; so does the answer to a hop that
asks for it. Knows no model.
"""

from collections import deque
from typing import NamedTuple

from pipeline.audio import SAMPLE_RATE
from pipeline.silero import SileroState

INTERVAL_SAMPLES = 2 * SAMPLE_RATE
"""Between two that are noted, at least."""
KEPT = 24
"""48 s: a final may be cut far back in an utterance of 30 s, and 5 s more may lead in to it."""


class Heard(NamedTuple):
    """A state, and the position of the frame that is scored with it."""

    position: int
    state: SileroState


class SileroHistory:
    """Of one stream."""

    def __init__(self) -> None:
        self._heard: deque[Heard] = deque(maxlen=KEPT)

    def note(self, position: int, state: SileroState) -> None:
        """The state in which the frame at this position is about to be scored."""
        if not self._heard or position - self._heard[-1].position >= INTERVAL_SAMPLES:
            self._heard.append(Heard(position, state.copy()))

    def before(self, position: int) -> Heard | None:
        """The latest at or before a position; None: it is forgotten, or there was none."""
        return next((heard for heard in reversed(self._heard) if heard.position <= position), None)
