"""Products in 8 bits: how near they come to those of floats."""

import numpy as np
import onnxruntime
import pytest

from pipeline.engines.int8_graph import OPSET, Floats, Int8Writer

STORED = pytest.mark.parametrize("signed", [True, False])
"""As processors store weights that multiply signed ones exactly, and those that do not."""


def run(graph: Int8Writer, rows: Floats, columns: Floats | None = None) -> Floats:
    """A graph's `product` of `rows` and, where it has such an input, `columns`."""
    given = {"rows": rows} | ({} if columns is None else {"columns": columns})
    model = graph.model(
        OPSET,
        {name: ("float32", list(values.shape)) for name, values in given.items()},
        {"product": ("float32", ["n", "m"])},
    )
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    product: Floats = session.run(None, given)[0]
    return product


def error(found: Floats, wanted: Floats) -> float:
    return float(np.abs(found - wanted).mean() / np.abs(wanted).mean())


@STORED
def test_a_layer_is_that_of_floats_but_for_its_8_bits(signed: bool) -> None:
    chance = np.random.default_rng(1)
    rows = chance.standard_normal((5, 64)).astype(np.float32) * [[1], [100], [0.01], [1], [1]]
    weights = chance.standard_normal((32, 64)).astype(np.float32)
    bias = chance.standard_normal(32).astype(np.float32)
    graph = Int8Writer(signed)
    layer = graph.dense("rows", graph.middles("rows"), weights, bias)
    graph.node("Identity", layer, outputs=["product"])
    rows = rows.astype(np.float32)
    assert 1e-4 < error(run(graph, rows), rows @ weights.T + bias) < 0.02


def test_what_is_added_before_scaling_blocks_outputs_whatever_the_row() -> None:
    graph = Int8Writer(signed=True)
    blocked = np.array([0, -1e9, 0], np.float32)
    weights = np.eye(3, 64, dtype=np.float32)
    layer = graph.dense("rows", graph.middles("rows"), weights, None, before_scaling=blocked)
    graph.node("Identity", layer, outputs=["product"])
    rows = np.array([[1.0, 5.0, 2.0], [0.001, 0.005, 0.002]], np.float32)
    found = run(graph, np.pad(rows, ((0, 0), (0, 61))))
    assert (found[:, 1] < -1e4).all()
    np.testing.assert_allclose(found[:, [0, 2]], rows[:, [0, 2]], rtol=0.02)


def shares_of_values(graph: Int8Writer, *, fine: bool) -> None:
    """The node `product`: shares [rows, n] of values [n, columns], both given."""
    node, one = graph.node, graph.constant(np.float32(1))
    high_values, low_values, scales = graph.columns_quantized_finely("columns")
    if fine:
        *parts, row_scales = graph.quantized_finely("rows")
    else:
        part, row_scales = graph.quantized_rows("rows", graph.middle)
        parts = [part]
    found = []
    for values, value_step in ((high_values, one), (low_values, graph.low_step)):
        for share, share_step in zip(parts, (one, graph.low_step), strict=False):
            product = graph.exact_product(share, values, node("Mul", scales, value_step))
            found.append(node("Mul", product, share_step))
    scale = node("Unsqueeze", row_scales, graph.integers(1))
    node("Mul", node("Sum", *found), scale, outputs=["product"])


@STORED
def test_small_shares_are_kept_where_they_are_in_two_parts(signed: bool) -> None:
    """Of 400 shares one is half of all; each of the others is a four-hundredth of that."""
    shares = np.full((2, 400), 0.5 / 399, np.float32)
    shares[0, 7] = shares[1, 300] = 0.5
    values = np.random.default_rng(2).standard_normal((400, 64)).astype(np.float32) + 1
    errors = {}
    for fine in (True, False):
        graph = Int8Writer(signed)
        shares_of_values(graph, fine=fine)
        errors[fine] = error(run(graph, shares, values), shares @ values)
    assert errors[True] < 2e-3
    assert errors[False] > 0.1
