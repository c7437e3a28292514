from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drsn_edge.signal.windows import Scaling, as_network_input, cut_windows, scale_windows, window_starts


def windows(n: int = 4, window: int = 64, axes: int = 3, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(2.0, 3.0, (n, window, axes)).astype(np.float32)


def test_rms_scaling_by_hand() -> None:
    """Axis x swings by 3 about 10, axis y by 4 about -1: mean square (9 + 16) / 2."""
    window = np.array([[[13.0, 3.0], [7.0, -5.0]]], np.float32)
    expected = np.array([[[3.0, 4.0], [-3.0, -4.0]]]) / np.sqrt(12.5)
    np.testing.assert_allclose(scale_windows(window, Scaling()), expected, rtol=1e-6)


def test_fixed_scaling_by_hand() -> None:
    window = np.array([[[13.0, 3.0], [7.0, -5.0]]], np.float32)
    np.testing.assert_array_equal(scale_windows(window, Scaling("fixed", 2.0)), [[[1.5, 2.0], [-1.5, -2.0]]])


@pytest.mark.parametrize("scaling", [Scaling(), Scaling("fixed", 0.3)])
def test_scaled_windows_have_no_mean_and_stay_float32(scaling: Scaling) -> None:
    before = windows()
    kept = before.copy()
    result = scale_windows(before, scaling)
    assert result.dtype == np.float32 and result.shape == before.shape
    np.testing.assert_allclose(result.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_array_equal(before, kept)


def test_rms_scaling_makes_the_rms_one_and_keeps_the_direction() -> None:
    before = windows()
    result = scale_windows(before, Scaling())
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(result), axis=(1, 2))), 1, rtol=1e-5)
    spread = before.std(axis=1)
    np.testing.assert_allclose(
        result.std(axis=1)[:, 0] / result.std(axis=1)[:, 2], spread[:, 0] / spread[:, 2], rtol=1e-4
    )


def test_each_window_is_scaled_by_itself() -> None:
    all_at_once = scale_windows(windows(), Scaling())
    one_by_one = np.concatenate([scale_windows(window[None], Scaling()) for window in windows()])
    np.testing.assert_array_equal(all_at_once, one_by_one)


@pytest.mark.parametrize("value", [0.0, 0.1, -9.80665, 1e6])
def test_a_window_without_vibration_is_zero(value: float) -> None:
    still = np.full((2, 1000, 3), value, np.float32)
    for scaling in (Scaling(), Scaling("fixed", 2.0)):
        np.testing.assert_array_equal(scale_windows(still, scaling), np.zeros_like(still))


def test_a_still_window_does_not_disturb_the_others() -> None:
    batch = windows()
    batch[1] = 5.0
    result = scale_windows(batch, Scaling())
    assert (result[1] == 0).all()
    np.testing.assert_array_equal(result[2:], scale_windows(batch[2:], Scaling()))


@given(
    hnp.arrays(np.float32, (2, 16, 2), elements=st.integers(-(2**14), 2**14).map(lambda n: n / 1024)),
    st.sampled_from([0.25, 4.0, 1024.0]),
)
def test_rms_scaling_does_not_know_the_unit(batch: Any, factor: float) -> None:
    """Powers of two, so that the arithmetic itself does not differ."""
    once, scaled = scale_windows(batch, Scaling()), scale_windows(batch * np.float32(factor), Scaling())
    np.testing.assert_allclose(scaled, once, rtol=1e-5, atol=1e-6)


def test_gravity_makes_no_difference() -> None:
    batch = windows()
    np.testing.assert_allclose(scale_windows(batch + 100, Scaling()), scale_windows(batch, Scaling()), atol=1e-4)


@given(n=st.integers(0, 500), window=st.integers(1, 80), hop=st.integers(1, 90))
def test_window_starts_are_all_whole_windows(n: int, window: int, hop: int) -> None:
    starts = window_starts(n, window, hop)
    assert starts.dtype == np.int64
    assert starts.tolist() == [start for start in range(0, n, hop) if start + window <= n]


def test_cut_windows_by_hand() -> None:
    samples = np.arange(20, dtype=np.float32).reshape(10, 2)
    cut = cut_windows(samples, np.array([0, 3, 7]), 3)
    assert cut.shape == (3, 3, 2)
    np.testing.assert_array_equal(cut[1], samples[3:6])
    np.testing.assert_array_equal(cut[2], samples[7:])
    assert cut_windows(samples, np.zeros(0, np.int64), 3).shape == (0, 3, 2)


def test_cut_windows_are_copies() -> None:
    samples = np.zeros((10, 1), np.float32)
    cut_windows(samples, np.array([0]), 5)[:] = 1
    assert (samples == 0).all()


def test_the_network_sees_time_as_width_and_axes_as_channels() -> None:
    batch = windows()
    inputs = as_network_input(batch)
    assert inputs.shape == (4, 1, 64, 3)
    np.testing.assert_array_equal(inputs[:, 0], batch)
