"""Read a .tflite file: its operators, tensors and constants. No TensorFlow, no interpreter.

A .tflite file is a FlatBuffer with the identifier TFL3. This module reads the few tables that matter here, through
`quantize.tflite.flatbuffer`, which checks every offset against the file's length, so that damaged or hostile bytes
raise `ModelFileError` and nothing else.

Source: the schema at tensorflow/compiler/mlir/lite/schema/schema.fbs (field numbers below follow its order).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.errors import ModelFileError
from quantize.tflite.flatbuffer import File, Table
from quantize.tflite.options import Options, read_options

TENSOR_TYPES = {0: "FLOAT32", 1: "FLOAT16", 2: "INT32", 3: "UINT8", 4: "INT64", 6: "BOOL", 7: "INT16", 9: "INT8"}

OPERATOR_NAMES = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE",
    9: "FULLY_CONNECTED", 11: "L2_NORMALIZATION", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU",
    20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX", 26: "SPACE_TO_DEPTH",
    28: "TANH", 32: "CUSTOM", 34: "PAD", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV", 43: "SQUEEZE",
    45: "STRIDED_SLICE", 47: "EXP", 49: "SPLIT", 53: "CAST", 54: "PRELU", 55: "MAXIMUM", 57: "MINIMUM", 59: "NEG",
    60: "PADV2", 65: "SLICE", 67: "TRANSPOSE_CONV", 70: "EXPAND_DIMS", 73: "LOG", 74: "SUM", 75: "SQRT", 76: "RSQRT",
    77: "SHAPE", 80: "FAKE_QUANT", 82: "REDUCE_MAX", 83: "PACK", 89: "REDUCE_MIN", 92: "SQUARE", 97:
    "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU", 99: "SQUARED_DIFFERENCE", 101: "ABS", 114: "QUANTIZE",
    117: "HARD_SWISH", 123: "SELECT_V2", 126: "BATCH_MATMUL", 130: "BROADCAST_TO", 142: "VAR_HANDLE",
    143: "READ_VARIABLE", 158: "SIGN",
}  # fmt: skip
"""Operators by their code; any other is named OPERATOR_<code>."""


_DTYPES = {
    "FLOAT32": "<f4", "FLOAT16": "<f2", "INT32": "<i4", "UINT8": "u1", "INT64": "<i8", "BOOL": "?", "INT16": "<i2",
    "INT8": "i1",
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        name: As the converter wrote it.
        shape: Sizes, outermost first.
        type: TFLite's name of the element type.
        scales: real = scale * (q - zero_point); one for the tensor, one per slice along `axis`, or none.
        zero_points: As many as scales.
        axis: The quantized dimension, where there are several scales.
        data: A constant's bytes, None where an operator or the caller computes the tensor.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0
    data: bytes | None = field(default=None, repr=False)

    @property
    def array(self) -> NDArray[Any]:
        """The constant as a read-only array of the tensor's type and shape.

        Raises:
            ModelFileError: If the tensor is not a constant, has an unknown type, or its bytes do not fill its shape.
        """
        if self.data is None:
            raise ModelFileError(f"Tensor {self.name!r} is not a constant.", "not_constant", tensor=self.name)
        if self.type not in _DTYPES:
            raise ModelFileError(
                f"Tensor {self.name!r} has the unknown type {self.type}.",
                "unknown_type",
                tensor=self.name,
                got=self.type,
            )
        dtype = np.dtype(_DTYPES[self.type])
        if any(size < 0 for size in self.shape) or math.prod(self.shape) * dtype.itemsize != len(self.data):
            raise ModelFileError(
                f"Tensor {self.name!r} has shape {self.shape} and type {self.type}, but holds {len(self.data)} bytes. "
                "Convert the model again.",
                "wrong_size",
                tensor=self.name,
                shape=self.shape,
                type=self.type,
                got=len(self.data),
            )
        return np.frombuffer(self.data, dtype).reshape(self.shape)


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: TFLite's name, or a custom operator's own.
        version: Version of the operator in TFLite's schema.
        inputs: Indices of tensors; -1 stands for an optional input that is left out.
        outputs: Indices of tensors.
        options: Settings by the names in `quantize.tflite.options`; empty for operators that are not listed there.
    """

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFile:
    """The first sub-graph of a .tflite file, and how many sub-graphs it has."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int = 1


def read_model(model: bytes) -> ModelFile:
    """Return the first sub-graph of a .tflite file.

    Raises:
        ModelFileError: If the bytes are not a .tflite file, or an offset leads outside the file.
    """
    if model[4:8] != b"TFL3":
        raise ModelFileError("This is not a .tflite file: the identifier TFL3 is missing at byte 4.", "not_tflite")
    try:
        return _read_root(model)
    except (struct.error, IndexError, UnicodeDecodeError) as exc:
        raise ModelFileError(
            f"The .tflite file is damaged ({exc}). Convert the model again.", "damaged", reason=str(exc)
        ) from exc


def _read_root(data: bytes) -> ModelFile:
    file = File(data)
    root = Table(file, file.unpack("<I", 0))
    subgraphs = root.tables(2)
    if not subgraphs:
        raise IndexError("no sub-graph")
    graph = subgraphs[0]
    codes = [_operator_code(code) for code in root.tables(1)]
    buffers = [_buffer(table) for table in root.tables(4)]
    tensors = tuple(_tensor(table, buffers) for table in graph.tables(0))
    operators = tuple(_operator(table, codes, len(tensors)) for table in graph.tables(3))
    inputs, outputs = (_indices(graph, number, len(tensors)) for number in (1, 2))
    return ModelFile(tensors, operators, inputs, outputs, len(subgraphs))


def _operator_code(table: Table) -> tuple[str, int]:
    # Codes above 127 are in a later 32-bit field. Writers fill both fields; the larger value is right.
    code = max(table.number(0, "b"), table.number(3, "i"))
    name = OPERATOR_NAMES.get(code, f"OPERATOR_{code}")
    if name == "CUSTOM":
        name = table.text(1) or name
    return name, table.number(2, "i", default=1)


def _buffer(table: Table) -> bytes | None:
    """Return a buffer's bytes; large files hold them behind the tables, with their position and size."""
    start, size = table.number(1, "Q"), table.number(2, "Q")
    data = table.file.bytes(start, size) if start > 1 else table.bytes(0)
    return data or None


def _tensor(table: Table, buffers: list[bytes | None]) -> Tensor:
    quantization = table.table(4)
    code = table.number(1, "b")
    if table.number(10, "I"):
        raise IndexError("a constant in another file")
    return Tensor(
        name=table.text(3),
        shape=table.numbers(0, "i"),
        type=TENSOR_TYPES.get(code, f"TYPE_{code}"),
        scales=quantization.numbers(2, "f") if quantization else (),
        zero_points=quantization.numbers(3, "q") if quantization else (),
        axis=quantization.number(6, "i") if quantization else 0,
        data=buffers[table.number(2, "I")] if buffers else None,
    )


def _operator(table: Table, codes: list[tuple[str, int]], n_tensors: int) -> Operator:
    name, version = codes[table.number(0, "I")]
    inputs, outputs = (_indices(table, number, n_tensors) for number in (1, 2))
    return Operator(name, version, inputs, outputs, read_options(name, table.number(3, "B"), table.table(4)))


def _indices(table: Table, number: int, n_tensors: int) -> tuple[int, ...]:
    indices = table.numbers(number, "i")
    if indices and not (min(indices) >= -1 and max(indices) < n_tensors):
        raise IndexError(f"a tensor index outside 0 to {n_tensors - 1}")
    return indices
