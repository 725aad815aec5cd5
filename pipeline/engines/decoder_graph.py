"""A step of Whisper's decoder as an ONNX graph: see `whisper_layers`.

What the decoder sees of a window is in 8 bits as well, three eighths of the memory that each step
would read: keys in one part, values and the shares of attention in two, which add up to 15 bits.
Keys and values are what is packed, the columns of a product: so few rows, one or two for each
window in most steps, cost little. A text's own keys and values are floats, and laid out for few
rows and many positions: the keys are the left operand, which MLAS reads in place, and the few
queries the right one, which it copies first.
"""

import numpy as np

from pipeline.engines.int8_graph import OPSET
from pipeline.engines.whisper_layers import WhisperLayers, seen_kinds
from pipeline.engines.whisper_weights import WhisperWeights
from pipeline.onnx_format import Kind

FEWEST_SLOTS = 2
"""For each window in a step: MLAS takes another path for one."""
MOST_SLOTS = 32
"""The same: MLAS splits sums over more than 128 x (128 / columns) positions, columns in powers of
two (`MLAS_SGEMM_STRIDEN`, `MLAS_SGEMM_STRIDEK` in its sgemm.cpp): 512 for 32 columns. A text has
fewer.
"""
BLOCKED = np.float32(-1e9)
"""Added to a score that must not count: its exponential is exactly 0."""

TEXT, FIRST_TEXT, LANGUAGE = range(3)
"""What a wanted row may say: any text, the first token of one, or a language."""
_IS_FIRST = np.array([rule == FIRST_TEXT for rule in range(3)])

RUN = 256
"""Tokens of the vocabulary among which the most probable one is looked for first."""


def decoder_graph(weights: WhisperWeights, signed: bool = True) -> bytes:
    """One step of the decoder: rows (tokens) of several windows, of each as many as it likes.

    Layers run over the rows; attention over slots, of which each window has equally many.
    Keys of a text are [heads, windows, places, size], values [heads, windows, size, places],
    float32, with `size` = width / heads; i stands for each layer.

    Inputs:
        embedded: float32 [rows, width]: tokens and their positions.
        slots: int64 [windows, slots]: the row that each slot holds; any, where it holds none.
        rows: int64 [rows]: the slot of each row, counted through all windows.
        places: float32 [1, windows, slots, text places]: 1 at the place in the text of the slot's
            row; nowhere for a slot that holds none.
        text_bias: float32 [1, windows, slots, text places]: 0 for what a row may see, else BLOCKED.
        past_keys_i, past_values_i: of the text so far; zeros where there is none yet.
        cross_keys_i and so on: what `encoder_graph` gives, [heads, windows, ...].
        silence_keys_i and so on: of the silence, for all windows: 1 in place of windows.
        cross_bias: float32 [1, windows, 1, silence places + window places].
        cross_split: int64 [2]: silence places, window places.
        wanted: int64 [wanted]: rows whose next token is asked for.
        rules: int64 [wanted]: what each of them may say (TEXT, FIRST_TEXT, LANGUAGE).

    Outputs:
        best: int64 [wanted, 1]: the most probable token.
        log_probs: float32 [wanted, 1]: its log-probability among those that the rule allows.
        new_keys_i, new_values_i: of the slots, with slots in place of places.
    """
    graph = _Decoder(weights, signed)
    graph.step()
    text: Kind = ("float32", [1, "windows", "slots", "text"])
    inputs: dict[str, Kind] = {
        "embedded": ("float32", ["rows", weights.shape.width]),
        "slots": ("int64", ["windows", "slots"]),
        "rows": ("int64", ["rows"]),
        "places": text,
        "text_bias": text,
        **_text_kinds(weights, "past", "text"),
        **_layer_kinds(weights, signed, "silence", 1, "silence"),
        **_layer_kinds(weights, signed, "cross", "windows", "window"),
        "cross_bias": ("float32", [1, "windows", 1, "seen"]),
        "cross_split": ("int64", [2]),
        "wanted": ("int64", ["wanted"]),
        "rules": ("int64", ["wanted"]),
    }
    outputs: dict[str, Kind] = {
        "best": ("int64", ["wanted", 1]),
        "log_probs": ("float32", ["wanted", 1]),
        **_text_kinds(weights, "new", "slots"),
    }
    return graph.model(OPSET, inputs, outputs)


