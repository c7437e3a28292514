from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from drsn_edge.errors import SettingsError
from drsn_edge.signal.vibration import Limits, SeverityConfig, measure, read_limits, velocity_rms

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


def test_zones(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[zones]\nvelocity_mm_s = [1, 2.5, 4.5]\n")
    config = read_limits(path)
    assert config == SeverityConfig(Limits((1.0, 2.5, 4.5)))
    limits = config.limits
    assert limits is not None
    assert [limits.zone(velocity) for velocity in (0, 0.99, 1, 2.6, 4.4, 4.5, 99)] == list("AABCCDD")


@pytest.mark.parametrize(
    "text",
    [
        "", "[zones]", "[zones]\nvelocity_mm_s = [1, 2]", "[zones]\nvelocity_mm_s = [3, 2, 1]", "nonsense",
        "[bearing]\nn_balls = 9",
        "[bearing]\nn_balls = 9\nball_diameter_mm = 80.0\npitch_diameter_mm = 39.0", "bearing = 3",
        "[bearing]\nn_balls = 9\nball_diameter_mm = 8.0\npitch_diameter_mm = 39.0\nclasses = {a = 'BPF'}",
        "[zones]\nvelocity_mm_s = [0, 1, 2]", "[zones]\nvelocity_mm_s = [true, 2, 3]", "zones = 3",
        "[zones]\nvelocity_mm_s = [1, 2, inf]", "[zones]\nvelocity_mm_s = [1, 2, 3]\nspeed = 1",
    ],
)  # fmt: skip
def test_limits_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="Expected"):
        read_limits(path)
    with pytest.raises(SettingsError, match="could not read") as absent:
        read_limits(tmp_path / "absent.toml")
    assert "Errno" not in str(absent.value) and "Check the path" in str(absent.value)


def test_zones_in_a_wrong_order_are_told_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[zones]\nvelocity_mm_s = [4.5, 2.8, 1.4]")
    with pytest.raises(SettingsError, match=r"got velocity_mm_s = \[4\.5, 2\.8, 1\.4\]\.$"):
        read_limits(path)
    path.write_text("[zone]\nvelocity_mm_s = [1.4, 2.8, 4.5]")
    with pytest.raises(SettingsError, match=r"got zone\.$"):
        read_limits(path)
