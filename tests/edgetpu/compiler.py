"""A stand-in for edgetpu_compiler: `compiler.py -s -o FOLDER MODEL.tflite`, for the library in `standin.c`.

Writes MODEL_edgetpu.tflite, one `edgetpu-custom-op` with the whole network as a program for that library, and prints a
table as the real one does. Elementwise operators become tables, which the NumPy engine fills.
"""

from __future__ import annotations

import math
import struct
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from quantize.engine.engine import BUILDERS
from quantize.engine.fixed_point import activation_bounds, quantize_multiplier
from quantize.engine.node import Node
from quantize.engine.reduction import mean_multiplier
from quantize.tflite.file import ModelFile, Operator, read_model

COPY, TABLE, TABLE_OF_TWO, CONVOLVE, AVERAGE = range(5)
CODES = np.arange(-128, 128).astype(np.int8)


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def packed(codes: Any) -> bytes:
    data = np.ascontiguousarray(codes, np.int8).tobytes()
    return data + bytes(-len(data) % 4)


def program(model: bytes) -> bytes:
    """Return the network as the words that `standin.c` reads."""
    file = read_model(model)
    used = [file.inputs[0]]
    steps = b""
    for operator in file.operators:
        steps += step(file, operator, used)
    buffers = b""
    for index in used:
        tensor = file.tensors[index]
        buffers += words(math.prod(tensor.shape), int(tensor.data is not None))
        buffers += b"" if tensor.data is None else packed(tensor.array)
    end = used.index(file.outputs[0])
    return words(len(used), len(file.operators), 0, end) + buffers + steps


def step(file: ModelFile, operator: Operator, used: list[int]) -> bytes:
    name, (target,) = operator.name, operator.outputs
    operands = operator.inputs[:2] if name in ("ADD", "SUB", "MUL", "MAXIMUM") else operator.inputs[:1]
    for index in (*operands, target):
        if index not in used:
            used.append(index)
    places = [used.index(index) for index in operands]
    a, b = places[0], places[-1]
    node = Node(operator, tuple(file.tensors[i] if i >= 0 else None for i in operator.inputs), file.tensors[target])
    kind, detail = KINDS[name](node)
    return words(kind, a, b, used.index(target)) + detail


def of_codes(node: Node, n_operands: int) -> Any:
    """Return what an elementwise operator makes of every code, or of every pair of codes."""
    one = [replace(node.input(number), shape=(1, 1), data=None) for number in range(n_operands)]
    small = Node(node.operator, tuple(one), replace(node.output, shape=(1, 1)))
    grid = [codes.reshape(-1, 1, 1) for codes in np.meshgrid(*[CODES] * n_operands, indexing="ij")]
    return BUILDERS[node.name](small).integer(*grid)


def copied(node: Node) -> tuple[int, bytes]:
    return COPY, b""


def tabled(node: Node) -> tuple[int, bytes]:
    return TABLE, packed(of_codes(node, 1))


def tabled_of_two(node: Node) -> tuple[int, bytes]:
    shape = four(node.output.shape)
    strides = [strides_of(four(node.input(number).shape)) for number in (0, 1)]
    detail = words(math.prod(shape), *shape, *strides[0], *strides[1])
    return TABLE_OF_TWO, detail + packed(of_codes(node, 2))


def four(shape: Sequence[int]) -> list[int]:
    return [1] * (4 - len(shape)) + list(shape)


def strides_of(shape: list[int]) -> list[int]:
    return [0 if size == 1 else math.prod(shape[axis + 1 :]) for axis, size in enumerate(shape)]


def convolved(node: Node) -> tuple[int, bytes]:
    x, kernel, y = node.input(0), node.input(1), node.output
    (_, _, steps_in, c_in), (_, _, steps, c_out) = x.shape, y.shape
    taps, stride = kernel.shape[2], int(str(node.option("stride_w")))
    padding = max((steps - 1) * stride + taps - steps_in, 0) if node.option("padding") == "SAME" else 0
    low, high = activation_bounds(node.activation(), y.scales[0], y.zero_points[0])
    factors = [x.scales[0] * scale / y.scales[0] for scale in kernel.scales]
    pairs = [quantize_multiplier(factor) for factor in (factors if len(factors) > 1 else factors * c_out)]
    detail = words(
        steps_in, c_in, steps, c_out, taps, stride, padding // 2, x.zero_points[0], y.zero_points[0], low, high
    )  # fmt: skip
    detail += packed(kernel.array) + words(*node.constant(2, "INT32").tolist())
    return CONVOLVE, detail + words(*(pair[0] for pair in pairs), *(pair[1] for pair in pairs))


def averaged(node: Node) -> tuple[int, bytes]:
    x, y = node.input(0), node.output
    _, _, steps, channels = x.shape
    factor = mean_multiplier(x.scales[0] / y.scales[0], steps)
    shift = int(factor.left) - int(factor.right)
    return AVERAGE, words(steps, channels, x.zero_points[0], y.zero_points[0], int(factor.mantissa), shift)


KINDS = {
    "RESHAPE": copied,
    "LOGISTIC": tabled,
    "RELU": tabled,
    "ADD": tabled_of_two,
    "SUB": tabled_of_two,
    "MUL": tabled_of_two,
    "MAXIMUM": tabled_of_two,
    "CONV_2D": convolved,
    "MEAN": averaged,
}


def compiled(model: bytes) -> bytes:
    """Return the file with one custom operator in the place of all of the model's."""
    whole = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = whole.subgraphs[0]
    ends = [graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]]
    for tensor in ends:
        tensor.buffer = 0
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version = 32, 32, "edgetpu-custom-op", 1
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    operator.customOptions = np.frombuffer(program(model), np.uint8)
    graph.tensors, graph.inputs, graph.outputs, graph.operators = ends, [0], [1], [operator]
    whole.operatorCodes, whole.buffers, whole.metadata, whole.signatureDefs = [code], [schema.BufferT()], None, None
    builder = Builder(1 << 20)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def main(arguments: list[str]) -> None:
    source = Path(arguments[-1])
    model = source.read_bytes()
    folder = Path(arguments[arguments.index("-o") + 1])
    (folder / f"{source.stem}_edgetpu.tflite").write_bytes(compiled(model))
    counts = Counter(operator.name for operator in read_model(model).operators)
    print("Edge TPU Compiler version 16.0.384591198\n\nOperator                       Count      Status\n")
    for name, count in counts.items():
        print(f"{name:31}{count:<11}Mapped to Edge TPU")


if __name__ == "__main__":
    main(sys.argv[1:])
