"""Silero VAD's network laid out anew: many frames of many streams in one call.

The published file takes one frame of each stream per call and convolves frame by frame. Here the
same weights stand in matrix products whose rows come from all frames of all streams, so each weight
is fetched once per call and only the LSTM goes step by step. It is the same computation: scores
differ from the published file's by float32's rounding, and a frame's score does not depend on what
else is in the call.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import VAD_CONTEXT_SAMPLES, VAD_FRAME_SAMPLES
from pipeline.onnx_format import GraphWriter, Kind, weights_of

STATE_SIZE = 128

_OPSET = 16
_INT16_SCALE = np.float32(1 / 32768)  # a power of two: multiplying a weight by it rounds nothing
_STFT_HOP = 128  # samples
_STFT_BINS = 129
_STFT_WINDOWS = [[0, 1], [1, 2], [2, 3], [3, 4]]  # which hops of a frame each consists of
_REFLECTED_SAMPLES = 64  # behind each frame, so that they are five hops

Weights = NDArray[np.float32]


def batched_model(published: bytes) -> bytes:
    """The content of `silero_vad_16k_op15.onnx` as an ONNX model of this interface.

    Inputs:
        frames: float32 [steps * streams, VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES], from -32768 to
            32767: all streams' first frames, then their second ones, and so on; each behind the
            last samples of the one before.
        shape: int64 [3]: steps, streams, STATE_SIZE.
        state: float32 [2, streams, STATE_SIZE], at first zeros.

    Outputs:
        probabilities: float32 [steps * streams, 1].
        next_state: as `state`.

    Raises:
        ValueError: it is another file.
    """
    writer = GraphWriter()
    weights = {name.removeprefix("model."): w for name, w in weights_of(published).items()}
    try:
        _Network(writer, weights).lay_out()
    except KeyError as missing:
        raise ValueError(f"not Silero VAD's 16 kHz model: it has no weights {missing}") from missing
    samples = VAD_CONTEXT_SAMPLES + VAD_FRAME_SAMPLES
    state: Kind = ("float32", [2, "streams", STATE_SIZE])
    return writer.model(
        _OPSET,
        {"frames": ("float32", ["frames", samples]), "shape": ("int64", [3]), "state": state},
        {"probabilities": ("float32", ["frames", 1]), "next_state": state},
    )


class _Network:
    """Adds the layers to a graph. What runs between them is [rows, values]."""

    def __init__(self, writer: GraphWriter, weights: dict[str, Weights]) -> None:
        self._node = writer.node
        self._constant = writer.constant
        self._weights = weights

    def lay_out(self) -> None:
        """All of it."""
        rows = self._magnitudes(self._stft_windows())
        rows = self._convolution(0, rows, windows=[[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])
        rows = self._convolution(1, rows, windows=[[0, 1, 2], [2, 3, 4]])
        # Two positions of a frame are left for three taps, then one: the other taps meet padding.
        rows = self._dense(2, self._reshaped(rows, -1, 2 * 64), taps=slice(1, 3))
        rows = self._dense(3, rows, taps=slice(1, 2))
        self._speech_probability(self._lstm(rows))

    def _stft_windows(self) -> str:
        """A row for each window of the STFT, four to a frame."""
        padding = self._integers([0, 0, 0, _REFLECTED_SAMPLES])
        frames = self._node("Pad", "frames", padding, mode="reflect")
        hops = self._reshaped(frames, -1, len(_STFT_WINDOWS) + 1, _STFT_HOP)
        windows = self._node("Gather", hops, self._integers(_STFT_WINDOWS), axis=1)
        return self._reshaped(windows, -1, 2 * _STFT_HOP)

    def _magnitudes(self, windows: str) -> str:
        basis = self._weights["stft.forward_basis_buffer"][:, 0].T * _INT16_SCALE
        parts = self._node("MatMul", windows, self._constant(basis))
        squares = self._node("Mul", parts, parts)
        bins = self._integers([_STFT_BINS, _STFT_BINS])
        self._node("Split", squares, bins, outputs=["real", "imaginary"], axis=1)
        return self._node("Sqrt", self._node("Add", "real", "imaginary"))

    def _convolution(self, layer: int, rows: str, windows: list[list[int]]) -> str:
        """A layer over the four positions of a frame, padded with one in front and behind."""
        inputs = self._weights[f"encoder.{layer}.reparam_conv.weight"].shape[1]
        frames = self._reshaped(rows, -1, len(_STFT_WINDOWS), inputs)
        padded = self._node("Pad", frames, self._integers([0, 1, 0, 0, 1, 0]))
        seen = self._node("Gather", padded, self._integers(windows), axis=1)
        return self._dense(layer, self._reshaped(seen, -1, 3 * inputs))

    def _dense(self, layer: int, rows: str, taps: slice = slice(None)) -> str:
        """A layer whose rows hold what these taps of its kernel see."""
        name = f"encoder.{layer}.reparam_conv"
        kernel = self._weights[f"{name}.weight"][:, :, taps]
        matrix = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))
        return self._node("Relu", self._product(rows, matrix, self._weights[f"{name}.bias"]))

    def _lstm(self, rows: str) -> str:
        self._node("Split", "state", outputs=["hidden", "cell"], axis=0)
        weights = [self._lstm_weights(f"weight_{kind}") for kind in ("ih", "hh")]
        biases = np.concatenate([self._lstm_weights(f"bias_{kind}") for kind in ("ih", "hh")])
        constants = [self._constant(values[np.newaxis]) for values in (*weights, biases)]
        steps = self._node("Reshape", rows, "shape")
        outputs = ["hidden_by_step", "next_hidden", "next_cell"]
        everything = [steps, *constants, "", "hidden", "cell"]
        self._node("LSTM", *everything, outputs=outputs, hidden_size=STATE_SIZE)
        self._node("Concat", "next_hidden", "next_cell", outputs=["next_state"], axis=0)
        return self._reshaped("hidden_by_step", -1, STATE_SIZE)

    def _lstm_weights(self, name: str) -> Weights:
        """PyTorch has input, forget, cell and output gate; ONNX input, output, forget, cell."""
        gates = np.split(self._weights[f"decoder.rnn.{name}"], 4)
        return np.concatenate([gates[0], gates[3], gates[1], gates[2]])

    def _speech_probability(self, rows: str) -> None:
        weights = self._weights["decoder.decoder.2.weight"].reshape(-1, 1)
        bias = self._weights["decoder.decoder.2.bias"]
        logits = self._product(self._node("Relu", rows), weights, bias)
        self._node("Sigmoid", logits, outputs=["probabilities"])

    def _product(self, rows: str, matrix: Weights, bias: Weights) -> str:
        return self._node("Gemm", rows, self._constant(matrix), self._constant(bias))

    def _reshaped(self, rows: str, *shape: int) -> str:
        return self._node("Reshape", rows, self._integers(shape))

    def _integers(self, values: Sequence[object]) -> str:
        return self._constant(np.array(values, np.int64))
