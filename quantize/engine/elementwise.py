"""ADD, SUB, MUL, MAXIMUM and MINIMUM of two int8 operands, one of which may be broadcast.

    ADD, SUB: s   = 2 max(scale_a, scale_b)
              sum = MBQM((a - zero_a) 2^20, scale_a / s) +- MBQM((b - zero_b) 2^20, scale_b / s)
              y   = clamp(zero_y + MBQM(sum, s / (2^20 scale_y)))
    MUL:      y   = clamp(zero_y + MBQM((a - zero_a) (b - zero_b), scale_a scale_b / scale_y))

where MBQM is MultiplyByQuantizedMultiplier. There are 65,536 pairs of codes: the formula is evaluated once for all of
them, and the operator then looks up its results.

Source: tensorflow/lite/kernels/add.cc, sub.cc, mul.cc, maximum_minimum.cc and
tensorflow/lite/kernels/internal/reference/integer_ops/add.h, mul.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantize.engine.fixed_point import (
    FloatArray,
    Int8Array,
    Int64Array,
    activation_bounds,
    clamp,
    multiplier,
    scale,
)
from quantize.engine.node import Kernel, Node, Shape, activate, quantization
from quantize.errors import ModelFileError

LEFT_SHIFT = 20
"""Bits that the operands of ADD and SUB are shifted left by: their 9 bits and these fit int32."""

_CODES = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
"""The int8 code of each byte."""


def add(node: Node) -> Kernel:
    """Return the kernel of ADD or SUB."""
    sign = -1 if node.name == "SUB" else 1
    a, b, y = quantization(node.input(0)), quantization(node.input(1)), quantization(node.output)
    twice_max = 2 * max(a.scale, b.scale)
    to_output = twice_max / (2**LEFT_SHIFT * y.scale)
    if not to_output < 1:
        raise ModelFileError(
            f"The operands of {node.name} reach beyond 2^19 steps of its result. Convert the model again.",
            "operand_scale",
            operator=node.name,
        )
    factor_a, factor_b = multiplier(a.scale / twice_max), multiplier(b.scale / twice_max)
    factor_y = multiplier(to_output)
    bounds = activation_bounds(node.activation(), y.scale, y.zero_point)

    def codes(a_q: Int64Array, b_q: Int64Array) -> Int8Array:
        scaled_a = scale((a_q - a.zero_point) << LEFT_SHIFT, factor_a)
        scaled_b = scale((b_q - b.zero_point) << LEFT_SHIFT, factor_b)
        return clamp(scale(scaled_a + sign * scaled_b, factor_y) + y.zero_point, bounds)

    real = np.subtract if node.name == "SUB" else np.add
    return _kernel(node, codes, real)


def mul(node: Node) -> Kernel:
    """Return the kernel of MUL."""
    a, b, y = quantization(node.input(0)), quantization(node.input(1)), quantization(node.output)
    factor = multiplier(float(np.float32(a.scale) * np.float32(b.scale) / np.float32(y.scale)))
    bounds = activation_bounds(node.activation(), y.scale, y.zero_point)

    def codes(a_q: Int64Array, b_q: Int64Array) -> Int8Array:
        return clamp(scale((a_q - a.zero_point) * (b_q - b.zero_point), factor) + y.zero_point, bounds)

    return _kernel(node, codes, np.multiply)


def extremum(node: Node) -> Kernel:
    """Return the kernel of MAXIMUM or MINIMUM, which compare codes of one scale."""
    node.same_quantization()
    chosen = np.maximum if node.name == "MAXIMUM" else np.minimum
    shape, align = _broadcast(node)

    def chosen_of(a: Any, b: Any) -> Any:
        return chosen(*align(a, b))

    return Kernel(chosen_of, chosen_of, shape)


def _kernel(
    node: Node, codes: Callable[[Int64Array, Int64Array], Int8Array], operation: Callable[..., FloatArray]
) -> Kernel:
    """Return a kernel that looks up the codes of each pair."""
    (shape, align), activation = _broadcast(node), node.activation()
    table = codes(_CODES[:, None], _CODES[None, :]).reshape(-1)

    def integer(a_q: Int8Array, b_q: Int8Array) -> Int8Array:
        a_q, b_q = align(a_q, b_q)
        pairs = a_q.view(np.uint8).astype(np.intp)
        pairs <<= 8
        return table.take(pairs + b_q.view(np.uint8))

    def real(a: FloatArray, b: FloatArray) -> FloatArray:
        return activate(operation(*align(a, b)), activation)

    return Kernel(integer, real, shape)


def _broadcast(node: Node) -> tuple[Shape, Callable[[Any, Any], tuple[Any, Any]]]:
    """Return the shape of the result, and a function that aligns the operands.

    The function inserts axes of size 1 behind the axis of windows into a computed operand with fewer axes.

    Raises:
        ModelFileError: If the shapes of the operands cannot be broadcast.
    """
    operands = (node.input(0), node.input(1))
    try:
        shape: Shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    except ValueError as exc:
        raise ModelFileError(
            f"The operands of {node.name} have shapes {operands[0].shape} and {operands[1].shape}, which do not fit "
            "each other. Convert the model again.",
            "operand_shapes",
            operator=node.name,
            first=operands[0].shape,
            second=operands[1].shape,
        ) from exc
    ones = [(1,) * (len(shape) - len(operand.shape)) if operand.data is None else () for operand in operands]

    def align(a: Any, b: Any) -> tuple[Any, Any]:
        first, second = (
            x.reshape(len(x), *more, *x.shape[1:]) if more else x for x, more in zip((a, b), ones, strict=True)
        )
        return first, second

    return shape, align
