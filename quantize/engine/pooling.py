"""AVERAGE_POOL_2D and MAX_POOL_2D: one scale for operand and result.

    AVERAGE  y = sum(x) / N to the nearest integer, a tie away from zero, N the taps that lie on the input
    MAX      y = max(x) over the taps that lie on the input

then clamped by the fused activation. The zero point is not needed: codes are averaged directly.

Source: tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h.
"""

from __future__ import annotations

import math

import numpy as np

from quantize.engine.fixed_point import INT8_MIN, FloatArray, Int8Array, activation_bounds, clamp
from quantize.engine.node import Kernel, Node, activate, quantization
from quantize.engine.windows import Geometry, geometry
from quantize.errors import ModelFileError


def average_pool_2d(node: Node) -> Kernel:
    """Return the kernel of AVERAGE_POOL_2D."""
    place, bounds, activation = _prepare(node)
    shape = node.input(0).shape
    taps = place.windows(np.ones((1, 1, *shape[1:]), np.int8), np.int64).sum(axis=(3, 4))
    result = (shape[0], *place.output, place.channels)

    def integer(x: Int8Array) -> Int8Array:
        sums = place.windows(x, np.int64).sum(axis=(3, 4))
        # Integer division in C truncates: half the divisor is added away from zero first.
        means = clamp(np.sign(sums) * ((np.abs(sums) + taps // 2) // taps), bounds)
        return means.reshape(len(x), *result)

    def real(x: FloatArray) -> FloatArray:
        means = (place.windows(x, np.float32).sum(axis=(3, 4)) / taps).astype(np.float32)
        return activate(means, activation).reshape(len(x), *result)

    return _kernel(node, place, integer, real)


def max_pool_2d(node: Node) -> Kernel:
    """Return the kernel of MAX_POOL_2D."""
    place, bounds, activation = _prepare(node)
    result = (node.input(0).shape[0], *place.output, place.channels)

    def integer(x: Int8Array) -> Int8Array:
        largest = place.windows(x, np.int8, padding=INT8_MIN).max(axis=(3, 4))
        return np.clip(largest, *bounds).astype(np.int8).reshape(len(x), *result)

    def real(x: FloatArray) -> FloatArray:
        largest = place.windows(x, np.float32, padding=-np.inf).max(axis=(3, 4))
        return activate(largest, activation).reshape(len(x), *result)

    return _kernel(node, place, integer, real)


def _prepare(node: Node) -> tuple[Geometry, tuple[int, int], str]:
    node.same_quantization()
    if len(node.input(0).shape) != 4:
        raise ModelFileError(
            f"{node.name} needs an operand with 4 dimensions, got {node.input(0).shape}. Convert the model again.",
            "dimensions",
            operator=node.name,
            expected=4,
        )
    y = quantization(node.output)
    place = geometry(node, node.number("filter_h", least=1), node.number("filter_w", least=1))
    return place, activation_bounds(node.activation(), y.scale, y.zero_point), node.activation()


def _kernel(node: Node, place: Geometry, integer: object, real: object) -> Kernel:
    shape = (node.input(0).shape[0], *place.output, place.channels)
    return Kernel(integer, real, shape, math.prod(shape) * math.prod(place.size), place.scratch)  # type: ignore[arg-type]
