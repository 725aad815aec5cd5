"""The little of the ONNX file format that reads a model's weights and writes a new graph.

ONNX files are protocol buffers; the numbers of fields are those of onnx.proto. It knows no operator
and no model.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Field = tuple[int, int | str | bytes]
"""A field's number and value; a message is its fields."""
Kind = tuple[str, Sequence[int | str]]
"""A tensor's element type, as numpy calls it, and its shape; a name stands for any length."""

MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators, https://onnxruntime.ai/docs/reference/operators."""

_IR_VERSION = 8
_VARINT, _BYTES = 0, 2
_INTEGER_ATTRIBUTE, _TEXT_ATTRIBUTE, _INTEGERS_ATTRIBUTE = 2, 3, 7
_ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}


class GraphWriter:
    """Collects a graph's constants, and its nodes in the order in which they run."""

    def __init__(self) -> None:
        self._nodes: list[Field] = []
        self._constants: list[Field] = []

    def constant(self, values: NDArray[np.generic] | np.generic) -> str:
        """Add a constant; its name comes back."""
        name = f"constant_{len(self._constants)}"
        self._constants.append((5, _tensor(name, values)))
        return name

    def node(
        self,
        operator: str,
        *inputs: str,
        outputs: Sequence[str] = (),
        domain: str = "",
        **attributes: int | str | Sequence[int],
    ) -> str:
        """Add a node, its outputs named as asked; the name of the first comes back."""
        names = outputs or [f"node_{len(self._nodes)}"]
        fields: list[Field] = [*((1, name) for name in inputs), *((2, name) for name in names)]
        fields.append((4, operator))
        fields.extend((5, _attribute(name, value)) for name, value in attributes.items())
        fields.append((7, domain))
        self._nodes.append((1, _message(fields)))
        return names[0]

    def model(self, opset: int, inputs: Mapping[str, Kind], outputs: Mapping[str, Kind]) -> bytes:
        """All of it as the content of an ONNX file."""
        graph = [*self._nodes, (2, "graph"), *self._constants]
        graph.extend((11, _value(name, *kind)) for name, kind in inputs.items())
        graph.extend((12, _value(name, *kind)) for name, kind in outputs.items())
        opsets = [_message([(2, opset)]), _message([(1, MICROSOFT), (2, 1)])]
        return _message([(1, _IR_VERSION), (7, _message(graph)), *((8, it) for it in opsets)])


def weights_of(model: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 constants of an ONNX file, by name."""
    return dict(
        _read_tensor(tensor)
        for graph in _submessages(model, 7)
        for tensor in _submessages(graph, 5)
        if (2, _ELEMENT_TYPES["float32"]) in _fields(tensor)
    )


def _read_tensor(tensor: bytes) -> tuple[str, NDArray[np.float32]]:
    fields = list(_fields(tensor))
    shape = [value for number, value in fields if number == 1 and isinstance(value, int)]
    (name,), (data,) = _submessages(tensor, 8), _submessages(tensor, 9)
    return name.decode(), np.frombuffer(data, "<f4").reshape(shape)


def _submessages(message: bytes, wanted: int) -> list[bytes]:
    fields = _fields(message)
    return [value for number, value in fields if number == wanted and isinstance(value, bytes)]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        value, position = _read_varint(message, position)
        if key & 7 == _VARINT:
            yield key >> 3, value
        elif key & 7 == _BYTES:
            yield key >> 3, message[position : position + value]
            position += value
        else:
            raise ValueError(f"wire type {key & 7} is not expected in an ONNX file")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _message(fields: Sequence[Field]) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_varint(number << 3 | _VARINT), _varint(value)]
        else:
            content = value.encode() if isinstance(value, str) else value
            parts += [_varint(number << 3 | _BYTES), _varint(len(content)), content]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # a negative one is sent as its two's complement
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _tensor(name: str, values: NDArray[np.generic] | np.generic) -> bytes:
    shape: list[Field] = [(1, length) for length in values.shape]
    data_type = _ELEMENT_TYPES[values.dtype.name]
    return _message([*shape, (2, data_type), (8, name), (9, values.tobytes())])


def _attribute(name: str, value: int | str | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _message([(1, name), (3, value), (20, _INTEGER_ATTRIBUTE)])
    if isinstance(value, str):
        return _message([(1, name), (4, value), (20, _TEXT_ATTRIBUTE)])
    return _message([(1, name), *((8, it) for it in value), (20, _INTEGERS_ATTRIBUTE)])


def _value(name: str, element_type: str, shape: Sequence[int | str]) -> bytes:
    lengths: list[Field] = [
        (1, _message([(1 if isinstance(length, int) else 2, length)])) for length in shape
    ]
    tensor: list[Field] = [(1, _ELEMENT_TYPES[element_type]), (2, _message(lengths))]
    return _message([(1, name), (2, _message([(1, _message(tensor))]))])
