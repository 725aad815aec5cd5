"""What Whisper's encoder and decoder are made of, as nodes of ONNX graphs.

CTranslate2's int8 products on the CPU pack all weights anew in each decoder step (oneDNN), more
than half of a step for one window. ONNX Runtime packs constant weights once, at load. The numbers
are CTranslate2's: weights int8 with a scale for each output, activations int8 with a scale for each
row, products exact in int32.

What decides a text does not depend, bit for bit, on the rows beside a row: int32 is exact, and no
sum of floats is split otherwise for another number of rows. Where a sum of floats is over
positions, positions have fixed places and their number is padded to a multiple of `PLACES`, which
is what MLAS's vectors and their unrolling divide; padding adds exact zeros. At most `MOST_SLOTS`
rows of a window keep MLAS's panels (its strides times 128) whole. So guesses and batches do not
change a text; of the log-probability only the last sum, over the vocabulary, is split by the number
of rows (1e-6).
"""

from collections.abc import Sequence

import numpy as np

from pipeline.engines.int8_graph import Floats, Int8Writer
from pipeline.engines.whisper_weights import WhisperWeights
from pipeline.onnx_format import Kind

PLACES = 64
"""Numbers of positions (of a window, of a text) are padded to a multiple of this."""


class WhisperLayers(Int8Writer):
    """Adds Whisper's layers, named as CTranslate2 names them."""

    def __init__(self, weights: WhisperWeights, signed: bool) -> None:
        super().__init__(signed)
        self.weights = weights
        self.heads = weights.shape.heads
        self.width = weights.shape.width
        self.size = self.width // self.heads

    def queries_keys_values(self, rows: str, middles: str, layer: str) -> str:
        """The three of self-attention side by side, [rows, 3 * width]."""
        weights, bias = self.scaled_queries(f"{layer}/self_attention/linear_0")
        return self.dense(rows, middles, weights, bias)

    def split(self, rows: str, layer: str) -> list[str]:
        """Queries, keys and values, each [rows, width]."""
        outputs = [f"{layer}/{kind}" for kind in ("queries", "keys", "values")]
        self.node("Split", rows, outputs=outputs, axis=1)
        return outputs

    def feed_forward(self, rows: str, middles: str, layer: str) -> str:
        """The rest of a layer, behind its attention."""
        inner = self.layer(self.norm(rows, f"{layer}/ffn"), middles, f"{layer}/ffn/linear_0")
        outer = self.layer(self.gelu(inner), middles, f"{layer}/ffn/linear_1")
        return self.node("Add", rows, outer)

    def scaled_queries(self, name: str) -> tuple[Floats, Floats]:
        """A layer whose first outputs are queries, with attention's factor in their weights."""
        factors = np.ones(len(self.weights.stored(f"{name}/bias")), np.float32)
        factors[: self.width] = self.size**-0.5
        weights, bias = (self.weights.float32(f"{name}/{it}") for it in ("weight", "bias"))
        return weights * factors[:, np.newaxis], bias * factors

    def layer(self, rows: str, middles: str, name: str) -> str:
        """One of a layer's products."""
        weights, bias = (self.weights.float32(f"{name}/{it}") for it in ("weight", "bias"))
        return self.dense(rows, middles, weights, bias)

    def norm(self, rows: str, name: str) -> str:
        """A layer's normalization."""
        factors, offsets = (
            self.floats(self.weights.float32(f"{name}/layer_norm/{it}")) for it in ("gamma", "beta")
        )
        return self.node("LayerNormalization", rows, factors, offsets, axis=-1)


def seen_kinds(
    weights: WhisperWeights, signed: bool, name: str, outer: Sequence[int | str], places: str
) -> dict[str, Kind]:
    """What the decoder sees of windows, in the order of `CrossAttention`'s arrays."""
    size = weights.shape.width // weights.shape.heads
    stored = "int8" if signed else "uint8"
    return {
        f"{name}_keys": (stored, [*outer, size, places]),
        f"{name}_key_scales": ("float32", [*outer, 1, places]),
        f"{name}_values": (stored, [*outer, places, 2 * size]),
        f"{name}_value_scales": ("float32", [*outer, 1, 2 * size]),
    }
