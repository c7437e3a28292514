"""Find the range of every tensor of a network from windows that it may meet."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from quantize.errors import CalibrationError
from quantize.fake_quant import Ranges, fixed_range, nudged_range, source_of_range
from quantize.graph import FloatArray, Graph, Step, Tensor, evaluate

_BATCH = 64


def check_calibration(windows: FloatArray, input_shape: tuple[int, ...]) -> None:
    """Raise CalibrationError unless windows can set the ranges of a model with this input."""
    if windows.shape[1:] != input_shape or len(windows) == 0:
        dims = ", ".join(map(str, input_shape))
        raise CalibrationError(f"Expected calibration windows of shape (n, {dims}), got {windows.shape}.")
    if not np.isfinite(windows).all():
        raise CalibrationError("Expected finite calibration windows, got NaN or infinity.")
    if np.ptp(windows) == 0:
        raise CalibrationError("Expected calibration windows with vibration in them, got one constant value.")


def calibrate(graph: Graph, windows: FloatArray) -> Ranges:
    """Return the range of each step's result over windows.

    Args:
        graph: As it will be quantised.
        windows: Shape (n, *graph.input.shape).

    Raises:
        CalibrationError: If the windows are empty, not finite, all alike, or of another shape than the input, or if a
            tensor takes a value that is no number.
    """
    check_calibration(windows, graph.input.shape)
    seen: dict[str, list[tuple[float, float]]] = {step.name: [] for step in graph}

    def watch(step: Step, value: Tensor) -> Tensor:
        numbers: Any = ops.convert_to_numpy(value)
        seen[step.name].append((numbers.min(), numbers.max()))
        return value

    for start in range(0, len(windows), _BATCH):
        evaluate(graph, ops.convert_to_tensor(windows[start : start + _BATCH]), after=watch)
    sources, steps = source_of_range(graph), graph.by_name()
    return {name: fixed_range(steps[source]) or _range_of(seen[source]) for name, source in sources.items()}


def _range_of(seen: list[tuple[float, float]]) -> tuple[float, float]:
    return nudged_range(float(min(low for low, _ in seen)), float(max(high for _, high in seen)))
