"""What a Whisper decoder sees of windows and of the silence behind them, as arrays."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.decoder_graph import BLOCKED

Scalar = TypeVar("Scalar", bound=np.generic)


class CrossAttention(NamedTuple):
    """What a decoder's layers see of encoder states, padded to some number of places: keys and
    values in 8 bits, and what they are multiplied with.
    """

    keys: NDArray[np.int8 | np.uint8]
    """[layers, heads, size, places]"""
    key_scales: NDArray[np.float32]
    """[layers, heads, 1, places]"""
    values: NDArray[np.int8 | np.uint8]
    """[layers, heads, places, 2 * size]: high and low parts, which are added"""
    value_scales: NDArray[np.float32]
    """[layers, heads, 1, 2 * size]"""

    @property
    def places(self) -> int:
        return int(self.keys.shape[-1])


class Silence:
    """What the decoder sees behind every window, for windows of any length.

    Of the silence up to 30 s every `stride`-th state is seen, and stands for those around it: the
    logarithm of their number is added to its score, so that it gets their share of attention.
    """

    def __init__(
        self, seen: CrossAttention, sampled: int, stride: int, states: int, silent_from: int
    ) -> None:
        """`seen`: of so many `sampled` states; `states`: how many they stand for in all, of which
        those before `silent_from` are not silent and never seen.
        """
        self.seen = side_by_side([seen])
        self.places = seen.places
        self._stride = stride
        self._states = states
        self._silent_from = silent_from
        self._sampled = sampled

    def bias(self, window_states: int) -> NDArray[np.float32]:
        """What is added to the scores of the sampled states behind a window: [places]."""
        begins = np.arange(self._sampled) * self._stride
        ends = np.minimum(begins + self._stride, self._states)
        counts = np.clip(ends - np.maximum(begins, max(window_states, self._silent_from)), 0, None)
        bias = np.full(self.places, BLOCKED, np.float32)
        bias[np.flatnonzero(counts)] = np.log(counts[counts > 0])
        return bias


def side_by_side(windows: Sequence[CrossAttention]) -> CrossAttention:
    """Arrays [layers, heads, ...] as [layers, heads, windows, ...], places padded with 0."""
    places = max(window.places for window in windows)
    return CrossAttention(
        _joined([window.keys for window in windows], -1, places),
        _joined([window.key_scales for window in windows], -1, places),
        _joined([window.values for window in windows], -2, places),
        np.stack([window.value_scales for window in windows], axis=2),
    )


def _joined(arrays: Sequence[NDArray[Scalar]], axis: int, places: int) -> NDArray[Scalar]:
    """`axis`: where the places are."""
    if len(arrays) == 1:
        return arrays[0][:, :, np.newaxis]
    shape = list(arrays[0].shape)
    shape[axis] = places
    joined = np.zeros((*shape[:2], len(arrays), *shape[2:]), arrays[0].dtype)
    for i, array in enumerate(arrays):
        rows, columns = array.shape[2:]
        joined[:, :, i, :rows, :columns] = array
    return joined
