"""A CTranslate2 Whisper's weights are read as they are stored."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.engines.whisper_weights import WeightsError, WhisperWeights, read_weights
from tests.pipeline.support import MODEL_DIR


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def variable(name: str, values: NDArray[np.generic], kind: int) -> bytes:
    shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    return text(name) + shape + struct.pack("<BI", kind, values.nbytes) + values.tobytes()


def model(*variables: bytes, version: int = 6, name: str = "WhisperSpec") -> bytes:
    return b"".join(
        [
            struct.pack("<I", version),
            text(name),
            struct.pack("<II", 3, len(variables)),
            *variables,
            struct.pack("<I", 1),
            text("decoder/projection/weight"),
            text("decoder/embeddings/weight"),
        ]
    )


SMALL = [
    variable("decoder/num_heads", np.int16(2).reshape(()), 2),
    variable("decoder/embeddings/weight", np.array([[4, -8], [6, 3], [1, 2]], np.int8), 1),
    variable("decoder/embeddings/weight_scale", np.array([2, 3, 1], np.float32), 0),
    variable("encoder/conv1/weight", np.zeros((2, 80, 3), np.float16), 4),
    variable("decoder/layer_0/ffn/linear_0/weight", np.ones((8, 2), np.float16), 4),
]


def read(folder: Path, content: bytes) -> WhisperWeights:
    (folder / "model.bin").write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"lang_ids": [1]}))
    return read_weights(str(folder))


def test_variables_keep_their_values_and_int8_its_scales(tmp_path: Path) -> None:
    weights = read(tmp_path, model(*SMALL))
    expected = np.array([[2, -4], [2, 1], [1, 2]], np.float32)
    for name in ("decoder/embeddings/weight", "decoder/projection/weight"):
        np.testing.assert_array_equal(weights.float32(name), expected)
    assert weights.float32("decoder/layer_0/ffn/linear_0/weight").dtype == np.float32
    assert weights.setting("lang_ids") == [1]
    with pytest.raises(WeightsError, match="no suppress_ids"):
        weights.setting("suppress_ids")


def test_the_shape_is_read_off_the_variables(tmp_path: Path) -> None:
    shape = read(tmp_path, model(*SMALL)).shape
    assert (shape.heads, shape.width, shape.n_mels, shape.vocabulary) == (2, 2, 80, 3)
    assert (shape.encoder_layers, shape.decoder_layers) == (0, 1)


def test_whisper_base_is_read() -> None:
    shape = read_weights(MODEL_DIR).shape
    assert (shape.heads, shape.width, shape.n_mels, shape.vocabulary) == (8, 512, 80, 51865)
    assert (shape.encoder_layers, shape.decoder_layers) == (6, 6)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (model(*SMALL, version=5), "format 5; 6 and newer"),
        (model(*SMALL, name="TransformerSpec"), "holds a TransformerSpec"),
        (model(*SMALL[1:]), "no decoder/num_heads"),
        (model(*SMALL, variable("x", np.zeros(2, np.float32), 5)), "element type 5"),
        (model(*SMALL)[:100], "ends too soon"),
    ],
)
def test_what_is_not_known_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(WeightsError, match=problem):
        read(tmp_path, content)


def test_numbers_of_another_kind_are_refused(tmp_path: Path) -> None:
    weights = read(tmp_path, model(*SMALL, variable("odd", np.zeros(2, np.int16), 2)))
    with pytest.raises(WeightsError, match="odd is of int16"):
        weights.float32("odd")
