"""Grafted silence: what lets Whisper decode a short window as if it were 30 s long.

Without the trailing silence that it was trained on, Whisper's decoder loops. Encoding that
silence costs more than the speech. So it is encoded once: the encoder's states of a short piece
of speech followed by silence up to 30 s are kept, each at its own position, and joined behind
the states of every short window. States of pure digital silence work worse than these.
It knows no model; it joins arrays [states, width].
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import MAX_ENCODER_STATES

GRAFTED_STATES = 300
"""6 s of silence: as accurate as silence to 30 s, and cheaper to attend to. 100 or fewer loop."""


class SilenceTail:
    """States of trailing silence, float32 [1500, width]; the first ones hold the speech."""

    def __init__(self, states: NDArray[np.float32], speech_states: int) -> None:
        self._states = states
        self._speech_states = speech_states

    def join(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows' states [n_i, width] as one batch [b, n, width], each followed by silence.

        Raises:
            ValueError: a window is shorter than the tail's own speech.
        """
        shortest = min(len(window) for window in windows)
        if shortest < self._speech_states:
            raise ValueError(
                f"a window of {shortest} states is too short to graft silence on; "
                f"at least {self._speech_states} are needed"
            )
        longest = max(len(window) for window in windows)
        length = min(longest + GRAFTED_STATES, MAX_ENCODER_STATES)
        joined = np.repeat(self._states[None, :length], len(windows), axis=0)
        for row, window in zip(joined, windows, strict=True):
            row[: len(window)] = window
        return joined
