"""Silero VAD in ONNX Runtime: speech probabilities of many streams' frames in few calls.

It keeps no stream's state itself: the recurrent state and the audio context live in a
`SileroState` that the caller owns, one per stream. It knows no endpointing and no Triton.
"""

import base64
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipeline.audio import VAD_CONTEXT_SAMPLES, VAD_FRAME_SAMPLES
from pipeline.silero_graph import STATE_SIZE, batched_model

_FULL_SCALE_ENERGY = VAD_FRAME_SAMPLES * 32768**2
_OUTPUTS = ["probabilities", "next_state"]


def _zero_state() -> NDArray[np.float32]:
    return np.zeros((2, 1, STATE_SIZE), np.float32)


def _zero_context() -> NDArray[np.int16]:
    return np.zeros(VAD_CONTEXT_SAMPLES, np.int16)


@dataclass(slots=True)
class SileroState:
    """What Silero VAD remembers of one stream: recurrent state [2, 1, 128] and the last samples."""

    recurrent: NDArray[np.float32] = field(default_factory=_zero_state)
    context: NDArray[np.int16] = field(default_factory=_zero_context)

    def copy(self) -> "SileroState":
        """As it is now."""
        return SileroState(self.recurrent.copy(), self.context.copy())

    def packed(self) -> str:
        """As text, for `unpacked`."""
        return base64.b64encode(self.recurrent.tobytes() + self.context.tobytes()).decode()

    @classmethod
    def unpacked(cls, text: str) -> "SileroState":
        """What was packed: `pipeline.options` has checked its length."""
        data = base64.b64decode(text)
        recurrent = _zero_state()
        return cls(
            np.frombuffer(data[: recurrent.nbytes], np.float32).reshape(recurrent.shape),
            np.frombuffer(data[recurrent.nbytes :], np.int16),
        )


class SileroVad:
    """The model. One thread: a frame costs under 0.1 ms, and the cores belong to the engine."""

    def __init__(self, model_path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            batched_model(Path(model_path).read_bytes()),
            options,
            providers=["CPUExecutionProvider"],
        )

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
        probabilities: list[list[float]] = [[] for _ in frames]
        for streams in _of_equal_length(frames):
            scores = self._score([frames[i] for i in streams], [states[i] for i in streams])
            for i, of_stream in zip(streams, scores, strict=True):
                probabilities[i] = of_stream
        return probabilities

    def _score(
        self, frames: list[NDArray[np.int16]], states: list[SileroState]
    ) -> list[list[float]]:
        """As `score`, of streams with equally many frames, at least one."""
        steps, streams = len(frames[0]), len(frames)
        rows = np.empty((steps, streams, VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES), np.float32)
        for i, state in enumerate(states):
            rows[:, i] = _with_context(frames[i], state)
        inputs = {
            "frames": rows.reshape(steps * streams, -1),
            "shape": np.array((steps, streams, STATE_SIZE)),
            "state": np.concatenate([state.recurrent for state in states], axis=1),
        }
        probabilities, recurrent = self._session.run(_OUTPUTS, inputs)
        for i, state in enumerate(states):
            state.recurrent = recurrent[:, i : i + 1]
        scores: list[list[float]] = probabilities.reshape(steps, streams).T.tolist()
        return scores


def _of_equal_length(frames: Sequence[NDArray[np.int16]]) -> list[list[int]]:
    """Indices of the streams that have frames, grouped by how many."""
    groups = defaultdict(list)
    for i, of_stream in enumerate(frames):
        groups[len(of_stream)].append(i)
    groups.pop(0, None)
    return list(groups.values())


def _with_context(frames: NDArray[np.int16], state: SileroState) -> NDArray[np.int16]:
    """A view of frames [n, 64 + 512], each behind the last samples of the one before."""
    samples = np.concatenate((state.context, frames.reshape(-1)))
    state.context = samples[-VAD_CONTEXT_SAMPLES:]
    shape = len(frames), VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES
    step = VAD_FRAME_SAMPLES * samples.itemsize
    return np.ndarray(shape, np.int16, samples, strides=(step, samples.itemsize))


def frame_levels(frames: NDArray[np.int16]) -> list[float]:
    """Level of each frame in dB relative to full scale, int16 [n, samples] -> n floats."""
    samples = frames.astype(np.float32)
    energies = np.einsum("ij,ij->i", samples, samples).tolist()
    return [10 * math.log10(energy / _FULL_SCALE_ENERGY + 1e-10) for energy in energies]
