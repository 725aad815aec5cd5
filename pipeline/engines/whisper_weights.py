"""A CTranslate2 Whisper's weights and configuration, read from its folder.

`model.bin` holds, little-endian (CTranslate2's `python/ctranslate2/specs/model_spec.py` writes it):
the format's version, the specification's name, its revision, a number of variables, each with name,
rank, dimensions, element type and bytes, and a number of aliases. Strings are their length with
the closing zero (uint16) and their bytes.
"""

import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_FORMAT = 6
"""Version of the binary format that brought the aliases; CTranslate2 3 and 4 write it."""
_ELEMENT_TYPES: Mapping[int, type[np.generic]] = {
    0: np.float32,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.float16,
}


class WeightsError(ValueError):
    """The weights are not laid out as this module knows them; the message says what was met."""


@dataclass(frozen=True, slots=True)
class WhisperShape:
    """What of the model's size is not seen from a single weight."""

    heads: int
    encoder_layers: int
    decoder_layers: int
    width: int
    n_mels: int
    vocabulary: int


class WhisperWeights:
    """Variables by name, as float32 unless asked for as they are stored."""

    def __init__(self, variables: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        self._variables = variables
        self._config = config
        self.shape = self._shape()

    def stored(self, name: str) -> NDArray[Any]:
        """A variable as it is stored.

        Raises:
            WeightsError: there is none of this name.
        """
        try:
            return self._variables[name]
        except KeyError:
            raise WeightsError(f"the weights have no {name}") from None

    def float32(self, name: str) -> NDArray[np.float32]:
        """A variable as float32; one of int8 through its scales, one for each row."""
        values = self.stored(name)
        if values.dtype == np.int8:
            scales = self._scales(name).reshape(-1, 1)
            return values.astype(np.float32) / scales
        if not np.issubdtype(values.dtype, np.floating):
            raise WeightsError(f"{name} is of {values.dtype}; float32, float16 and int8 are read")
        return values.astype(np.float32)

    def setting(self, name: str) -> list[int]:
        """Token ids of `config.json`.

        Raises:
            WeightsError: it has none of this name.
        """
        found = self._config.get(name)
        if not isinstance(found, list):
            raise WeightsError(f"config.json has no {name}")
        return found

    def _scales(self, name: str) -> NDArray[np.float32]:
        """Scales of int8 weights; an alias has those of what it stands for."""
        weights = self.stored(name)
        same = [other for other, values in self._variables.items() if values is weights]
        stored = next((it for it in same if f"{it}_scale" in self._variables), name)
        return self.float32(f"{stored}_scale")

    def _shape(self) -> WhisperShape:
        vocabulary, width = self.stored("decoder/embeddings/weight").shape
        return WhisperShape(
            heads=int(self.stored("decoder/num_heads")),
            encoder_layers=self._count("encoder/layer_{}/ffn/linear_0/weight"),
            decoder_layers=self._count("decoder/layer_{}/ffn/linear_0/weight"),
            width=width,
            n_mels=self.stored("encoder/conv1/weight").shape[1],
            vocabulary=vocabulary,
        )

    def _count(self, name: str) -> int:
        return next(i for i in range(1000) if name.format(i) not in self._variables)


def read_weights(model_dir: str) -> WhisperWeights:
    """The weights of a folder, mapped from its `model.bin`: what is not used is not loaded.

    Raises:
        WeightsError: it is of an older format or no Whisper.
        FileNotFoundError: `model.bin` or `config.json` is missing.
    """
    config = json.loads(Path(model_dir, "config.json").read_bytes())
    with Path(model_dir, "model.bin").open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        variables = _variables(_Reader(content))
    except (struct.error, ValueError, KeyError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"model.bin ends too soon or is garbled ({error})") from error
    return WhisperWeights(variables, config)


class _Reader:
    """Takes values off a buffer's front."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def integer(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self._content, self._at)
        self._at += struct.calcsize(kind)
        return int(value)

    def text(self) -> str:
        return self.take(self.integer("H"))[:-1].tobytes().decode()

    def take(self, count: int) -> memoryview:
        taken = self._content[self._at : self._at + count]
        self._at += count
        return taken


def _variables(reader: _Reader) -> dict[str, NDArray[Any]]:
    if (version := reader.integer("I")) < LEAST_FORMAT:
        raise WeightsError(f"model.bin is of format {version}; {LEAST_FORMAT} and newer are read")
    if (name := reader.text()) != "WhisperSpec":
        raise WeightsError(f"model.bin holds a {name}, not a WhisperSpec")
    reader.integer("I")  # revision of the specification
    variables = dict(_variable(reader) for _ in range(reader.integer("I")))
    for _ in range(reader.integer("I")):
        alias = reader.text()
        variables[alias] = variables[reader.text()]
    return variables


def _variable(reader: _Reader) -> tuple[str, NDArray[Any]]:
    name = reader.text()
    shape = [reader.integer("I") for _ in range(reader.integer("B"))]
    kind = _ELEMENT_TYPES.get(number := reader.integer("B"))
    content = reader.take(reader.integer("I"))
    if kind is None:
        raise WeightsError(f"{name} is of CTranslate2's element type {number}, which is not read")
    return name, np.frombuffer(content, kind).reshape(shape)
