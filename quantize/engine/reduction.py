"""MEAN over any axes.

    y = clamp(zero_y + MultiplyByQuantizedMultiplier(sum(x) - N zero_x, m', s'))

for N elements. 1 / N is combined with the factor (m, s) of scale_x / scale_y in integers: m' = floor(m 2^k / N) and
s' = s - k, with k = floor(log2 N), but at most 32 and at most 31 + s. m' is truncated, not rounded, and may be below
2^30.

Source: QuantizedMeanOrSum in tensorflow/lite/kernels/internal/reference/reduce.h, as EvalQuantizedMean in
tensorflow/lite/kernels/reduce.cc calls it. Versions up to TensorFlow 2.11 rounded differently.
"""

from __future__ import annotations

import math

import numpy as np

from quantize.engine.fixed_point import (
    INT8_MAX,
    INT8_MIN,
    FloatArray,
    Int8Array,
    Multiplier,
    clamp,
    quantize_multiplier,
    ready,
    scale,
)
from quantize.engine.node import Kernel, Node, quantization
from quantize.errors import ModelFileError


def mean(node: Node) -> Kernel:
    """Return the kernel of MEAN."""
    shape, keep = node.input(0).shape, bool(node.option("keep_dims"))
    axes = _axes(node)
    count = math.prod(shape[axis] for axis in axes)
    behind = tuple(axis + 1 for axis in axes)  # the axis of windows comes first
    x, y = quantization(node.input(0)), quantization(node.output)
    factor = mean_multiplier(x.scale / y.scale, count)
    kept = [(1 if axis in axes else size) for axis, size in enumerate(shape) if keep or axis not in axes]

    def integer(x_q: Int8Array, *_: Int8Array) -> Int8Array:
        sums = x_q.sum(axis=behind, dtype=np.int64, keepdims=keep) - count * x.zero_point
        return clamp(scale(sums, factor) + y.zero_point, (INT8_MIN, INT8_MAX))

    def real(values: FloatArray, *_: Int8Array) -> FloatArray:
        return values.mean(axis=behind, keepdims=keep, dtype=np.float32)

    return Kernel(integer, real, tuple(kept), math.prod(shape))


def mean_multiplier(real: float, count: int) -> Multiplier:
    """Return the factor real / count as the reference kernel computes it from the factor of `real`."""
    mantissa, shift = quantize_multiplier(real)
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return ready(np.array((mantissa << more) // count), np.array(shift - more))


def _axes(node: Node) -> tuple[int, ...]:
    shape = node.input(0).shape
    axes = node.constant(1, "INT32").reshape(-1).tolist()
    if not axes or any(not -len(shape) <= axis < len(shape) for axis in axes):
        raise ModelFileError(
            f"{node.name} reduces the axes {axes[:8]} of an operand of shape {shape}. Convert the model again.",
            "axes",
            operator=node.name,
            got=axes[:8],
            shape=shape,
        )
    return tuple(sorted({axis % len(shape) for axis in axes}))
