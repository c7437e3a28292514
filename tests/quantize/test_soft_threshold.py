from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from quantize.training.soft_threshold import mean_absolute, negative_part, soft_threshold

Array = NDArray[Any]


def by_definition(x: Array, tau: Array) -> Array:
    """Zhao et al. 2020, eq. 5, as written there."""
    return np.sign(x) * np.maximum(np.abs(x) - tau, 0)


def ours(x: Array, tau: Array) -> Array:
    return soft_threshold(x, negative_part(x), tau).numpy()


def gradients(x: Array, tau: Array) -> tuple[Array, Array]:
    """Return d sum(soft(x)) / dx and / dtau."""
    x_tensor, tau_tensor = tf.constant(x), tf.constant(tau)
    with tf.GradientTape() as tape:
        tape.watch([x_tensor, tau_tensor])
        total = tf.reduce_sum(soft_threshold(x_tensor, negative_part(x_tensor), tau_tensor))
    return tuple(g.numpy() for g in tape.gradient(total, [x_tensor, tau_tensor]))


def row(*values: float) -> Array:
    return np.array(values, np.float32).reshape(1, 1, -1, 1)


TAU = np.full((1, 1, 1, 1), 1.5, np.float32)


def test_values_on_both_sides_of_the_threshold() -> None:
    x = row(-4.0, -1.75, -1.5, -1.0, 0.0, 1.0, 1.5, 1.75, 4.0)
    np.testing.assert_array_equal(ours(x, TAU), row(-2.5, -0.25, 0, 0, 0, 0, 0, 0.25, 2.5))


def test_zero_threshold_changes_nothing() -> None:
    x = row(-3.0, -1e-30, 0.0, 1e-30, 7.0)
    np.testing.assert_array_equal(ours(x, np.zeros_like(TAU)), x)


def test_gradients_are_one_or_zero_and_never_vanish_outside() -> None:
    x = row(-4.0, -2.0, -1.5, -1.0, 0.0, 1.0, 1.5, 2.0, 4.0)
    dx, dtau = gradients(x, TAU)
    np.testing.assert_array_equal(dx, row(1, 1, 0, 0, 0, 0, 0, 1, 1))
    np.testing.assert_array_equal(dtau, np.zeros_like(TAU))  # two below gain what two above lose
    np.testing.assert_array_equal(gradients(row(1.0, 2.0, 3.0), TAU)[1], np.full_like(TAU, -2))
    np.testing.assert_array_equal(gradients(row(-1.0, -2.0, -3.0), TAU)[1], np.full_like(TAU, 2))


def test_gradient_agrees_with_finite_differences() -> None:
    rng = np.random.default_rng(3)
    x, tau = rng.normal(size=(1, 1, 200, 1)).astype(np.float32), np.full((1, 1, 1, 1), 0.5, np.float32)
    x = x[np.abs(np.abs(x) - 0.5) > 0.01].reshape(1, 1, -1, 1)  # away from the kinks
    step = 1e-3
    expected = (by_definition(x + step, tau) - by_definition(x - step, tau)) / (2 * step)
    np.testing.assert_allclose(gradients(x, tau)[0], expected, atol=1e-3)


def test_channel_wise_thresholds_each_shrink_their_own_channel_and_window() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 1, 20, 4)).astype(np.float32)
    tau = rng.uniform(0, 1, (3, 1, 1, 4)).astype(np.float32)
    result = ours(x, tau)
    for window in range(3):
        for channel in range(4):
            expected = by_definition(x[window, 0, :, channel], tau[window, 0, 0, channel])
            np.testing.assert_allclose(result[window, 0, :, channel], expected, atol=1e-6)


def test_channel_shared_threshold_shrinks_every_channel_of_its_window() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 1, 20, 4)).astype(np.float32)
    tau = np.array([0.1, 0.5, 2.0], np.float32).reshape(3, 1, 1, 1)
    for window in range(3):
        np.testing.assert_allclose(ours(x, tau)[window], by_definition(x[window], tau[window, 0, 0, 0]), atol=1e-6)


FEATURES = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5), elements=st.floats(-1e4, 1e4, width=32)
)


@given(FEATURES, st.floats(0, 1e4, width=32))
@settings(max_examples=200, deadline=None)
def test_equals_the_definition_everywhere(x: Array, tau: float) -> None:
    threshold = np.full((1, 1, 1, 1), tau, np.float32)
    # Subnormal numbers are flushed to zero by some kernels.
    np.testing.assert_allclose(ours(x, threshold), by_definition(x, threshold), rtol=0, atol=1e-37)


@given(FEATURES, st.floats(0, 1e4, width=32))
@settings(max_examples=100, deadline=None)
def test_never_moves_past_zero_and_never_further_than_tau(x: Array, tau: float) -> None:
    result = ours(x, np.full((1, 1, 1, 1), tau, np.float32))
    assert (result * x >= 0).all()
    assert (np.abs(result) <= np.abs(x)).all()


@given(FEATURES)
@settings(max_examples=200, deadline=None)
def test_mean_absolute_is_the_mean_of_the_absolute_value(x: Array) -> None:
    result = mean_absolute(x, negative_part(x)).numpy()
    expected = np.abs(x).mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    assert result.shape == (x.shape[0], 1, 1, x.shape[3])
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(x).max())))


@pytest.mark.parametrize("value", [-2.0, 0.0, 3.0])
def test_mean_absolute_of_a_constant(value: float) -> None:
    x = np.full((2, 1, 7, 3), value, np.float32)
    np.testing.assert_allclose(mean_absolute(x, negative_part(x)).numpy(), abs(value), rtol=1e-6)


def test_works_on_symbolic_tensors() -> None:
    x = keras.Input((1, 8, 3))
    n = negative_part(x)
    model = keras.Model(x, soft_threshold(x, n, mean_absolute(x, n)))
    values = np.random.default_rng(1).normal(size=(2, 1, 8, 3)).astype(np.float32)
    tau = np.abs(values).mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(model(values).numpy(), by_definition(values, tau), atol=1e-6)
