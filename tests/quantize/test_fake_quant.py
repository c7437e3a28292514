from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from quantize.convert import write_int8
from quantize.errors import CalibrationError
from quantize.network.graph import Graph, Step
from quantize.training.activation_ranges import calibrate_ranges
from quantize.training.fake_quant import fake_quant, fake_quant_kernel, nudged_range, source_of_range

ENDS = st.floats(-1e3, 1e3)


@given(ENDS, ENDS)
def test_a_nudged_range_has_0_at_a_whole_step_and_hardly_moves(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    start, end = nudged_range(low, high)
    scale = (end - start) / 255
    assert start <= 0 <= end
    assert start / scale == pytest.approx(round(start / scale), abs=1e-6)
    assert abs(start - min(low, 0)) <= 0.51 * scale + 1e-6
    assert abs(end - max(high, 0)) <= 0.51 * scale + 1e-6


@pytest.mark.parametrize("ends", [(np.nan, 1.0), (0.0, np.inf), (-np.inf, 0.0)])
def test_a_range_that_is_no_number_is_refused(ends: tuple[float, float]) -> None:
    with refused(CalibrationError, "range_not_finite", low=ends[0], high=ends[1]):
        nudged_range(*ends)


def test_it_rounds_like_int8_and_saturates() -> None:
    low, high = nudged_range(-1.0, 3.0)
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    x = np.random.default_rng(0).normal(0, 3, 1000).astype(np.float32)
    codes_q = np.clip(np.rint(x / scale) + zero_point, -128, 127)
    expected = (codes_q - zero_point) * scale
    got = np.asarray(fake_quant(x, np.float32(low), np.float32(high)))
    assert np.mean(np.abs(got - expected) > scale / 10) < 0.003  # but for ties, which floating point may turn


def test_gradients_go_through_inside_and_to_the_ends_outside() -> None:
    x = tf.constant([-5.0, -0.31, 0.4, 7.0, 8.0])
    low, high = tf.Variable(-1.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(fake_quant(x, low, high))
    to_x, to_low, to_high = tape.gradient(total, (x, low, high))
    np.testing.assert_allclose(to_x, [0, 1, 1, 0, 0])
    # One value sits at the lower end, two at the upper.
    assert (to_low.numpy(), to_high.numpy()) == (1, 2)


def test_kernels_are_rounded_per_output_channel_to_255_steps_about_0() -> None:
    kernel = np.random.default_rng(0).normal(size=(1, 3, 4, 6)).astype(np.float32) * 10.0 ** np.arange(6)
    kernel[..., 5] = 0
    rounded = np.asarray(fake_quant_kernel(kernel, "conv"))
    for channel in range(5):
        scale = np.abs(kernel[..., channel]).max() / 127
        codes = rounded[..., channel] / scale
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
        assert np.abs(codes).max() == pytest.approx(127, abs=1e-3)
        assert np.abs(rounded[..., channel] - kernel[..., channel]).max() <= 0.501 * scale
    assert not rounded[..., 5].any()


INPUT = Step("window", "input", (), (1, 4, 2))


def chain(*steps: tuple[str, str, dict[str, Any]]) -> Graph:
    made, before = [INPUT], "window"
    for name, op, more in steps:
        made.append(Step(name, op, (before,), more.pop("shape", (1, 4, 2)), **more))
        before = name
    return Graph(tuple(made))


def test_ranges_that_tflite_demands() -> None:
    graph = chain(("gate", "sigmoid", {}), ("flat", "reshape", {"shape": (8,)}))
    assert source_of_range(graph)["flat"] == "gate"
    windows = np.random.default_rng(0).normal(size=(3, 1, 4, 2)).astype(np.float32)
    _, ranges = calibrate_ranges(graph, windows)
    assert ranges["gate"] == ranges["flat"] == (0.0, 255 / 256)
    assert ranges["window"][0] == pytest.approx(windows.min(), abs=0.02)


def test_a_tensor_that_overflows_is_refused() -> None:
    graph = chain(("big", "scale", {"kernel": np.float32(3e38)}))
    with refused(CalibrationError, "range_not_finite"), np.errstate(all="ignore"):
        calibrate_ranges(graph, np.array([[[[9.0, 1], [2, 3], [4, 5], [6, 7]]]], np.float32))


@pytest.mark.parametrize("ends", [(0.0, 0.0), (np.nan, 1.0), (0.0, np.inf), (1.0, 2.0)])
def test_a_file_with_an_impossible_range_is_not_written(ends: tuple[float, float]) -> None:
    graph = chain(("more", "scale", {"kernel": np.float32(2.0)}))
    with refused(CalibrationError, "step_range", step="more", low=ends[0], high=ends[1]):
        write_int8(graph, {"window": (-1.0, 1.0), "more": ends})
