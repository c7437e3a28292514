"""Read what a .tflite file says about itself: operators and tensors. No TensorFlow, no interpreter.

A .tflite file is a FlatBuffer with the identifier TFL3. Tables point to a vtable of field offsets; this module reads
the few tables that matter here and checks every offset against the file's length, so that damaged or hostile bytes
raise `ModelFileError` and nothing else.

Source: the schema at tensorflow/compiler/mlir/lite/schema/schema.fbs (field numbers below follow its order).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from quantize.errors import ModelFileError

TENSOR_TYPES = {0: "FLOAT32", 1: "FLOAT16", 2: "INT32", 3: "UINT8", 4: "INT64", 6: "BOOL", 7: "INT16", 9: "INT8"}

OPERATOR_NAMES = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE",
    9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6", 22: "RESHAPE",
    25: "SOFTMAX", 28: "TANH", 32: "CUSTOM", 34: "PAD", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV",
    43: "SQUEEZE", 45: "STRIDED_SLICE", 47: "EXP", 53: "CAST", 55: "MAXIMUM", 57: "MINIMUM", 59: "NEG", 60: "PADV2",
    65: "SLICE", 70: "EXPAND_DIMS", 73: "LOG", 74: "SUM", 75: "SQRT", 76: "RSQRT", 77: "SHAPE", 80: "FAKE_QUANT",
    83: "PACK", 92: "SQUARE", 98: "LEAKY_RELU", 99: "SQUARED_DIFFERENCE", 101: "ABS", 114: "QUANTIZE",
    117: "HARD_SWISH", 123: "SELECT_V2", 126: "BATCH_MATMUL", 130: "BROADCAST_TO", 142: "VAR_HANDLE",
    143: "READ_VARIABLE", 158: "SIGN",
}  # fmt: skip
"""Operators that our networks, or networks gone wrong, are met with; any other is named OPERATOR_<code>."""

_MAX_ITEMS = 100_000
"""More tensors or operators than this is no network for a gateway."""


@dataclass(frozen=True)
class Tensor:
    """One tensor: shape, TFLite type name, and its quantization (empty where it has none)."""

    name: str
    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


@dataclass(frozen=True)
class Operator:
    """One operator: its TFLite name and version, and the indices of its tensors (-1: an optional input left out)."""

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class ModelFile:
    """The first sub-graph of a .tflite file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_model(model: bytes) -> ModelFile:
    """Return what the .tflite file says about its first sub-graph.

    Raises:
        ModelFileError: If the bytes are no .tflite file or an offset leads outside of them.
    """
    if model[4:8] != b"TFL3":
        raise ModelFileError("Expected a .tflite file (identifier TFL3 at byte 4), got other bytes.")
    try:
        return _read_root(model)
    except (struct.error, IndexError, UnicodeDecodeError) as exc:
        raise ModelFileError(
            f"Expected a whole .tflite file, got a damaged one ({exc}). Convert the model again."
        ) from exc


class _File:
    """The bytes of a file, and how many of them its vectors may still claim.

    In an honest file no two vectors share bytes. In a hostile one a thousand operators can point to the same thousand
    indices, so the vectors together may claim no more bytes than there are: that bounds the work.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._unclaimed = len(data)

    def unpack(self, kind: str, position: int) -> int:
        if position < 0:
            raise IndexError(f"an offset to byte {position}")
        value: int = struct.unpack_from(kind, self.data, position)[0]
        return value

    def claim(self, start: int, count: int, item_size: int) -> None:
        """Raise IndexError unless a vector of so many items can begin at byte `start`."""
        size = count * item_size
        if count > _MAX_ITEMS or start + size > len(self.data) or size > self._unclaimed:
            raise IndexError(f"a vector of {count} items at byte {start}")
        self._unclaimed -= size


@dataclass(frozen=True)
class _Table:
    """A FlatBuffer table at `position`; fields by their number in the schema."""

    file: _File
    position: int

    def offset(self, field: int) -> int | None:
        """Return the position of a field's value, None where the field is absent and its default holds."""
        vtable = self.position - self.file.unpack("<i", self.position)
        size = self.file.unpack("<H", vtable)
        if 4 + 2 * field >= size:
            return None
        relative = self.file.unpack("<H", vtable + 4 + 2 * field)
        return self.position + relative if relative else None

    def number(self, field: int, kind: str, default: int = 0) -> int:
        position = self.offset(field)
        return default if position is None else self.file.unpack("<" + kind, position)

    def table(self, field: int) -> _Table | None:
        position = self.offset(field)
        return None if position is None else _Table(self.file, position + self.file.unpack("<I", position))

    def _vector(self, field: int, item_size: int) -> tuple[int, int]:
        """Return (first item's position, number of items), checked against the file."""
        position = self.offset(field)
        if position is None:
            return 0, 0
        start = position + self.file.unpack("<I", position) + 4
        count = self.file.unpack("<I", start - 4)
        self.file.claim(start, count, item_size)
        return start, count

    def numbers(self, field: int, kind: str) -> tuple[int, ...]:
        start, count = self._vector(field, struct.calcsize(kind))
        return struct.unpack_from(f"<{count}{kind}", self.file.data, start) if count else ()

    def tables(self, field: int) -> list[_Table]:
        start, count = self._vector(field, 4)
        positions = range(start, start + 4 * count, 4)
        return [_Table(self.file, position + self.file.unpack("<I", position)) for position in positions]

    def text(self, field: int) -> str:
        start, count = self._vector(field, 1)
        return self.file.data[start : start + count].decode()


def _read_root(data: bytes) -> ModelFile:
    file = _File(data)
    root = _Table(file, file.unpack("<I", 0))
    subgraphs = root.tables(2)
    if not subgraphs:
        raise IndexError("no sub-graph")
    graph = subgraphs[0]
    codes = [_operator_code(code) for code in root.tables(1)]
    tensors = tuple(_tensor(table) for table in graph.tables(0))
    operators = tuple(_operator(table, codes, len(tensors)) for table in graph.tables(3))
    ends = [_indices(graph, field, len(tensors)) for field in (1, 2)]
    return ModelFile(tensors, operators, *ends)


def _operator_code(table: _Table) -> tuple[str, int]:
    # Codes above 127 live in a later 32-bit field; writers fill both, and the larger one is right.
    code = max(table.number(0, "b"), table.number(3, "i"))
    return OPERATOR_NAMES.get(code, f"OPERATOR_{code}"), table.number(2, "i", default=1)


def _tensor(table: _Table) -> Tensor:
    quantization = table.table(4)
    code = table.number(1, "b")
    return Tensor(
        name=table.text(3),
        shape=table.numbers(0, "i"),
        type=TENSOR_TYPES.get(code, f"TYPE_{code}"),
        scales=quantization.numbers(2, "f") if quantization else (),
        zero_points=quantization.numbers(3, "q") if quantization else (),
    )


def _operator(table: _Table, codes: list[tuple[str, int]], n_tensors: int) -> Operator:
    name, version = codes[table.number(0, "I")]
    return Operator(name, version, _indices(table, 1, n_tensors), _indices(table, 2, n_tensors))


def _indices(table: _Table, field: int, n_tensors: int) -> tuple[int, ...]:
    indices = table.numbers(field, "i")
    if indices and not (min(indices) >= -1 and max(indices) < n_tensors):
        raise IndexError(f"a tensor index outside 0 to {n_tensors - 1}")
    return indices
