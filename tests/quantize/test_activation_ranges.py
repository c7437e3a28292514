"""Ranges and biases against what the fake-quantised graph then computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.models.config import preset
from drsn_edge.models.drsn import build_model
from quantize.errors import CalibrationError
from quantize.network.graph import CONVOLUTIONS, Graph, Step, evaluate
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import for_int8
from quantize.training.activation_ranges import calibrate_ranges, correct_biases, find_ranges
from quantize.training.fake_quant import fake_quant, quantise_results, quantised_parameters


@pytest.fixture(scope="module")
def graph() -> Graph:
    return for_int8(read_keras(build_model(preset("nano", block="rsbu-cw", window=256, n_axes=1, n_classes=3))))


@pytest.fixture(scope="module")
def windows() -> Any:
    """Return vibration with the tails that bearings give it."""
    return np.random.default_rng(1).standard_t(3, size=(40, 1, 256, 1)).astype(np.float32)


def passed_on(values: Any) -> Graph:
    shape = (1, 1, values.size)
    return Graph(
        (Step("x", "input", (), shape), Step("y", "add", ("x", "x"), shape), Step("z", "add", ("y", "y"), shape))
    )


def rounding_error(values: Any, ends: tuple[float, float]) -> float:
    return float(np.mean(np.square(np.asarray(fake_quant(values, *ends)) - values)))


def test_a_range_has_less_error_than_those_beside_it() -> None:
    values = np.random.default_rng(0).normal(size=(64, 1, 1, 3000)).astype(np.float32)
    values[0, 0, 0, :2] = -40, 40  # two shocks among 192000 samples
    low, high = find_ranges(passed_on(values[0]), values)["x"]
    ours = rounding_error(values, (low, high))
    assert low > values.min() and high < values.max()
    assert ours < 0.7 * rounding_error(values, (float(values.min()), float(values.max())))
    for share in (0.6, 1.6):
        assert ours < rounding_error(values, (share * low, share * high))


def test_values_without_tails_keep_their_whole_range() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, size=(64, 1, 1, 50)).astype(np.float32)
    low, high = find_ranges(passed_on(values[0]), values)["x"]
    assert (low, high) == pytest.approx((values.min(), values.max()), abs=0.01)


def test_logits_never_saturate() -> None:
    values = np.random.default_rng(0).standard_t(2, size=(64, 1, 1, 50)).astype(np.float32)
    low, high = find_ranges(passed_on(values[0]), values)["z"]
    assert low == pytest.approx(4 * values.min(), rel=0.01) and high == pytest.approx(4 * values.max(), rel=0.01)


def test_one_sided_values_keep_zero_at_their_end() -> None:
    values = np.abs(np.random.default_rng(0).standard_t(2, size=(64, 1, 1, 50))).astype(np.float32)
    assert find_ranges(passed_on(values[0]), values)["x"][0] == 0.0
    assert find_ranges(passed_on(values[0]), -values)["x"][1] == 0.0


def test_no_convolution_is_off_on_average(graph: Graph, windows: Any) -> None:
    ranges = find_ranges(graph, windows)
    before = mean_errors(graph, graph, ranges, windows)
    after = mean_errors(graph, correct_biases(graph, ranges, windows), ranges, windows)
    assert max(map(np.max, before.values())) > 1e-2
    for name, error in after.items():
        np.testing.assert_allclose(error, 0, atol=1e-5, err_msg=name)


def mean_errors(graph: Graph, changed: Graph, ranges: Any, windows: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for which, numbers, after in (
        (graph, None, lambda step, value: value),
        (changed, quantised_parameters(changed, changed.parameters), quantise_results(ranges)),
    ):
        seen: dict[str, Any] = {}
        found.append(seen)

        def watch(step: Step, value: Any, seen: dict[str, Any] = seen) -> Any:
            if step.op in CONVOLUTIONS and step.bias is not None:
                seen[step.name] = np.asarray(value).mean(axis=(0, 1, 2))
            return value

        evaluate(which, windows, numbers, after=after, before_relu=watch)
    return {name: np.abs(found[0][name] - found[1][name]) for name in found[0]}


def test_ranges_and_shapes_that_cannot_be(graph: Graph, windows: Any) -> None:
    for wrong, problem in (
        (windows[:0], "windows_shape"),
        (windows[..., :5, :], "windows_shape"),
        (windows * np.nan, "windows_not_finite"),
        (np.ones_like(windows), "windows_constant"),
    ):
        with refused(CalibrationError, problem):
            calibrate_ranges(graph, wrong)
