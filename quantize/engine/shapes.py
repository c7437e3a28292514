"""RESHAPE, CONCATENATION and PAD: codes are moved and never changed, so that all tensors share one scale.

Source: tensorflow/lite/kernels/reshape.cc, concatenation.cc, pad.cc.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quantize.engine.fixed_point import FloatArray, Int8Array
from quantize.engine.node import Kernel, Node, Shape, quantization
from quantize.errors import ModelFileError


def reshape(node: Node) -> Kernel:
    """Return the kernel of RESHAPE; the shape of the result is the one in the file."""
    node.same_quantization()
    shape = node.output.shape
    if math.prod(shape) != math.prod(node.input(0).shape):
        raise ModelFileError(
            f"{node.name} turns shape {node.input(0).shape} into {shape}, which has another number of elements. "
            "Convert the model again.",
            "element_count",
            operator=node.name,
            expected=node.input(0).shape,
            got=shape,
        )

    def moved(x: Int8Array, *_: Int8Array) -> Int8Array:
        return x.reshape(len(x), *shape)

    return Kernel(moved, moved, shape)  # type: ignore[arg-type]  # the same for both types


def concatenation(node: Node) -> Kernel:
    """Return the kernel of CONCATENATION."""
    node.same_quantization()
    shapes = [node.input(index).shape for index in range(len(node.inputs))]
    if node.activation() != "NONE" or any(node.input(index).data is not None for index in range(len(shapes))):
        raise node.unsupported("with a fused activation or a constant")
    axis = int(node.option("axis"))  # type: ignore[arg-type]
    if not -len(shapes[0]) <= axis < len(shapes[0]) or len({len(shape) for shape in shapes}) != 1:
        raise ModelFileError(
            f"{node.name} cannot join shapes {shapes[:4]} along axis {axis}: they need the same number of dimensions, "
            "and the axis must be one of them. Convert the model again.",
            "operand_dimensions",
            operator=node.name,
            axis=axis,
        )
    axis %= len(shapes[0])
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise ModelFileError(
            f"{node.name} cannot join shapes {shapes[:4]} along axis {axis}: their other axes differ. Convert the "
            "model again.",
            "operand_sizes",
            operator=node.name,
            axis=axis,
        )
    shape = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def joined(*parts: Int8Array) -> Int8Array:
        return np.concatenate(parts, axis=axis + 1)  # the axis of windows comes first

    return Kernel(joined, joined, shape)  # type: ignore[arg-type]  # the same for both types


def pad(node: Node) -> Kernel:
    """Return the kernel of PAD with real zeros."""
    node.same_quantization()
    shape, widths = node.input(0).shape, _widths(node)
    zero = quantization(node.output).zero_point
    padded: Shape = tuple(size + sum(width) for size, width in zip(shape, widths, strict=True))

    def integer(x: Int8Array, *_: Int8Array) -> Int8Array:
        return np.pad(x, [(0, 0), *widths], constant_values=zero)

    def real(x: FloatArray, *_: Int8Array) -> FloatArray:
        return np.pad(x, [(0, 0), *widths])

    return Kernel(integer, real, padded)


def _widths(node: Node) -> list[tuple[int, int]]:
    """Return the elements before and after along each axis."""
    widths: NDArray[np.int32] = node.constant(1, "INT32")
    if widths.shape != (len(node.input(0).shape), 2) or widths.min() < 0:
        raise ModelFileError(
            f"{node.name} needs two widths of at least 0 for each axis, got an array of shape {widths.shape}. Convert "
            "the model again.",
            "pad_widths",
            operator=node.name,
            got=widths.shape,
        )
    return [(int(before), int(after)) for before, after in widths]