class _Decoder(WhisperLayers):
    """Adds the decoder's parts."""

    def step(self) -> None:
        """All of a step, from `embedded` to `best`."""
        rows = "embedded"
        middles = self.middles(rows)
        attention = _Attention(self, middles)
        for i in range(self.weights.shape.decoder_layers):
            layer = f"decoder/layer_{i}"
            seen = attention.text_attention(self.norm(rows, f"{layer}/self_attention"), layer, i)
            rows = self.node(
                "Add", rows, self.layer(seen, middles, f"{layer}/self_attention/linear_1")
            )
            seen = attention.cross_attention(self.norm(rows, f"{layer}/attention"), layer, i)
            rows = self.node("Add", rows, self.layer(seen, middles, f"{layer}/attention/linear_2"))
            rows = self.feed_forward(rows, middles, layer)
        self._choice(self.norm(self.node("Gather", rows, "wanted"), "decoder"))

    def cross_queries(self, rows: str, middles: str, layer: str) -> str:
        """Those of cross-attention [rows, width]."""
        weights, bias = self.scaled_queries(f"{layer}/attention/linear_0")
        return self.dense(rows, middles, weights, bias)

    def _choice(self, rows: str) -> None:
        """The most probable token of each row [rows, width] among those that its rule allows.

        There are rows times 50,000 scores, several times what the caches hold, so each pass over
        them counts: what no text may say is blocked within the product, and the largest is looked
        for in runs of `RUN` first, which is several times as fast as ArgMax.
        """
        logits = self._logits(rows)
        text, text_share = self._best(logits)
        language, language_share = self._best_language(logits)
        is_language = self.node("Equal", self._column("rules"), self.integers(LANGUAGE))
        self.node("Where", is_language, language, text, outputs=["best"])
        share = self.node("Where", is_language, language_share, text_share)
        self.node("Log", share, outputs=["log_probs"])

    def _logits(self, rows: str) -> str:
        """Scores of each row [rows, vocabulary padded to a multiple of RUN]; those of tokens that
        its rule for text forbids are low enough to count for nothing.
        """
        setting = self.weights.setting
        table = self.weights.float32("decoder/embeddings/weight")
        padded = np.pad(table, ((0, -len(table) % RUN), (0, 0)))
        never = np.zeros(len(padded), np.float32)
        never[setting("suppress_ids")] = never[len(table) :] = BLOCKED
        logits = self.dense(rows, self.middles(rows), padded, None, before_scaling=never)
        at_first = np.array([setting("suppress_ids_begin")], np.int64)
        if not at_first.size:
            return logits
        count = self.node("Concat", self.count(rows), self.integers(1), axis=0)
        places = self.node("Tile", self.constant(at_first), count)
        penalty = self.node("Gather", self.floats(np.where(_IS_FIRST, BLOCKED, 0)), "rules")
        scores = self.node("GatherElements", logits, places, axis=1)
        lowered = self.node("Add", scores, self._column(penalty))
        return self.node("ScatterElements", logits, places, lowered, axis=1)

    def _best(self, logits: str) -> tuple[str, str]:
        """The first of the largest of each row, and its share of the probability, [rows, 1]."""
        runs = self.node("Reshape", logits, self.integers(0, -1, RUN))
        largest = self.node("ReduceMax", runs, axes=[2], keepdims=0)
        run = self.node("ArgMax", largest, axis=1, keepdims=1)
        in_run = self.node("GatherND", runs, run, batch_dims=1)
        place = self.node("ArgMax", in_run, axis=1, keepdims=1)
        best = self.node("Add", self.node("Mul", run, self.integers(RUN)), place)
        return best, self.node("GatherElements", self.node("Softmax", logits), best, axis=1)

    def _best_language(self, logits: str) -> tuple[str, str]:
        """The same among languages alone."""
        tokens = np.array(self.weights.setting("lang_ids"), np.int64)
        scores = self.node("Gather", logits, self.constant(tokens), axis=1)
        shares = self.node("Softmax", scores)
        place = self.node("ArgMax", scores, axis=1, keepdims=1)
        best = self.node("Gather", self.constant(tokens), place)
        return best, self.node("GatherElements", shares, place, axis=1)

    def _column(self, values: str) -> str:
        """[rows] as [rows, 1]."""
        return self.node("Unsqueeze", values, self.integers(1))


