"""Find the ranges and biases of a network's int8 form from calibration windows.

Vibration has heavy tails: the largest of a thousand samples is ten standard deviations away, and steps wide enough for
it are too wide for the other samples. Each range is therefore the one whose rounding and saturation together have the
lowest mean square error over the windows. The remaining error is not zero on average, because relu and saturation are
one-sided. Each convolution, from the first to the last, therefore subtracts the mean error of its results per channel
from its bias, which costs no time ("empirical bias correction", Nagel et al., arXiv:1906.04721, section 4.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from quantize.errors import CalibrationError
from quantize.network.graph import CONVOLUTIONS, FloatArray, Graph, Step, Tensor, evaluate
from quantize.training.fake_quant import (
    LEVELS,
    Ranges,
    fixed_range,
    nudged_range,
    quantise_results,
    quantised_parameters,
    source_of_range,
)

_Numbers = NDArray[np.floating[Any]]

_BATCH = 64
_BINS = 4096
"""Bins of the histogram of a tensor's values: sixteen for each step of int8."""

_SHARES = tuple(np.linspace(0.3, 1.0, 15).tolist())
"""Where a range may end, as a share of the distance from 0 to the extreme value."""


def check_calibration(windows: FloatArray, input_shape: tuple[int, ...]) -> None:
    """Raise CalibrationError unless windows can set the ranges of a model with this input."""
    if windows.shape[1:] != input_shape or len(windows) == 0:
        dims = ", ".join(map(str, input_shape))
        raise CalibrationError(
            f"Calibration needs windows of shape (n, {dims}), n at least 1, got {windows.shape}.",
            "windows_shape",
            expected=input_shape,
            got=windows.shape,
        )
    if not np.isfinite(windows).all():
        raise CalibrationError(
            "The calibration windows contain NaN or infinity. Check the recordings.", "windows_not_finite"
        )
    if np.ptp(windows) == 0:
        raise CalibrationError(
            "The calibration windows hold one constant value, without any vibration. Check the recordings.",
            "windows_constant",
        )


def calibrate_ranges(graph: Graph, windows: FloatArray) -> tuple[Graph, Ranges]:
    """Return the graph with corrected biases, and the range of each step's result.

    Args:
        graph: The network as it will be quantized.
        windows: Calibration windows, shape (n, *graph.input.shape).

    Raises:
        CalibrationError: If the windows are empty, not finite, constant, or differ in shape from the input, or if a
            tensor takes a value that is not finite.
    """
    check_calibration(windows, graph.input.shape)
    ranges = find_ranges(graph, windows)
    return correct_biases(graph, ranges, windows), ranges


def find_ranges(graph: Graph, windows: FloatArray) -> Ranges:
    """Return the range of each step's result that has the lowest mean square error over windows.

    The logits keep the range from their lowest to their highest value: two classes that saturate would be equal.
    """
    sources, steps = source_of_range(graph), graph.by_name()
    whole = _extremes(graph, windows)
    histograms = _histograms(graph, windows, whole)
    found = {}
    for name in set(sources.values()):
        fixed = fixed_range(steps[name])
        logits = sources[graph.output.name] == name
        found[name] = fixed or (whole[name] if logits else _least_error(histograms[name], *whole[name]))
    return {name: found[source] for name, source in sources.items()}


def _extremes(graph: Graph, windows: FloatArray) -> Ranges:
    seen: dict[str, list[tuple[float, float]]] = {step.name: [] for step in graph}

    def watch(step: Step, value: Tensor) -> Tensor:
        numbers: Any = ops.convert_to_numpy(value)
        seen[step.name].append((numbers.min(), numbers.max()))
        return value

    for start in range(0, len(windows), _BATCH):
        evaluate(graph, ops.convert_to_tensor(windows[start : start + _BATCH]), after=watch)
    return {
        name: nudged_range(float(min(low for low, _ in ends)), float(max(high for _, high in ends)))
        for name, ends in seen.items()
    }


def _histograms(graph: Graph, windows: FloatArray, ranges: Ranges) -> dict[str, _Numbers]:
    counts: dict[str, _Numbers] = {step.name: np.zeros(_BINS) for step in graph}

    def watch(step: Step, value: Tensor) -> Tensor:
        inside = np.clip(ops.convert_to_numpy(value), *ranges[step.name])
        counts[step.name] += np.histogram(inside, _BINS, ranges[step.name])[0]
        return value

    for start in range(0, len(windows), _BATCH):
        evaluate(graph, ops.convert_to_tensor(windows[start : start + _BATCH]), after=watch)
    return counts


def _least_error(counts: _Numbers, low: float, high: float) -> tuple[float, float]:
    """Return the range within low to high that has the lowest mean square error for values of this histogram."""
    width = (high - low) / _BINS
    values = low + width * (np.arange(_BINS) + 0.5)
    values[np.abs(values) < width] = 0.0  # most values of these bins are exactly 0, after relu and thresholds
    candidates = [
        nudged_range(low * below, high * above)
        for above in (_SHARES if high > 0 else (1.0,))
        for below in (_SHARES if low < 0 else (1.0,))
    ]
    return min(candidates, key=lambda ends: float(np.sum(counts * _square_error(values, *ends))))


def _square_error(values: _Numbers, low: float, high: float) -> _Numbers:
    scale = (high - low) / LEVELS
    return np.square(np.clip(np.round(values / scale) * scale, low, high) - values)


def correct_biases(graph: Graph, ranges: Ranges, windows: FloatArray) -> Graph:
    """Return the graph with biases that give its int8 convolutions the same mean per channel over windows as in float.

    Args:
        graph: The network as it will be quantized.
        ranges: Range of each step's result.
        windows: Calibration windows, shape (n, *graph.input.shape).
    """
    inputs = ops.convert_to_tensor(windows)
    wanted: dict[str, Any] = {}
    errors: dict[str, Any] = {}

    def remember(step: Step, value: Tensor) -> Tensor:
        if step.op in CONVOLUTIONS and step.bias is not None:
            wanted[step.name] = _mean_of_channels(value)
        return value

    def correct(step: Step, value: Tensor) -> Tensor:
        if step.name not in wanted:
            return value
        errors[step.name] = _mean_of_channels(value) - wanted[step.name]
        return value - errors[step.name]

    evaluate(graph, inputs, before_relu=remember)
    quantised = quantised_parameters(graph, graph.parameters)
    evaluate(graph, inputs, quantised, after=quantise_results(ranges), before_relu=correct)
    return graph.with_steps(
        *(replace(step, bias=step.bias - errors[step.name]) for step in graph if step.name in errors)
    )


def _mean_of_channels(value: Tensor) -> Any:
    return ops.convert_to_numpy(ops.mean(value, axis=tuple(range(len(value.shape) - 1))))
