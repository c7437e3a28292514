"""Fake quantization: the rounding of int8 in floating point, so that gradients pass through it.

    scale = (high - low) / 255,   zero_point = round(-128 - low / scale)
    q = clip(round(x / scale) + zero_point, -128, 127),   fake_quant(x) = scale * (q - zero_point)

`low` and `high` are moved so that 0 is a whole step: zero padding and relu then cause no error. The gradient
passes rounding unchanged; where x saturates it goes to the end of the range instead, so that ranges are learned.
Weights are quantized per output channel to -127 to 127 about 0, as int8 convolutions require.

TFLite's conditions on ranges: a reshape shares the range of its operand, LOGISTIC always has [0, 255/256], and biases
are int32 at the product of input and weight scale, so that they need no rounding here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from keras import ops

from quantize.errors import CalibrationError
from quantize.network.graph import CONVOLUTIONS, Graph, Step, Tensor

Ranges = Mapping[str, tuple[float, float]]
"""Name of a step -> the lowest and the highest value of its result."""

LEVELS = 255
SIGMOID_RANGE = (0.0, 255 / 256)
_LEAST_WIDTH = 1e-6
"""Lowest width of a range, so that a constant tensor has a scale."""


def nudged_range(low: float, high: float) -> tuple[float, float]:
    """Return the range moved so that 0 lies on a whole step of (high - low) / 255.

    Raises:
        CalibrationError: If `low` or `high` is not finite.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CalibrationError(
            f"A tensor of the network takes values from {low} to {high}, which is not finite. Check the recordings.",
            "range_not_finite",
            low=low,
            high=high,
        )
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, _LEAST_WIDTH) / LEVELS
    below = round(-low / scale)
    return -below * scale, (LEVELS - below) * scale


def fake_quant(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return x rounded to the 256 steps from low to high.

    Args:
        x: Values of any shape.
        low: Lower end of the range, a scalar tensor with a scalar gradient.
        high: Upper end of the range, a scalar tensor with a scalar gradient.
    """
    low, high = ops.minimum(low, 0.0), ops.maximum(high, 0.0)
    scale = ops.stop_gradient(ops.maximum(high - low, _LEAST_WIDTH) / LEVELS)
    steps_below = ops.round(ops.stop_gradient(-low) / scale)
    low = low + ops.stop_gradient(-steps_below * scale - low)
    high = high + ops.stop_gradient((LEVELS - steps_below) * scale - high)
    inside = ops.minimum(ops.maximum(x, low), high)
    rounded = (ops.round(inside / scale + steps_below) - steps_below) * scale
    return inside + ops.stop_gradient(rounded - inside)


def quantise_results(ends: Mapping[str, tuple[Tensor, Tensor]]) -> Callable[[Step, Tensor], Tensor]:
    """Return a function that rounds each step's result like its int8 tensor, for `quantize.network.graph.evaluate`.

    Args:
        ends: Name of a step -> both ends of its range. A reshape needs none: its operand is already rounded.
    """

    def quantise(step: Step, value: Tensor) -> Tensor:
        return value if step.op == "reshape" else fake_quant(value, *ends[step.name])

    return quantise


def fake_quant_kernel(kernel: Tensor, op: str) -> Tensor:
    """Return a kernel rounded to 255 steps about 0 per output channel.

    Args:
        kernel: Kernel in the layout of a `Step` with this op.
        op: "conv", "depthwise" or "dense".
    """
    axes = (0, 1) if op == "depthwise" else tuple(range(len(kernel.shape) - 1))
    scale = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), _LEAST_WIDTH) / 127
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


def fake_quant_constant(constant: Tensor) -> Tensor:
    """Return the numbers of an offset or a factor, rounded to the 256 steps of their own range."""
    return fake_quant(constant, ops.stop_gradient(ops.min(constant)), ops.stop_gradient(ops.max(constant)))


def quantised_parameters(graph: Graph, parameters: Mapping[tuple[str, str], Tensor]) -> dict[tuple[str, str], Tensor]:
    """Return all numbers of a graph rounded as in the int8 file."""
    ops_of = {step.name: step.op for step in graph}
    return {key: _quantised(ops_of[key[0]], key[1], numbers) for key, numbers in parameters.items()}


def _quantised(op: str, part: str, numbers: Tensor) -> Tensor:
    if op in CONVOLUTIONS:
        return fake_quant_kernel(numbers, op) if part == "kernel" else numbers
    return fake_quant_constant(numbers)


def check_ranges(graph: Graph, ranges: Ranges) -> None:
    """Raise CalibrationError unless every step has a finite range wider than 0 that holds 0."""
    for step in graph:
        low, high = ranges.get(step.name, (np.nan, np.nan))
        if not (np.isfinite(low) and np.isfinite(high) and low <= 0 <= high and high > low):
            raise CalibrationError(
                f"Step {step.name!r} has the range {low} to {high}, but needs a finite range wider than 0 that holds "
                "0. Calibrate the network again.",
                "step_range",
                step=step.name,
                low=low,
                high=high,
            )


def source_of_range(graph: Graph) -> dict[str, str]:
    """Return for each step the name of the step whose range it has: its own, or that of a reshape's operand."""
    found: dict[str, str] = {}
    for step in graph:
        found[step.name] = found[step.inputs[0]] if step.op == "reshape" else step.name
    return found


def fixed_range(step: Step) -> tuple[float, float] | None:
    """Return the range that int8 kernels require of a step's result; None if the range is free."""
    return SIGMOID_RANGE if step.op == "sigmoid" else None
