"""Input for perf_analyzer: tensors as its JSON document. Pure: arrays in, a document out.

Every tensor goes as base64 with its shape: exact for every type (lists of numbers cannot hold
FP16), and free to differ in shape from request to request. The batch dimension is perf_analyzer's
own to add. The format: docs/input_data.md of triton-inference-server/perf_analyzer.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import AUDIO
from scripts.recording import Pcm


class Content(TypedDict):
    """Bytes in base64."""

    b64: str


class TensorData(TypedDict):
    """One tensor of one request."""

    content: Content
    shape: list[int]


Request = dict[str, TensorData]
"""By tensor name."""


class Sequences(TypedDict):
    """A document for a model with sequences: perf_analyzer marks each one's START and END."""

    data: list[list[Request]]


class Requests(TypedDict):
    """A document for a model without: its requests go out in turn."""

    data: list[Request]


def sequences(recordings: Iterable[Pcm], hop_samples: int, pause_samples: int) -> Sequences:
    """Each recording, int16 [samples], as a sequence of hops.

    Behind it comes silence, at least `pause_samples` and up to a whole hop, so that its last
    utterance ends as a live one does.
    """
    return {"data": [list(_hops(pcm, hop_samples, pause_samples)) for pcm in recordings]}


def requests(tensors: Iterable[Mapping[str, NDArray[np.generic]]]) -> Requests:
    """Requests from tensors by name, with a batch dimension of 1."""
    return {"data": [{name: tensor(array[0]) for name, array in each.items()} for each in tensors]}


def tensor(array: NDArray[np.generic]) -> TensorData:
    """One tensor, without the batch dimension."""
    little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {
        "content": {"b64": b64encode(little_endian.tobytes()).decode("ascii")},
        "shape": list(array.shape),
    }


def _hops(pcm: Pcm, hop_samples: int, pause_samples: int) -> Iterator[Request]:
    total = -(-(len(pcm) + pause_samples) // hop_samples) * hop_samples
    padded = np.zeros(total, np.int16)
    padded[: len(pcm)] = pcm
    for start in range(0, total, hop_samples):
        yield {AUDIO.name: tensor(padded[start : start + hop_samples])}
