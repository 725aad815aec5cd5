"""Loudness: quiet passages of a window raised, loud ones lowered, before recognition.

An automatic gain with a fixed target, for `use_dynamic_preprocessing`. It knows no windows' times:
the length of the waveform does not change.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE

BLOCK_SAMPLES = SAMPLE_RATE // 4
"""The gain is found every 250 ms, about a syllable, and is linear in between."""
TARGET_LEVEL_DB = -23.0
"""EBU R 128's programme loudness, taken as an RMS level."""
MAX_GAIN_DB, MIN_GAIN_DB = 30.0, -12.0
SMOOTHING_BLOCKS = 5
"""Levels are averaged over 1.25 s, so that pauses are not raised to the level of speech."""


def even_out_loudness(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a waveform, float32 [n], to about `TARGET_LEVEL_DB` throughout; [n] in [-1, 1]."""
    if not len(waveform):
        return waveform
    blocks = np.array_split(waveform, max(1, len(waveform) // BLOCK_SAMPLES))
    power = np.array([np.mean(np.square(block)) for block in blocks])
    reach = np.ones(min(SMOOTHING_BLOCKS, len(power)))
    smooth = np.convolve(power, reach, "same") / np.convolve(np.ones(len(power)), reach, "same")
    gain_db = np.clip(TARGET_LEVEL_DB - 10 * np.log10(smooth + 1e-10), MIN_GAIN_DB, MAX_GAIN_DB)
    edges = np.cumsum([0, *(len(block) for block in blocks)])
    centres = (edges[:-1] + edges[1:]) / 2
    gain = 10 ** (np.interp(np.arange(len(waveform)), centres, gain_db) / 20)
    evened: NDArray[np.float32] = np.clip(waveform * gain, -1.0, 1.0).astype(np.float32)
    return evened
