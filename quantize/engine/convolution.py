"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED.

    acc[c] = sum over taps (x - zero_point_x) * (w[c] - zero_point_w) + bias[c]
    y[c]   = clamp(zero_point_y + MultiplyByQuantizedMultiplier(acc[c], M[c]))
    M[c]   = scale_x * scale_w[c] / scale_y

except for FULLY_CONNECTED, whose reference kernel rounds once, in float64, a tie away from zero:

    y[c]   = clamp(zero_point_y + round(acc[c] * M[c]))

Padding holds zero_point_x, which is a real 0. The sum is exact in any order. It is computed in float32 if the largest
possible |acc| is below 2^24, up to which float32 holds every integer, and in float64 otherwise: a matrix product of
floats is many times faster than one of integers.

Source: tensorflow/lite/kernels/internal/reference/integer_ops/conv.h, depthwise_conv.h, fully_connected.h;
PopulateConvolutionQuantizationParams in tensorflow/lite/kernels/kernel_util.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from quantize.engine.node import Kernel, Node, activate, dequantize, quantization
from quantize.engine.windows import Geometry, geometry
from quantize.errors import ModelFileError

Array = NDArray[Any]
Requantize = Callable[[Array], Int8Array]
_FLOAT32_INTEGERS = 2**24
_INT32_INTEGERS = 2**31


@dataclass(frozen=True)
class _Weights:
    """The constants of a convolution.

    Attributes:
        centred: Weights minus their zero point, taps by output channels, in float32 or float64, whichever is exact.
        real: Dequantized weights in the layout of the file.
        bias: Bias in accumulator steps, int64, shape (channels,).
        bias_real: Dequantized bias.
        factors: scale_x * scale_w / scale_y, float64, shape () or (channels,).
    """

    centred: Array
    real: FloatArray
    bias: Int64Array
    bias_real: FloatArray
    factors: NDArray[np.float64]


def conv_2d(node: Node) -> Kernel:
    """Return the kernel of CONV_2D: filter (channels out, height, width, channels in)."""
    weights = _weights(node, channel_axis=0, order=(1, 2, 3, 0))
    out, *taps, c_in = node.input(1).shape
    if len(taps) != 2 or len(node.input(0).shape) != 4:
        raise ModelFileError(
            f"{node.name} needs operands with 4 dimensions, got {node.input(0).shape} and {node.input(1).shape}. "
            "Convert the model again.",
            "dimensions",
            operator=node.name,
            expected=4,
        )
    if c_in != node.input(0).shape[3]:
        raise node.unsupported("in groups")
    place = geometry(node, taps[0], taps[1])
    matrix = np.ascontiguousarray(weights.centred.reshape(-1, out))
    matrix_real = np.ascontiguousarray(weights.real.transpose(1, 2, 3, 0).reshape(-1, out))

    def product(windows: Array, factor: Array) -> Array:
        return windows.reshape(-1, len(factor)) @ factor

    return _kernel(node, weights, place, out, lambda x: product(x, matrix), lambda x: product(x, matrix_real))


