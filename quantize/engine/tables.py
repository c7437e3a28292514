"""Operators with one int8 operand: the operand has 256 codes, so that each operator is a table of 256 results.

    LOGISTIC, TANH  y = clamp(round(f(scale_x (x - zero_x)) / scale_y) + zero_y), in float32
    RELU, RELU6     y = clamp(zero_y + MBQM(x - zero_x, scale_x / scale_y)), within the activation's bounds
    LEAKY_RELU      the same as RELU without bounds, with alpha scale_x / scale_y below zero_x
    ABS             y = clamp(zero_y + MBQM(|x - zero_x|, scale_x / scale_y))
    QUANTIZE        y = clamp(zero_y + MBQM(x - zero_x, scale_x / scale_y))

where MBQM is MultiplyByQuantizedMultiplier. The reference kernel of LOGISTIC is also a table of floats, not the
fixed-point polynomial of reference/integer_ops/logistic.h. The exponential is rounded to float32 from float64; expf in
C may return the next float, which matters only on a tie between two codes.

Source: tensorflow/lite/kernels/activations.cc (PopulateLookupTable, QuantizedReluX), elementwise.cc,
tensorflow/lite/kernels/internal/reference/leaky_relu.h, requantize.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quantize.engine.fixed_point import (
    INT8_MAX,
    INT8_MIN,
    FloatArray,
    Int8Array,
    Int64Array,
    activation_bounds,
    clamp,
    multiplier,
    nearest_half_away,
    scale,
)
from quantize.engine.node import Kernel, Node, Quantization, activate, quantization

_CODES = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
_INT8 = (INT8_MIN, INT8_MAX)


def curve(node: Node) -> Kernel:
    """Return the kernel of LOGISTIC or TANH."""
    function: Callable[[FloatArray], FloatArray] = logistic if node.name == "LOGISTIC" else np.tanh
    x, y = quantization(node.input(0)), quantization(node.output)
    real = np.float32(x.scale) * (_CODES - x.zero_point).astype(np.float32)
    steps = function(real) * (np.float32(1) / np.float32(y.scale))
    codes = nearest_half_away(steps.astype(np.float64)) + y.zero_point
    return _kernel(node, np.clip(codes, *_INT8).astype(np.int8), function)


def logistic(x: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-x)) in float32."""
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-x.astype(np.float64)).astype(np.float32))


def relu(node: Node) -> Kernel:
    """Return the kernel of RELU or RELU6 as an operator of its own."""
    x, y = quantization(node.input(0)), quantization(node.output)
    table = _rescaled(_CODES - x.zero_point, _float_ratio(x, y), y, activation_bounds(node.name, y.scale, y.zero_point))
    return _kernel(node, table, lambda values: activate(values, node.name))


def leaky_relu(node: Node) -> Kernel:
    """Return the kernel of LEAKY_RELU; alpha may have any sign."""
    x, y = quantization(node.input(0)), quantization(node.output)
    alpha = np.float32(float(node.option("alpha")))  # type: ignore[arg-type]
    with np.errstate(over="ignore"):
        negative = float(np.float32(x.scale) * alpha / np.float32(y.scale))
    centred = _CODES - x.zero_point
    table = np.where(centred >= 0, _rescaled(centred, _float_ratio(x, y), y), _rescaled(centred, negative, y))
    return _kernel(node, table, lambda values: np.where(values > 0, values, values * alpha))


def absolute(node: Node) -> Kernel:
    """Return the kernel of ABS."""
    x, y = quantization(node.input(0)), quantization(node.output)
    centred = np.abs(_CODES - x.zero_point)
    if x.scale == y.scale:
        return _kernel(node, clamp(centred + y.zero_point, _INT8), np.abs)
    return _kernel(node, _rescaled(centred, _float_ratio(x, y), y), np.abs)


def requantize(node: Node) -> Kernel:
    """Return the kernel of QUANTIZE from int8 to int8."""
    x, y = quantization(node.input(0)), quantization(node.output)
    return _kernel(node, _rescaled(_CODES - x.zero_point, x.scale / y.scale, y), lambda values: values)


def _float_ratio(x: Quantization, y: Quantization) -> float:
    """Return scale_x / scale_y rounded to float32, as these kernels compute it."""
    return float(np.float32(x.scale) / np.float32(y.scale))


def _rescaled(centred: Int64Array, factor: float, y: Quantization, bounds: tuple[int, int] = _INT8) -> Int8Array:
    return clamp(scale(centred, multiplier(factor)) + y.zero_point, bounds)


def _kernel(node: Node, table: Int8Array, real: Callable[[FloatArray], FloatArray]) -> Kernel:
    return Kernel(lambda x: table.take(x.view(np.uint8)), real, node.input(0).shape)
