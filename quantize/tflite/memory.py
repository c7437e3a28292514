"""How much memory a .tflite file's activations need. No TensorFlow, no interpreter."""

from __future__ import annotations

import math
from itertools import accumulate

from quantize.tflite.file import ModelFile, Tensor, read_model

_BYTES = {"INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "FLOAT16": 2, "INT32": 4, "FLOAT32": 4, "INT64": 8}


def peak_activation_bytes(model: bytes) -> int:
    """Return the most bytes of activations alive at once, operators run in the file's order.

    A tensor lives from the operator that writes it to the last one that reads it; an operator's inputs and outputs are
    alive together. Weights do not count. No planner can do with less, except where it computes in place; an
    interpreter's arena is larger by alignment, fragmentation and scratch buffers.

    Raises:
        ModelFileError: If the bytes are not a .tflite file.
    """
    return peak_of_file(read_model(model))


def peak_of_file(file: ModelFile) -> int:
    """Return what `peak_activation_bytes` does, of a file that was read already."""
    born, last_read = _lifetimes(file)
    changes = [0] * (len(file.operators) + 2)
    for index, step in born.items():
        changes[step] += _size(file.tensors[index])
        changes[last_read[index] + 1] -= _size(file.tensors[index])
    return max(accumulate(changes[: max(1, len(file.operators))]))


def _lifetimes(file: ModelFile) -> tuple[dict[int, int], dict[int, int]]:
    """Return the steps at which each activation is written and last needed; the model's ends live at the ends."""
    born = {index: 0 for index in file.inputs}
    for step, operator in enumerate(file.operators):
        born.update({index: step for index in operator.outputs})
    last_read = dict(born)
    for step, operator in enumerate(file.operators):
        last_read.update({index: step for index in operator.inputs if index in born})
    last_read.update({index: len(file.operators) for index in file.outputs})
    return born, last_read


def _size(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * _BYTES.get(tensor.type, 4)
