from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drsn_edge.noise import add_white_noise, vibration_power


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tone(n: int = 100_000, axes: int = 2) -> Any:
    """Return a tone of power 0.5 on each axis, on top of gravity."""
    wave = np.sin(2 * np.pi * 0.01 * np.arange(n))
    return (wave[:, None] + np.linspace(9.8, 0, axes)).astype(np.float32)


def test_vibration_power_leaves_gravity_out() -> None:
    assert vibration_power(tone()).shape == (1, 1)
    assert vibration_power(tone())[0, 0] == pytest.approx(0.5, rel=1e-4)


def test_vibration_power_is_the_mean_over_axes_of_each_window() -> None:
    windows = np.zeros((2, 4, 2), np.float32)
    windows[0, :, 0] = (1, -1, 1, -1)
    windows[1, :, 0] = (3, -3, 3, -3)
    windows[1, :, 1] = (11, 9, 11, 9)
    np.testing.assert_allclose(vibration_power(windows), [[[0.5]], [[5.0]]])


@pytest.mark.parametrize("snr_db", [-10.0, -4.0, 0.0, 7.5, 40.0])
def test_the_snr_is_what_was_asked_for(snr_db: float) -> None:
    samples = tone()
    noise = add_white_noise(samples, snr_db, rng()).astype(np.float64) - samples
    assert 10 * np.log10(0.5 / noise.var()) == pytest.approx(snr_db, abs=0.05)
    np.testing.assert_allclose(noise.var(axis=0), noise.var(), rtol=0.03)  # alike on each axis
    assert abs(noise.mean()) < 0.02 * noise.std()


def test_each_window_gets_its_own_snr() -> None:
    windows = np.stack([tone(20_000), 10 * tone(20_000), tone(20_000)])
    wanted = np.array([0.0, 10.0, -6.0])
    noise = add_white_noise(windows, wanted[:, None, None], rng()).astype(np.float64) - windows
    power = np.array([0.5, 50.0, 0.5])
    np.testing.assert_allclose(10 * np.log10(power / noise.var(axis=(1, 2))), wanted, atol=0.15)


def test_the_noise_is_white_and_independent_between_axes() -> None:
    samples = tone()
    noise = add_white_noise(samples, 0.0, rng()).astype(np.float64) - samples
    correlation = np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]
    assert abs(correlation) < 0.02
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.02


def test_it_stays_float32_and_leaves_its_input_alone() -> None:
    samples = tone(100)
    kept = samples.copy()
    noisy = add_white_noise(samples, 0.0, rng())
    assert noisy.dtype == np.float32 and noisy.shape == samples.shape
    np.testing.assert_array_equal(samples, kept)
    np.testing.assert_array_equal(noisy, add_white_noise(samples, 0.0, rng()))


def test_silence_stays_silent() -> None:
    still = np.full((3, 50, 2), 9.8, np.float32)
    np.testing.assert_array_equal(add_white_noise(still, -10.0, rng()), still)
