from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import IMPULSE_SHARE, add_noise, vibration_power


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


def made(kind: str, n: int = 1 << 17, snr_db: float = 0.0) -> Any:
    """Return the noise alone, from a tone without gravity, whose float32 would round small noise."""
    samples = tone(n) - tone(n).mean(axis=0)
    return add_noise(samples, snr_db, rng(), kind).astype(np.float64) - samples


def density_slope(noise: Any) -> float:
    """Return the slope of log power density over log frequency, averaged over segments and axes."""
    segments = noise[:, 0].reshape(-1, 4096)
    density = np.square(np.abs(np.fft.rfft(segments * np.hanning(4096), axis=1))).mean(axis=0)
    lines = np.arange(8, 1800)
    return float(np.polyfit(np.log(lines), np.log(density[lines]), 1, w=1 / np.sqrt(lines))[0])


def kurtosis(noise: Any) -> float:
    return float(np.mean((noise - noise.mean()) ** 4) / noise.var() ** 2)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("snr_db", [-10.0, -4.0, 0.0, 7.5, 40.0])
def test_the_snr_is_exactly_what_was_asked_for(snr_db: float, kind: str) -> None:
    noise = made(kind, snr_db=snr_db)
    assert 10 * np.log10(0.5 / vibration_power(noise)[0, 0]) == pytest.approx(snr_db, abs=1e-3)
    np.testing.assert_allclose(noise.var(axis=0), noise.var(), rtol=0.15)  # alike on each axis
    assert abs(noise.mean()) < 0.02 * noise.std()


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_each_window_gets_its_own_snr_exactly(kind: str) -> None:
    wave = (tone(64) - tone(64).mean(axis=0)) * np.array([1, 0], np.float32)  # all the vibration on one axis
    windows = np.stack([wave, 10 * wave, wave])
    wanted = np.array([0.0, 10.0, -6.0])
    noise = add_noise(windows, wanted[:, None, None], rng(), kind).astype(np.float64) - windows
    measured = 10 * np.log10(vibration_power(windows) / vibration_power(noise))
    np.testing.assert_allclose(measured[:, 0, 0], wanted, atol=1e-3)


@pytest.mark.parametrize(("kind", "slope"), [("gaussian", 0), ("laplacian", 0), ("impulsive", 0), ("pink", -1)])
def test_the_spectrum_is_that_of_the_kind(kind: str, slope: float) -> None:
    assert density_slope(made(kind)) == pytest.approx(slope, abs=0.05)


def test_the_amplitudes_are_those_of_the_kind() -> None:
    """Kurtosis is 3 for a normal distribution, 6 for Laplace's, and 3 over the share of impulses between silence."""
    assert kurtosis(made("gaussian")) == pytest.approx(3, abs=0.1)
    assert kurtosis(made("laplacian")) == pytest.approx(6, abs=0.3)
    assert kurtosis(made("pink")) == pytest.approx(3, abs=0.3)
    assert kurtosis(made("impulsive")) == pytest.approx(3 / IMPULSE_SHARE, rel=0.15)
    silent = np.abs(made("impulsive")) < 1e-5
    assert 1 - silent.mean() == pytest.approx(IMPULSE_SHARE, rel=0.1)


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_the_noise_of_two_axes_is_independent(kind: str) -> None:
    assert abs(np.corrcoef(np.diff(made(kind), axis=0).T)[0, 1]) < 0.05


def test_an_unknown_kind_is_refused() -> None:
    with refused(DrsnEdgeError, "unknown_noise", got="brown", known=NOISE_KINDS):
        add_noise(tone(100), 0.0, rng(), "brown")


def test_it_stays_float32_and_leaves_its_input_alone() -> None:
    samples = tone(100)
    kept = samples.copy()
    noisy = add_noise(samples, 0.0, rng())
    assert noisy.dtype == np.float32 and noisy.shape == samples.shape
    np.testing.assert_array_equal(samples, kept)
    np.testing.assert_array_equal(noisy, add_noise(samples, 0.0, rng()))


def test_silence_stays_silent() -> None:
    still = np.full((3, 50, 2), 9.8, np.float32)
    np.testing.assert_array_equal(add_noise(still, -10.0, rng()), still)
