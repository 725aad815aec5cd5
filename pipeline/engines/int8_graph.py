"""int8 products in ONNX graphs: CTranslate2's numbers, on ONNX Runtime's operators.

Weights are int8 with a scale for each output, activations int8 with a scale for each row; products
are summed in int32, exactly. Where 8 bits are too few, numbers are the sum of two such parts.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.onnx_format import MICROSOFT, GraphWriter, Kind

OPSET = 17
LOW_STEPS = 254
"""Of a low part, in a step of its high part: half a step to either side is 127 of them."""
_MIDDLE = 128
"""Zero point of unsigned int8."""

Floats = NDArray[np.float32]


def exactness_graph(signed: bool) -> bytes:
    """A product whose right answer is 255 * 127 * 64 where int8 weights are multiplied exactly.

    Processors without VNNI add pairs of products of unsigned and signed int8 in int16, which
    overflows; `signed=False` stores the weights unsigned, which they multiply exactly, but slower.

    Inputs:
        values: uint8 [rows, 64].

    Outputs:
        products: int32 [rows, 16].
    """
    graph = Int8Writer(signed)
    column = graph.weights_constant(np.full((64, 16), 127, np.int8))
    zeros = [graph.constant(np.uint8(0)), graph.zero_point]
    graph.node("MatMulInteger", "values", column, *zeros, outputs=["products"])
    values: Kind = ("uint8", ["rows", 64])
    return graph.model(OPSET, {"values": values}, {"products": ("int32", ["rows", 16])})


class Int8Writer(GraphWriter):
    """Adds int8 products, of rows [rows, values] unless they say otherwise."""

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self._signed = signed

    @cached_property
    def zero_point(self) -> str:
        """Of the weights as they are stored."""
        return self.constant(np.int8(0) if self._signed else np.uint8(_MIDDLE))

    @cached_property
    def middle(self) -> str:
        """Zero point of what is multiplied with weights."""
        return self.constant(np.uint8(_MIDDLE))

    @cached_property
    def low_step(self) -> str:
        """What a low part is multiplied with."""
        return self.constant(np.float32(1 / LOW_STEPS))

    @cached_property
    def _one(self) -> str:
        return self.constant(np.float32(1))

    def weights_constant(self, weights: NDArray[np.int8]) -> str:
        """Weights as they are stored: signed, or unsigned about the middle."""
        if self._signed:
            return self.constant(weights)
        return self.constant((weights.astype(np.int16) + _MIDDLE).astype(np.uint8))

    def integers(self, *values: int) -> str:
        """A constant of one dimension."""
        return self.constant(np.array(values, np.int64))

    def floats(self, values: NDArray[np.generic]) -> str:
        """A constant of float32."""
        return self.constant(np.ascontiguousarray(values, np.float32))

    def count(self, rows: str) -> str:
        """How many rows a tensor has, [1]."""
        return self.node("Slice", self.node("Shape", rows), self.integers(0), self.integers(1))

    def middles(self, rows: str) -> str:
        """`middle` for each row of a tensor."""
        return self.node("Expand", self.middle, self.count(rows))

    def quantized_rows(self, rows: str, zero: str, zeros: str | None = None) -> tuple[str, str]:
        """Rows [rows, values] in 8 bits about a zero point, and each row's scale, [rows].

        `zeros`: the zero point for each row, where it is there already.
        """
        scales = self._scales(rows, -1)
        zeros = zeros or self.node("Expand", zero, self.node("Shape", scales))
        return self.node("QuantizeLinear", rows, scales, zeros, axis=0), scales

    def quantized_finely(self, rows: str) -> tuple[str, str, str]:
        """Rows [rows, values] without a value below 0 as two parts in 8 bits about `middle`, and
        each row's scale, [rows]. A row is (high + low / LOW_STEPS) times its scale.
        """
        scales = self._scales(rows, -1, sizes=rows)
        middles = self.node("Expand", self.middle, self.node("Shape", scales))
        high = self.node("QuantizeLinear", rows, scales, middles, axis=0)
        rest = self.node("Sub", rows, self.node("DequantizeLinear", high, scales, middles, axis=0))
        steps = self.node("Mul", scales, self.low_step)
        return high, self.node("QuantizeLinear", rest, steps, middles, axis=0), scales

    def columns_quantized_finely(self, rows: str) -> tuple[str, str, str]:
        """The same of the columns of rows [rows, values], both parts about `zero_point`."""
        scales = self._scales(rows, 0)
        units = self.node("Div", rows, scales)
        high = self.node("QuantizeLinear", units, self._one, self.zero_point)
        back = self.node("DequantizeLinear", high, self._one, self.zero_point)
        rest = self.node("Sub", units, back)
        return high, self.node("QuantizeLinear", rest, self.low_step, self.zero_point), scales

    def dense(
        self,
        rows: str,
        middles: str,
        weights: Floats,
        bias: Floats | None,
        before_scaling: Floats | None = None,
    ) -> str:
        """A layer with weights [outputs, inputs]; rows are quantized, each with its own scale.

        `before_scaling`: what is added before a row's scale is multiplied with, at no cost.
        """
        quantized, scales = self.quantized_rows(rows, self.middle, middles)
        steps = np.maximum(np.abs(weights).max(axis=1), np.finfo(np.float32).tiny) / 127
        stored = np.rint(weights / steps[:, np.newaxis]).astype(np.int8)
        columns = self.weights_constant(np.ascontiguousarray(stored.T))
        more = [] if before_scaling is None else [self.floats(before_scaling)]
        product = self.exact_product(quantized, columns, self.floats(steps), *more)
        scaled = self.node("Mul", product, self.node("Unsqueeze", scales, self.integers(1)))
        return scaled if bias is None else self.node("Add", scaled, self.floats(bias))

    def exact_product(self, rows: str, columns: str, scales: str, *bias: str) -> str:
        """Rows about `middle` times columns about `zero_point`, in float32, without rows' scales.

        `scales`: of the columns, as many dimensions as they have. `bias`: added at no cost.
        """
        parts = (rows, columns, self._one, scales, self.middle, self.zero_point, *bias)
        return self.node("MatMulIntegerToFloat", *parts, domain=MICROSOFT)

    def _scales(self, rows: str, axis: int, sizes: str | None = None) -> str:
        sizes = sizes or self.node("Abs", rows)
        largest = self.node("ReduceMax", sizes, axes=[axis], keepdims=0)
        return self.node("Mul", largest, self.constant(np.float32(1 / 127)))

    def gelu(self, values: str) -> str:
        return self.node("Gelu", values, domain=MICROSOFT)

    def product(self, left: str, right: str) -> str:
        """Left times right transposed, over the last two dimensions."""
        return self.node("FusedMatMul", left, right, domain=MICROSOFT, transB=1)
