"""Texts in which Whisper repeats itself without end, and the window in which it does not."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import MAX_MEL_FRAMES
from pipeline.engines.request import EngineRequest, Hypothesis
from pipeline.hallucination import HIGHEST_COMPRESSION_RATIO, compression_ratio
from pipeline.tokens import WhisperTokenizer


def is_loop(best: Hypothesis, request: EngineRequest, tokenizer: WhisperTokenizer) -> bool:
    """Whether a full window should be tried, which a window that is full already excludes."""
    if len(request.features) == MAX_MEL_FRAMES:
        return False
    capped = len(best.tokens) >= request.max_new_tokens > 1
    text = tokenizer.decode(best.tokens)
    return capped or compression_ratio(text) > HIGHEST_COMPRESSION_RATIO


def full_window(request: EngineRequest) -> EngineRequest:
    """The window padded to 30 s with its own silence, as Whisper was trained."""
    return replace(request, features=padded(request.features, MAX_MEL_FRAMES))


def padded(features: NDArray[np.float16], frames: int) -> NDArray[np.float16]:
    """Features [n, n_mels] with their own silence behind, if they are fewer than `frames`."""
    more = max(0, frames - len(features))
    return np.pad(features, ((0, more), (0, 0)), constant_values=features.min())
