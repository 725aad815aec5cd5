"""What is written is a file that ONNX Runtime runs, and weights are read back as they were."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.onnx_format import GraphWriter, Kind, weights_of
from tests.pipeline.support import SILERO_VAD_ONNX

MATRIX = np.arange(300, dtype=np.float32).reshape(2, 150)  # a length of more than seven bits


def product() -> bytes:
    """rows [n, 2] -> the rows times MATRIX, the last column in front as well."""
    graph = GraphWriter()
    times = graph.node("MatMul", "rows", graph.constant(MATRIX))
    last = graph.node("Gather", times, graph.constant(np.array([-1])), axis=1)
    graph.node("Concat", last, times, outputs=["wider"], axis=1)
    rows: Kind = ("float32", ["n", 2])
    wider: Kind = ("float32", ["n", 151])
    return graph.model(16, {"rows": rows}, {"wider": wider})


def test_onnx_runtime_runs_a_written_graph() -> None:
    session = onnxruntime.InferenceSession(product())
    rows = np.array([[1, 0], [0, 1], [2, -1]], np.float32)
    (wider,) = session.run(None, {"rows": rows})
    expected = rows @ MATRIX
    np.testing.assert_array_equal(wider, np.concatenate([expected[:, -1:], expected], axis=1))


def test_shapes_and_types_are_declared() -> None:
    session = onnxruntime.InferenceSession(product())
    (rows,), (wider,) = session.get_inputs(), session.get_outputs()
    assert (rows.name, rows.type, rows.shape) == ("rows", "tensor(float)", ["n", 2])
    assert (wider.name, wider.type, wider.shape) == ("wider", "tensor(float)", ["n", 151])


def test_weights_are_read_back() -> None:
    ((_, weights),) = weights_of(product()).items()  # the integers of Gather are no weights
    np.testing.assert_array_equal(weights, MATRIX)


@given(st.lists(st.lists(st.integers(0, 200), max_size=3).filter(lambda s: np.prod(s) < 10_000)))
def test_weights_of_any_shape_are_read_back(shapes: list[list[int]]) -> None:
    graph = GraphWriter()
    written = {}
    for number, shape in enumerate(shapes):
        values = np.full(shape, number, np.float32)
        written[graph.constant(values)] = values
    read = weights_of(graph.model(16, {}, {}))
    assert list(read) == list(written)
    for name, values in written.items():
        np.testing.assert_array_equal(read[name], values)


def test_weights_of_a_published_file_are_read() -> None:
    weights = weights_of(Path(SILERO_VAD_ONNX).read_bytes())
    assert weights["model.decoder.rnn.weight_ih"].shape == (512, 128)
    assert all(np.isfinite(values).all() for values in weights.values())


def test_what_is_no_onnx_file_is_refused() -> None:
    with pytest.raises(ValueError, match="ONNX"):
        weights_of(b"\x0f\x01 <!doctype html>")
