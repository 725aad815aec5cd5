"""Grafted silence: what lets Whisper decode a short window as if it were 30 s long.

Without the trailing silence that it was trained on, Whisper's decoder loops. Encoding that
silence costs more than the speech. So it is encoded once: the encoder's states of a short piece
of speech followed by silence up to 30 s are kept, each at its own position, and joined behind
the states of every short window. States of pure digital silence work worse than these.
It knows no model; it joins arrays [states, width].
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio import (
    MAX_ENCODER_STATES,
    MEL_FRAMES_PER_STATE,
    MEL_HOP_SAMPLES,
    SAMPLE_RATE,
    WHISPER_WINDOW_SAMPLES,
)
from pipeline.spectrogram import log_mel_spectrogram

TAIL_SPEECH = Path(__file__).with_name("tail_speech.wav")
"""Pieces of speech whose trailing silence is grafted (John F. Kennedy, 1961; public domain)."""
TAIL_PIECE_SAMPLES = SAMPLE_RATE * 99 // 100
TAIL_MARGIN_SAMPLES = SAMPLE_RATE // 2
"""Silence right behind the tail's speech still sounds of it, and is not grafted."""

LEAST_GRAFTED_STATES = 700
"""14 s of silence. Measured: 300 states are as accurate as silence to 30 s in most languages and
cost an eighth less, but lose words of short English utterances; 100 or fewer loop."""
THIN_STATES = 100
"""Of a thin tail: states picked evenly over all of the silence up to 30 s. Measured: a tenth more
word errors than with 700 in a row, at a third of the decoder's cost in a batch: for partials."""
LENGTH_STEP_STATES = 250
"""Joined lengths are multiples of this, so that windows of about one length decode together and
a window's length, and so its text, never depends on the windows that it is decoded with."""


class SilenceTail:
    """States of trailing silence, float32 [1500, width]; the first ones hold the speech."""

    def __init__(self, states: NDArray[np.float32], speech_states: int) -> None:
        self.states = states
        self.speech_states = speech_states

    def join(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """A window's states [n, width] followed by silence: [m, width], m > n unless n is 1500.

        Raises:
            ValueError: the window is shorter than the tail's own speech.
        """
        self._check(window)
        return np.concatenate((window, self.states[len(window) : joined_length(len(window))]))

    def join_thin(self, window: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        """A window's states [n, width] followed by a thin tail: [length, width].

        Raises:
            ValueError: the window is shorter than the tail's own speech.
        """
        self._check(window)
        picked = np.linspace(len(window), MAX_ENCODER_STATES - 1, length - len(window))
        return np.concatenate((window, self.states[np.rint(picked).astype(int)]))

    def _check(self, window: NDArray[np.float32]) -> None:
        if len(window) < self.speech_states:
            raise ValueError(
                f"a window of {len(window)} states is too short to graft silence on; "
                f"at least {self.speech_states} are needed"
            )


def joined_length(states: int) -> int:
    """Length of a window of `states` with its silence."""
    steps = -(-(states + LEAST_GRAFTED_STATES) // LENGTH_STEP_STATES)
    return min(steps * LENGTH_STEP_STATES, MAX_ENCODER_STATES)


def thin_length(states: int) -> int:
    """Least length of a window of `states` with a thin tail; windows decoded together share it."""
    return min(states + THIN_STATES, MAX_ENCODER_STATES)


def silence_behind_speech(
    encode: Callable[[NDArray[np.float16]], NDArray[np.float32]], n_mels: int
) -> SilenceTail:
    """The tail of an encoder: features [frames, n_mels] in, states [frames / 2, width] out.

    It is the mean over the pieces of speech: one voice alone colours the silence.
    """
    speech, rate = soundfile.read(TAIL_SPEECH, dtype="float32")
    assert rate == SAMPLE_RATE
    states = [encode(_before_silence(it, n_mels)) for it in speech.reshape(-1, TAIL_PIECE_SAMPLES)]
    speech_samples = TAIL_PIECE_SAMPLES + TAIL_MARGIN_SAMPLES
    speech_states = math.ceil(speech_samples / (MEL_HOP_SAMPLES * MEL_FRAMES_PER_STATE))
    return SilenceTail(np.mean(states, axis=0), speech_states)


def _before_silence(speech: NDArray[np.float32], n_mels: int) -> NDArray[np.float16]:
    """Features of speech followed by silence up to 30 s."""
    padded = np.zeros(WHISPER_WINDOW_SAMPLES, np.float32)
    padded[: len(speech)] = speech
    return log_mel_spectrogram(padded, n_mels).astype(np.float16)