def depthwise_conv_2d(node: Node) -> Kernel:
    """Return the kernel of DEPTHWISE_CONV_2D: filter (1, height, width, channels in * depth multiplier)."""
    weights = _weights(node, channel_axis=3, order=(0, 1, 2, 3))
    one, height, width, out = node.input(1).shape
    if one != 1 or len(node.input(0).shape) != 4:
        raise ModelFileError(
            f"{node.name} needs a filter of shape (1, height, width, channels), got {node.input(1).shape}. Convert the "
            "model again.",
            "filter_shape",
            operator=node.name,
            got=node.input(1).shape,
        )
    c_in = node.input(0).shape[3]
    if c_in * node.number("depth_multiplier", least=1) != out:
        raise ModelFileError(
            f"The filter of {node.name} has {out} channels, but needs {c_in} times its depth multiplier. Convert the "
            "model again.",
            "channels",
            operator=node.name,
            got=out,
        )
    place = geometry(node, height, width)
    grouped = (height, width, c_in, out // c_in)

    def product(windows: Array, factor: Array) -> Array:
        return np.einsum("nhwijc,ijcm->nhwcm", windows, factor).reshape(-1, out)

    factor, factor_real = weights.centred.reshape(grouped), weights.real.reshape(grouped)
    return _kernel(node, weights, place, out, lambda x: product(x, factor), lambda x: product(x, factor_real))


def _kernel(
    node: Node,
    weights: _Weights,
    place: Geometry,
    out: int,
    product: Callable[[Array], Array],
    product_real: Callable[[Array], Array],
) -> Kernel:
    """Return the kernel of a convolution of windows; `product` returns its sums, (positions, channels)."""
    source, activation = quantization(node.input(0)), node.activation()
    requantize = _in_fixed_point(node, weights)
    shape = (node.input(0).shape[0], *place.output, out)

    def integer(x: Int8Array, *_: Array) -> Int8Array:
        windows = place.windows(x, weights.centred.dtype, subtract=source.zero_point)
        return requantize(product(windows)).reshape(len(x), *shape)

    def real(x: FloatArray, *_: Array) -> FloatArray:
        sums = product_real(place.windows(x, np.float32)) + weights.bias_real
        return activate(sums, activation).reshape(len(x), *shape)

    return Kernel(integer, real, shape, math.prod(shape[:3]) * weights.centred.size, place.scratch)


def fully_connected(node: Node) -> Kernel:
    """Return the kernel of FULLY_CONNECTED: filter (channels out, channels in)."""
    if node.option("weights_format") != "DEFAULT":
        raise node.unsupported("with shuffled weights")
    weights = _weights(node, channel_axis=0, order=(1, 0))
    c_in, out = weights.centred.shape
    shape = node.input(0).shape
    if math.prod(shape) == 0 or math.prod(shape) % c_in or (shape[-1] != c_in and node.option("keep_num_dims")):
        raise ModelFileError(
            f"{node.name} needs an input with {c_in} channels, got shape {shape}. Convert the model again.",
            "channels",
            operator=node.name,
            got=shape,
        )
    leading = shape[:-1] if node.option("keep_num_dims") else (math.prod(shape) // c_in,)
    source, activation = quantization(node.input(0)), node.activation()
    requantize = _in_floats(node, weights)
    matrix_real = np.ascontiguousarray(weights.real.T)

    def integer(x: Int8Array, *_: Array) -> Int8Array:
        centred = np.subtract(x.reshape(-1, c_in), source.zero_point, dtype=weights.centred.dtype)
        return requantize(centred @ weights.centred).reshape(len(x), *leading, out)

    def real(x: FloatArray, *_: Array) -> FloatArray:
        sums = x.reshape(-1, c_in) @ matrix_real + weights.bias_real
        return activate(sums, activation).reshape(len(x), *leading, out)

    return Kernel(integer, real, (*leading, out), math.prod(leading) * c_in * out, math.prod(shape))


def _weights(node: Node, channel_axis: int, order: tuple[int, ...]) -> _Weights:
    """Return the constants of a convolution, with the filter's axes in `order`.

    Raises:
        ModelFileError: If the constants do not fit each other, or an accumulator could leave int32.
    """
    kernel, tensor = node.constant(1, "INT8"), node.input(1)
    if kernel.ndim != len(order) or kernel.size == 0:
        raise ModelFileError(
            f"{node.name} needs a filter with {len(order)} dimensions, got shape {kernel.shape}. Convert the model "
            "again.",
            "filter_dimensions",
            operator=node.name,
            expected=len(order),
            got=kernel.shape,
        )
    if any(tensor.zero_points) and (node.name != "FULLY_CONNECTED" or len(tensor.scales) > 1):
        raise ModelFileError(
            f"The weights of {node.name} have a zero point other than 0. Convert the model again.",
            "weights_zero_point",
            operator=node.name,
        )
    if len(tensor.scales) > 1 and tensor.axis != channel_axis:
        raise ModelFileError(
            f"The filter of {node.name} has scales along axis {tensor.axis}, but needs them along axis {channel_axis}. "
            "Convert the model again.",
            "scale_axis",
            operator=node.name,
            expected=channel_axis,
            got=tensor.axis,
        )
    real = dequantize(tensor)  # checks the scales
    channels = kernel.shape[channel_axis]
    centred = kernel.astype(np.int64) - (tensor.zero_points[0] if len(tensor.scales) == 1 else 0)
    bias, bias_real = _bias(node, channels)
    source = quantization(node.input(0))
    largest_x = max(INT8_MAX - source.zero_point, source.zero_point - INT8_MIN)
    sums = largest_x * np.abs(centred).sum(axis=tuple(axis for axis in range(len(order)) if axis != channel_axis))
    if (sums + np.abs(bias)).max() >= _INT32_INTEGERS:
        raise ModelFileError(
            f"The weights and the bias of {node.name} are so large that its accumulators can leave int32. Convert the "
            "model again.",
            "accumulator",
            operator=node.name,
        )
    dtype = np.float32 if sums.max() < _FLOAT32_INTEGERS else np.float64
    factors = source.scale * np.array(tensor.scales) / quantization(node.output).scale
    factors = factors if len(factors) > 1 else factors.reshape(())
    return _Weights(np.ascontiguousarray(centred.transpose(order).astype(dtype)), real, bias, bias_real, factors)


def _bias(node: Node, channels: int) -> tuple[Int64Array, FloatArray]:
    """Return the bias in accumulator steps and in real values; zeros if there is none."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return np.zeros(channels, np.int64), np.zeros(channels, np.float32)
    bias = node.constant(2, "INT32")
    if bias.shape != (channels,):
        raise ModelFileError(
            f"{node.name} needs a bias of shape ({channels},), got {bias.shape}. Convert the model again.",
            "bias_shape",
            operator=node.name,
            expected=channels,
            got=bias.shape,
        )
    return bias.astype(np.int64), dequantize(node.input(2))


def _in_fixed_point(node: Node, weights: _Weights) -> Requantize:
    """Return the function from sums, (positions, channels), to the result's codes for the convolutions."""
    target = quantization(node.output)
    bounds = activation_bounds(node.activation(), target.scale, target.zero_point)
    factors = multiplier(weights.factors)

    def requantize(sums: Array) -> Int8Array:
        accumulators = sums.astype(np.int64)
        accumulators += weights.bias
        scaled = scale(accumulators, factors)
        scaled += target.zero_point
        return clamp(scaled, bounds)

    return requantize


def _in_floats(node: Node, weights: _Weights) -> Requantize:
    """Return the function from sums, (positions, channels), to the result's codes for FULLY_CONNECTED."""
    target = quantization(node.output)
    low, high = activation_bounds(node.activation(), target.scale, target.zero_point)
    if not np.isfinite(weights.factors).all():
        raise OverflowError("an infinite factor")

    def requantize(sums: Array) -> Int8Array:
        codes = nearest_half_away((sums.astype(np.float64) + weights.bias) * weights.factors)
        return np.clip(codes + target.zero_point, low, high).astype(np.int8)

    return requantize
