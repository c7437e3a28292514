"""Memory that the activations of a .tflite file need. Needs no TensorFlow and no interpreter."""

from __future__ import annotations

import math
from itertools import accumulate

from quantize.tflite.file import ModelFile, Tensor, read_model

_BYTES = {"INT8": 1, "UINT8": 1, "BOOL": 1, "INT16": 2, "FLOAT16": 2, "INT32": 4, "FLOAT32": 4, "INT64": 8}


def peak_activation_bytes(model: bytes) -> int:
    """Return the highest number of bytes of activations that are in use at once, in the file's order of operators.

    A tensor is in use from the operator that writes it to the last operator that reads it; inputs and outputs of one
    operator are in use together. Weights do not count. No memory planner needs less, unless it computes in place. The
    arena of an interpreter is larger: it adds alignment, fragmentation and scratch buffers.

    Raises:
        ModelFileError: If the bytes are not a .tflite file.
    """
    return peak_of_file(read_model(model))


def peak_of_file(file: ModelFile) -> int:
    """Return the same as `peak_activation_bytes`, for a file that was already read."""
    born, last_read = _lifetimes(file)
    changes = [0] * (len(file.operators) + 2)
    for index, step in born.items():
        changes[step] += _size(file.tensors[index])
        changes[last_read[index] + 1] -= _size(file.tensors[index])
    return max(accumulate(changes[: max(1, len(file.operators))]))


def _lifetimes(file: ModelFile) -> tuple[dict[int, int], dict[int, int]]:
    """Return the steps at which each activation is written and last read.

    The model's inputs are in use from the first step, and its outputs until the last.
    """
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
