from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from drsn_edge.signal.vibration import BAND_HZ, measure

RATE_HZ = 3200.0
TIME_S = np.arange(6400) / RATE_HZ


def sine(hz: float, amplitude: float) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * TIME_S)


def velocity_rms(accel_mps2: np.ndarray) -> float:
    """Return the velocity RMS of one axis in m/s."""
    found = measure(accel_mps2[:, None], RATE_HZ, 1 / 9.80665).velocity_rms_mm_s
    assert found is not None
    return found / 1000


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
    inside, outside = (velocity_rms(sine(each, 1.0)) for each in (100.0, hz))
    assert outside < 0.02 * inside


def test_the_velocity_of_noise_is_that_of_an_integrator() -> None:
    """Against integration in time, between the same corners."""
    noise = np.random.default_rng(0).normal(size=64_000)
    sections = signal.butter(8, [10, 1000], "bandpass", fs=RATE_HZ, output="sos")
    filtered = signal.sosfiltfilt(sections, noise)
    velocity = signal.detrend(np.cumsum(filtered) / RATE_HZ)[6400:-6400]
    assert velocity_rms(noise[6400:-6400]) == pytest.approx(velocity.std(), rel=0.05)


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


def by_definition(samples: np.ndarray, rate_hz: float) -> list[float]:
    """Return velocity RMS, RMS, peak, crest factor and kurtosis of samples (n, axes) in doubles, one transform."""
    centred = samples - samples.mean(axis=0)
    taper = np.hanning(len(samples))[:, None]
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    inside = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
    power = np.square(np.abs(np.fft.rfft(centred * taper, axis=0)[inside]) / (2 * np.pi * hz[inside, None]))
    velocity = np.sqrt(2 * power.sum(axis=0) / (len(samples) * np.square(taper).sum()))
    rms, peak = centred.std(axis=0), np.abs(centred).max(axis=0)
    kurtosis = (centred**4).mean(axis=0) / rms**4
    return [float(each.max()) for each in (velocity, rms, peak, peak / rms, kurtosis)]


@pytest.mark.parametrize(("n", "rate_hz"), [(52_488, 26_667.0), (25_600, 12_800.0), (13_122, 6_700.0),
                                            (6_400, 3_200.0), (1_999, 1_000.0), (200, 100.0)])  # fmt: skip
@pytest.mark.parametrize("kind", ["noise", "a quiet machine", "an offset", "impacts", "a tone above the band"])
@pytest.mark.parametrize("scale", [4.88e-4, 1e-9, 1e6])
def test_measures_are_those_of_the_definition(n: int, rate_hz: float, kind: str, scale: float) -> None:
    rng, time_s = np.random.default_rng(n), np.arange(n)[:, None] / rate_hz
    counts = {
        "noise": rng.normal(0, 300, (n, 3)),
        "a quiet machine": rng.normal(0, 0.7, (n, 3)),
        "an offset": rng.normal(0, 2, (n, 3)) + 16_000,
        "impacts": rng.normal(0, 30, (n, 3)) + 20_000 * (np.arange(n) % 64 == 0)[:, None],
        "a tone above the band": 30_000 * np.sin(0.8 * np.pi * rate_hz * time_s) + 2 * np.sin(100 * time_s),
    }[kind].astype(np.int16)
    scales = scale * np.array([1.0, 1.25, -0.75])
    found = measure(counts, rate_hz, 1 / 9806.65, scales)
    values = [
        found.velocity_rms_mm_s,
        found.acceleration_rms,
        found.acceleration_peak,
        found.crest_factor,
        found.kurtosis,
    ]
    assert values == pytest.approx(by_definition(counts * scales, rate_hz), rel=2e-6)
