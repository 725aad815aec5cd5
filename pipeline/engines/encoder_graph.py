"""Whisper's encoder, and what its decoder sees of it, as an ONNX graph: see `whisper_layers`."""

import numpy as np

from pipeline.engines.int8_graph import OPSET
from pipeline.engines.whisper_layers import PLACES, WhisperLayers, seen_kinds
from pipeline.engines.whisper_weights import WhisperWeights
from pipeline.onnx_format import Kind


def encoder_graph(weights: WhisperWeights, signed: bool = True) -> bytes:
    """The encoder, with what the decoder's layers see of its states.

    Inputs:
        features: float32 [frames, n_mels].

    Outputs:
        states: float32 [frames / 2, width].
        cross_keys: [decoder layers, heads, size, places], in 8 bits as weights are stored; size is
            width / heads, places are frames / 2 padded to a multiple of PLACES.
        cross_key_scales: float32 [decoder layers, heads, 1, places].
        cross_values: [decoder layers, heads, places, 2 * size], like keys: high and low parts.
        cross_value_scales: float32 [decoder layers, heads, 1, 2 * size].
    """
    graph = _Encoder(weights, signed)
    states = graph.encoder("features")
    graph.node("Identity", states, outputs=["states"])
    graph.cross_attention_inputs(states)
    size = weights.shape
    states_kind: Kind = ("float32", ["states", size.width])
    outputs = {"states": states_kind, **_encoded_kinds(weights, signed)}
    return graph.model(OPSET, {"features": ("float32", ["frames", size.n_mels])}, outputs)


def silence_graph(weights: WhisperWeights, signed: bool = True) -> bytes:
    """What the decoder's layers see of given states.

    Inputs:
        states: float32 [states, width].

    Outputs: those of `encoder_graph` but `states`.
    """
    graph = _Encoder(weights, signed)
    graph.cross_attention_inputs("states")
    states: Kind = ("float32", ["states", weights.shape.width])
    return graph.model(OPSET, {"states": states}, _encoded_kinds(weights, signed))


class _Encoder(WhisperLayers):
    """Adds the encoder's parts."""

    def encoder(self, features: str) -> str:
        """Features [frames, n_mels] as states [frames / 2, width]."""
        rows = self._stem(features)
        middles = self.middles(rows)
        for i in range(self.weights.shape.encoder_layers):
            layer = f"encoder/layer_{i}"
            seen = self._self_attention(self.norm(rows, f"{layer}/self_attention"), middles, layer)
            rows = self.node(
                "Add", rows, self.layer(seen, middles, f"{layer}/self_attention/linear_1")
            )
            rows = self.feed_forward(rows, middles, layer)
        return self.norm(rows, "encoder")

    def cross_attention_inputs(self, states: str) -> None:
        """The outputs `cross_...` of states [states, width].

        Padding repeats the last state: it is blocked, and must only be finite. A key has a scale
        for its place, a value for what it is of: products take scales of columns.
        """
        layers = self.weights.shape.decoder_layers
        rows = self._padded(states)
        middles = self.middles(rows)
        by_head = self.node("Reshape", self._seen(rows, middles, 0), self.integers(-1, self.size))
        keys, key_scales = self.quantized_rows(by_head, self.zero_point)
        high, low, scales = self.columns_quantized_finely(self._seen(rows, middles, 1))
        outer = (layers, self.heads)
        by_column = self.integers(-1, *outer, self.size)
        parts = (self.node("Reshape", part, by_column) for part in (high, low))
        values = self.node("Concat", *parts, axis=3)
        for name, part, shape, perm in (
            ("cross_keys", keys, (-1, *outer, self.size), [1, 2, 3, 0]),
            ("cross_key_scales", key_scales, (-1, *outer, 1), [1, 2, 3, 0]),
            ("cross_values", values, (-1, *outer, 2 * self.size), [1, 2, 0, 3]),
        ):
            split = self.node("Reshape", part, self.integers(*shape))
            self.node("Transpose", split, outputs=[name], perm=perm)
        by_layer = self.integers(*outer, 1, self.size)
        of_parts = (
            self.node("Reshape", it, by_layer)
            for it in (scales, self.node("Mul", scales, self.low_step))
        )
        self.node("Concat", *of_parts, outputs=["cross_value_scales"], axis=3)

    def _stem(self, features: str) -> str:
        """The two convolutions, and the positions."""
        bins_first = self.node("Transpose", features, perm=[1, 0])
        values = self.node("Unsqueeze", bins_first, self.integers(0))
        for name, stride in (("encoder/conv1", 1), ("encoder/conv2", 2)):
            kernel, bias = (self.weights.float32(f"{name}/{it}") for it in ("weight", "bias"))
            constants = [self.floats(kernel), self.floats(bias)]
            values = self.gelu(self.node("Conv", values, *constants, pads=[1, 1], strides=[stride]))
        rows = self.node("Transpose", self.node("Squeeze", values, self.integers(0)), perm=[1, 0])
        count = self.count(rows)
        positions = self.floats(self.weights.float32("encoder/position_encodings/encodings"))
        first = [self.integers(0), count, self.integers(0)]
        return self.node("Add", rows, self.node("Slice", positions, *first))

    def _self_attention(self, rows: str, middles: str, layer: str) -> str:
        """Of the encoder: every state sees every other."""
        queries, keys, values = (
            self.node("Reshape", part, self.integers(-1, self.heads, self.size))
            for part in self.split(self.queries_keys_values(rows, middles, layer), layer)
        )
        scores = self.node(
            "MatMul",
            self.node("Transpose", queries, perm=[1, 0, 2]),
            self.node("Transpose", keys, perm=[1, 2, 0]),
        )
        seen = self.node(
            "MatMul",
            self.node("Softmax", scores, axis=-1),
            self.node("Transpose", values, perm=[1, 0, 2]),
        )
        by_row = self.node("Transpose", seen, perm=[1, 0, 2])
        return self.node("Reshape", by_row, self.integers(-1, self.width))

    def _seen(self, rows: str, middles: str, half: int) -> str:
        """Keys (0) or values (1) of all layers side by side: [rows, layers * width]."""
        layers = range(self.weights.shape.decoder_layers)
        names = [f"decoder/layer_{i}/attention/linear_1" for i in layers]
        own = slice(half * self.width, (half + 1) * self.width)
        weights, bias = (
            np.concatenate([self.weights.float32(f"{name}/{it}")[own] for name in names])
            for it in ("weight", "bias")
        )
        return self.dense(rows, middles, weights, bias)

    def _padded(self, states: str) -> str:
        """States [states, width], padded to a multiple of PLACES."""
        count = self.count(states)
        more = self.node("Mod", self.node("Neg", count), self.integers(PLACES))
        padding = self.node("Concat", self.integers(0, 0), more, self.integers(0), axis=0)
        return self.node("Pad", states, padding, mode="edge")


def _encoded_kinds(weights: WhisperWeights, signed: bool) -> dict[str, Kind]:
    """Of one window, for all layers."""
    outer = [weights.shape.decoder_layers, weights.shape.heads]
    return seen_kinds(weights, signed, "cross", outer, "places")
