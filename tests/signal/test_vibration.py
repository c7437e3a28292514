from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from drsn_edge.signal.vibration import measure, velocity_rms

RATE_HZ = 3200.0
TIME_S = np.arange(6400) / RATE_HZ


def sine(hz: float, amplitude: float) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * TIME_S)


@pytest.mark.parametrize("hz", [15.0, 24.7, 100.0, 333.3, 900.0])
def test_the_velocity_of_a_sine(hz: float) -> None:
    """1 g at 100 Hz is 11.04 mm/s RMS: 9806.65 / (2 pi 100) / sqrt 2."""
    samples = np.stack([0.1 * sine(hz, 1.0), sine(hz, 1.0) + 1.0, np.zeros(6400)], axis=1).astype(np.float32)
    found = measure(samples, RATE_HZ, 1.0)
    assert found.velocity_rms_mm_s == pytest.approx(9806.65 / (2 * np.pi * hz) / np.sqrt(2), rel=0.01)
    assert found.acceleration_rms == pytest.approx(1 / np.sqrt(2), rel=0.01)
    assert found.acceleration_peak == pytest.approx(1.0, rel=0.02)
    assert found.crest_factor == pytest.approx(np.sqrt(2), rel=0.03) and found.kurtosis == pytest.approx(1.5, rel=0.03)


@pytest.mark.parametrize("hz", [3.0, 8.0, 1100.0, 1500.0])
def test_what_lies_outside_the_band_does_not_count(hz: float) -> None:
    inside, outside = (velocity_rms(sine(each, 1.0)[:, None], RATE_HZ)[0] for each in (100.0, hz))
    assert outside < 0.02 * inside


def test_the_velocity_of_noise_is_that_of_an_integrator() -> None:
    """Against integration in time, between the same corners."""
    noise = np.random.default_rng(0).normal(size=64_000)
    sections = signal.butter(8, [10, 1000], "bandpass", fs=RATE_HZ, output="sos")
    filtered = signal.sosfiltfilt(sections, noise)
    velocity = signal.detrend(np.cumsum(filtered) / RATE_HZ)[6400:-6400]
    found = velocity_rms(noise[6400:-6400, None], RATE_HZ)[0]
    assert found == pytest.approx(velocity.std(), rel=0.05)


def test_impacts_show_in_crest_and_kurtosis() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(6400, 1))
    impacts = noise.copy()
    impacts[::640] += 20
    calm, worn = (measure(x.astype(np.float32), RATE_HZ, None) for x in (noise, impacts))
    assert calm.kurtosis == pytest.approx(3, abs=0.3) and worn.kurtosis > 10
    assert calm.crest_factor < 5 < worn.crest_factor and calm.velocity_rms_mm_s is None


def test_units_and_silence() -> None:
    samples = sine(100.0, 9.80665)[:, None].astype(np.float32)
    assert measure(samples, RATE_HZ, 1 / 9.80665).velocity_rms_mm_s == pytest.approx(11.04, rel=0.01)
    silent = measure(np.ones((6400, 2), np.float32), RATE_HZ, 1.0)
    assert (silent.velocity_rms_mm_s, silent.crest_factor, silent.kurtosis) == (0.0, 0.0, 0.0)
