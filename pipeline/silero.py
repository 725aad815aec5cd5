"""Silero VAD in ONNX Runtime: speech probabilities of many streams' frames in few calls.

It keeps no stream's state itself: the recurrent state and the audio context live in a
`SileroState` that the caller owns, one per stream. It knows no endpointing and no Triton.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE, VAD_CONTEXT_SAMPLES, VAD_FRAME_SAMPLES

_INT16_SCALE = np.float32(1 / 32768)


def _zero_state() -> NDArray[np.float32]:
    return np.zeros((2, 128), np.float32)


def _zero_context() -> NDArray[np.float32]:
    return np.zeros(VAD_CONTEXT_SAMPLES, np.float32)


@dataclass(slots=True)
class SileroState:
    """What Silero VAD remembers of one stream: recurrent state [2, 128] and the last samples."""

    recurrent: NDArray[np.float32] = field(default_factory=_zero_state)
    context: NDArray[np.float32] = field(default_factory=_zero_context)


class SileroVad:
    """The model. One thread: a frame costs under 0.1 ms, and the cores belong to the engine."""

    def __init__(self, model_path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model_path, options, providers=["CPUExecutionProvider"]
        )
        self._sample_rate = np.array(SAMPLE_RATE, np.int64)

    def score(
        self, frames: Sequence[NDArray[np.int16]], states: Sequence[SileroState]
    ) -> list[list[float]]:
        """Speech probabilities of each stream's frames; its state is moved on.

        Args:
            frames: per stream int16 [n, VAD_FRAME_SAMPLES]; n may differ and may be 0.
            states: per stream.

        Returns:
            Per stream n probabilities from 0 to 1.
        """
        inputs = [_with_context(f, state) for f, state in zip(frames, states, strict=True)]
        probabilities: list[list[float]] = [[] for _ in inputs]
        for step in range(max((len(rows) for rows in inputs), default=0)):
            active = [i for i, rows in enumerate(inputs) if len(rows) > step]
            output, recurrent = self._session.run(
                None,
                {
                    "input": np.stack([inputs[i][step] for i in active]),
                    "state": np.stack([states[i].recurrent for i in active], axis=1),
                    "sr": self._sample_rate,
                },
            )
            for row, i in enumerate(active):
                states[i].recurrent = recurrent[:, row]
                probabilities[i].append(float(output[row, 0]))
        return probabilities


def _with_context(frames: NDArray[np.int16], state: SileroState) -> NDArray[np.float32]:
    """Frames as float32 [n, 64 + 512], each behind the last samples of the one before."""
    count = len(frames)
    rows = np.empty((count, VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES), np.float32)
    if count:
        np.multiply(frames, _INT16_SCALE, out=rows[:, VAD_CONTEXT_SAMPLES:])
        rows[0, :VAD_CONTEXT_SAMPLES] = state.context
        rows[1:, :VAD_CONTEXT_SAMPLES] = rows[:-1, -VAD_CONTEXT_SAMPLES:]
        state.context = rows[-1, -VAD_CONTEXT_SAMPLES:].copy()
    return rows


def frame_levels(frames: NDArray[np.int16]) -> list[float]:
    """Level of each frame in dB relative to full scale, int16 [n, samples] -> n floats."""
    scaled = frames * _INT16_SCALE
    power = np.einsum("ij,ij->i", scaled, scaled) / VAD_FRAME_SAMPLES
    levels: list[float] = (10 * np.log10(power + 1e-10)).tolist()
    return levels