class _Attention:
    """Adds the decoder's attention, where rows belong to windows."""

    def __init__(self, layers: _Decoder, middles: str) -> None:
        self._layers = layers
        self._node = layers.node
        self._middles = middles
        heads, size = layers.heads, layers.size
        sizes = layers.integers(heads, size)
        self._by_head = layers.node("Concat", layers.node("Shape", "slots"), sizes, axis=0)
        self._flat_slots = layers.node("Reshape", "slots", layers.integers(-1))
        self._flat = layers.integers(-1, heads * size)
        heads_first = [layers.integers(heads), layers.node("Shape", "slots")]
        shape = layers.node("Concat", *heads_first, layers.integers(1), axis=0)
        self._one_for_each_slot = shape
        self._places_first = layers.node("Transpose", "places", perm=[0, 1, 3, 2])

    def text_attention(self, rows: str, layer: str, i: int) -> str:
        """Rows [rows, width] see the text so far and each other."""
        both = self._layers.queries_keys_values(rows, self._middles, layer)
        queries, keys, values = self._layers.split(self._in_slots(both), layer)
        new_keys, new_values = [f"new_keys_{i}"], [f"new_values_{i}"]
        self._node("Transpose", self._heads_of(keys), outputs=new_keys, perm=[2, 0, 1, 3])
        self._node("Transpose", self._heads_of(values), outputs=new_values, perm=[2, 0, 3, 1])
        placed_keys = self._node("MatMul", self._places_first, *new_keys)
        placed_values = self._node("MatMul", *new_values, "places")
        all_keys = self._node("Add", f"past_keys_{i}", placed_keys)
        all_values = self._node("Add", f"past_values_{i}", placed_values)
        scores = self._layers.product(all_keys, self._queries(queries))
        by_slot = self._node("Transpose", scores, perm=[0, 1, 3, 2])
        shares = self._node("Softmax", self._node("Add", by_slot, "text_bias"), axis=-1)
        return self._rows(self._layers.product(all_values, shares), perm=[1, 3, 0, 2])

    def cross_attention(self, rows: str, layer: str, i: int) -> str:
        """Rows [rows, width] see their window and the silence behind it."""
        node, layers = self._node, self._layers
        queries = self._queries(self._in_slots(layers.cross_queries(rows, self._middles, layer)))
        flat, scales = layers.quantized_rows(node("Flatten", queries, axis=3), layers.middle)
        quantized = node("Reshape", flat, node("Shape", queries))
        parts = [
            layers.exact_product(quantized, f"{kind}_keys_{i}", f"{kind}_key_scales_{i}")
            for kind in ("silence", "cross")
        ]
        scores = node("Mul", node("Concat", *parts, axis=3), self._by_slot(scales))
        shares = node("Softmax", node("Add", scores, "cross_bias"), axis=-1)
        *flat_parts, scales = layers.quantized_finely(node("Flatten", shares, axis=3))
        shape = node("Shape", shares)
        both = node("Concat", *(node("Reshape", it, shape) for it in flat_parts), axis=2)
        split = [f"{layer}/silence_shares", f"{layer}/cross_shares"]
        node("Split", both, "cross_split", outputs=split, axis=3)
        seen = [
            layers.exact_product(share, f"{kind}_values_{i}", f"{kind}_value_scales_{i}")
            for kind, share in zip(("silence", "cross"), split, strict=True)
        ]
        by_part = node("Add", *seen)  # [heads, windows, 2 * slots, 2 * size]
        seen_by_slot = self._parts_sum(self._parts_sum(by_part, 2, layers.low_step), 3)
        return self._rows(node("Mul", seen_by_slot, self._by_slot(scales)), perm=[1, 2, 0, 3])

    def _parts_sum(self, parts: str, axis: int, low_step: str | None = None) -> str:
        """High and low parts, side by side along an axis, as one."""
        high, low = (f"{part}_of_{parts}" for part in ("high", "low"))
        self._node("Split", parts, outputs=[high, low], axis=axis)
        return self._node("Add", high, self._node("Mul", low, low_step) if low_step else low)

    def _by_slot(self, scales: str) -> str:
        """Scales of flat rows as [heads, windows, slots, 1]."""
        return self._node("Reshape", scales, self._one_for_each_slot)

    def _in_slots(self, rows: str) -> str:
        """[rows, values] as [windows * slots, values]."""
        return self._node("Gather", rows, self._flat_slots)

    def _heads_of(self, slots: str) -> str:
        """[windows * slots, width] as [windows, slots, heads, size]."""
        return self._node("Reshape", slots, self._by_head)

    def _queries(self, slots: str) -> str:
        """[windows * slots, width] as [heads, windows, slots, size]."""
        return self._node("Transpose", self._heads_of(slots), perm=[2, 0, 1, 3])

    def _rows(self, seen: str, perm: list[int]) -> str:
        """What is seen as [windows, slots, heads, size] once its axes are put so: [rows, width]."""
        by_window = self._node("Transpose", seen, perm=perm)
        return self._node("Gather", self._node("Reshape", by_window, self._flat), "rows")


def _layer_kinds(
    weights: WhisperWeights, signed: bool, name: str, windows: int | str, places: str
) -> dict[str, Kind]:
    """Of several windows, for each layer in turn."""
    kinds = seen_kinds(weights, signed, name, [weights.shape.heads, windows], places)
    layers = range(weights.shape.decoder_layers)
    return {f"{it}_{i}": kind for i in layers for it, kind in kinds.items()}


def _text_kinds(weights: WhisperWeights, name: str, places: str) -> dict[str, Kind]:
    """Keys and values of a text, for each layer in turn."""
    heads, size = weights.shape.heads, weights.shape.width // weights.shape.heads
    kinds: dict[str, Kind] = {}
    for i in range(weights.shape.decoder_layers):
        kinds[f"{name}_keys_{i}"] = ("float32", [heads, "windows", places, size])
        kinds[f"{name}_values_{i}"] = ("float32", [heads, "windows", size, places])
    return kinds
