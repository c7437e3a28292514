"""Simulated faults in healthy windows: their power, their lines, and the resonances that they excite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.simulation.fault_signals import FAULTS, MOST_RESONANCES, Fault, Place, resonances_of, with_fault
from drsn_edge.support.invalid import InvalidValueError

Samples = NDArray[np.float32]

RATE_HZ, SHAFT_HZ = 12000.0, 30.0
RINGS_HZ = (1800.0, 3600.0)
RATES_HZ = {
    "outer_race": SKF_6205.bpfo * SHAFT_HZ,
    "inner_race": SKF_6205.bpfi * SHAFT_HZ,
    "ball": SKF_6205.ball_defect * SHAFT_HZ,
    "cage": SKF_6205.ftf * SHAFT_HZ,
}


def healthy(n: int = 4, length: int = 12000, axes: int = 2) -> Samples:
    """Return noise through two resonances with damping 0.02, and lines of a shaft."""
    rng = np.random.default_rng(3)
    hz = np.fft.rfftfreq(n * length, 1 / RATE_HZ)[:, None]
    gain = 0.05 + sum(0.04 / np.abs(1 - (hz / own) ** 2 + 0.04j * hz / own) for own in RINGS_HZ)
    rough = np.fft.irfft(np.fft.rfft(rng.standard_normal((n * length, axes)), axis=0) * gain, axis=0)
    t = np.arange(n * length)[:, None] / RATE_HZ
    lines = sum(0.3 / k * np.sin(2 * np.pi * k * SHAFT_HZ * t + k) for k in (1, 2, 3))
    return (rough + lines).reshape(n, length, axes).astype(np.float32)


HEALTHY = healthy()
PLACE = Place(RATE_HZ, SHAFT_HZ, SKF_6205, resonances_of(HEALTHY, RATE_HZ))


def envelope(window: Samples) -> NDArray[np.float64]:
    """Return the power of the lines of the squared envelope above 1 kHz, 1 Hz apart for a second."""
    spectrum = np.fft.rfft(window[:, 0], 12000)
    spectrum[:1000] = 0
    analytic = np.fft.ifft(np.concatenate([spectrum[:-1], np.zeros(6000)]))
    power = np.square(np.abs(analytic))
    return np.square(np.abs(np.fft.rfft((power - power.mean()) * np.hanning(12000))))


def over_floor_db(window: Samples, hz: float) -> float:
    """Return how far the line at a rate stands above the median of the lines around it, in dB."""
    lines, at = envelope(window), round(hz)
    return float(10 * np.log10(lines[at - 2 : at + 3].max() / np.median(lines[max(1, at - 40) : at + 41])))


def test_resonances_are_found() -> None:
    found = PLACE.resonances
    assert sorted(found.hz[:2]) == pytest.approx(RINGS_HZ, rel=0.03)
    assert np.all((found.damping[:2] > 0.01) & (found.damping[:2] < 0.04))  # the width holds that of a segment, too
    assert found.gains.shape == (len(found.hz), 2) and found.gains.max() == 1
    assert len(found.hz) <= MOST_RESONANCES


def test_a_spectrum_without_a_peak_has_one_resonance() -> None:
    falling = np.cumsum(np.random.default_rng(0).standard_normal((1, 40000, 1)), axis=1)
    assert len(resonances_of(falling.astype(np.float32), RATE_HZ).hz) >= 1
    assert len(resonances_of(np.zeros((1, 4000, 1), np.float32), RATE_HZ).hz) == 1


def test_too_few_samples_for_resonances_are_refused() -> None:
    with refused(InvalidValueError, "out_of_range", name="window"):
        resonances_of(HEALTHY[:, :191], RATE_HZ)
    with refused(InvalidValueError, "out_of_range", name="window"):
        resonances_of(HEALTHY[:0], RATE_HZ)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(FAULTS)), st.floats(-30, 30), st.integers(0, 2**32))
def test_the_severity_is_the_power_that_the_fault_adds(name: str, severity_db: float, seed: int) -> None:
    made = with_fault(HEALTHY[:1], Fault(name, severity_db), PLACE, seed)
    added = (made.astype(np.float64) - HEALTHY[:1])[0]
    ratio = np.mean(np.square(added)) / np.mean(np.var(HEALTHY[0], axis=0))
    assert 10 * np.log10(ratio) == pytest.approx(severity_db, abs=0.05)


@pytest.mark.parametrize("name", sorted(RATES_HZ))
def test_the_rate_of_the_defect_stands_in_the_envelope(name: str) -> None:
    made = with_fault(HEALTHY, Fault(name, 5.0, slip=0.002), PLACE, 1)
    for window, before in zip(made, HEALTHY, strict=True):
        assert over_floor_db(window, RATES_HZ[name]) > 15
        assert over_floor_db(before, RATES_HZ[name]) < 12


def line_gain_db(name: str, order: float, seed: int = 1) -> float:
    """Return how much a fault of 5 dB raises the power around an order of the shaft, in dB."""

    def power(windows: Samples) -> float:
        spectrum = np.fft.rfft((windows - windows.mean(axis=1, keepdims=True)) * np.hanning(12000)[:, None], axis=1)
        at = round(order * SHAFT_HZ)
        return float(np.square(np.abs(spectrum[:, at - 1 : at + 2])).sum())

    return float(10 * np.log10(power(with_fault(HEALTHY, Fault(name, 5.0), PLACE, seed)) / power(HEALTHY)))


@pytest.mark.parametrize(
    ("name", "raised", "kept"),
    [
        ("imbalance", (1.0,), (0.5, 2.0, 3.0)),
        ("misalignment", (2.0, 3.0), (0.5, 4.0)),
        ("looseness", (0.5, 1.5, 2.5, 4.0), ()),
        ("gear_tooth", (18.0, 19.0, 20.0, 38.0), (0.5, 2.5)),
    ],
)
def test_faults_of_the_shaft_raise_its_lines(name: str, raised: tuple[float, ...], kept: tuple[float, ...]) -> None:
    assert all(line_gain_db(name, order) > 3 for order in raised)
    assert all(line_gain_db(name, order) < 1 for order in kept)


@pytest.mark.parametrize(("name", "order"), [("looseness", 0.5), ("gear_tooth", 1.0)])
def test_impacts_follow_the_shaft(name: str, order: float) -> None:
    made = with_fault(HEALTHY, Fault(name, 5.0, offset=0.05), PLACE, 1)
    assert all(over_floor_db(window, 5 * order * SHAFT_HZ) > 15 for window in made)


def test_the_rate_moves_by_the_offset() -> None:
    made = with_fault(HEALTHY, Fault("outer_race", 5.0, slip=0.0, offset=0.05), PLACE, 1)[0]
    assert over_floor_db(made, 1.05 * RATES_HZ["outer_race"]) > 15
    assert over_floor_db(made, RATES_HZ["outer_race"] - 1) < 10


def test_a_load_zone_makes_side_bands() -> None:
    def side_db(load: float) -> float:
        made = with_fault(HEALTHY, Fault("inner_race", 10.0, slip=0.0, load=load), PLACE, 2)
        sides = [over_floor_db(window, 2 * RATES_HZ["inner_race"] + SHAFT_HZ) for window in made]
        return float(np.mean(sides))

    assert side_db(1.0) > side_db(0.0) + 5


def test_slip_widens_the_harmonics() -> None:
    def line_db(slip: float) -> float:
        made = with_fault(HEALTHY, Fault("outer_race", 10.0, slip=slip), PLACE, 2)
        return float(np.mean([over_floor_db(window, 4 * RATES_HZ["outer_race"]) for window in made]))

    assert line_db(0.0) > line_db(0.03) + 5


def test_noise_has_the_stated_ratio() -> None:
    clean = with_fault(HEALTHY, Fault("ball", 5.0), PLACE, 4)
    noisy = with_fault(HEALTHY, Fault("ball", 5.0, snr_db=-5.0), PLACE, 4)
    for made, quiet in zip(noisy, clean, strict=True):
        ratio = np.mean(np.var(quiet, axis=0)) / np.mean(np.var(made.astype(np.float64) - quiet, axis=0))
        assert 10 * np.log10(ratio) == pytest.approx(-5.0, abs=0.01)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_the_seed_decides(name: str) -> None:
    before = HEALTHY.copy()
    first, again, other = (with_fault(HEALTHY, Fault(name, 0.0), PLACE, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32 and first.shape == HEALTHY.shape and not np.array_equal(first, other)
    np.testing.assert_array_equal(HEALTHY, before)


def test_no_window_gives_no_window() -> None:
    assert with_fault(HEALTHY[:0], Fault("ball", 0.0), PLACE, 0).shape == (0, 12000, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("severity_db", 61.0), ("severity_db", float("nan")), ("slip", -0.01), ("offset", 0.2), ("load", 1.1)],
)
def test_impossible_faults_are_refused(name: str, value: Any) -> None:
    with refused(InvalidValueError, "out_of_range", name=name):
        replace(Fault("ball", 0.0), **{name: value})


def test_an_unknown_fault_and_a_negative_seed_are_refused() -> None:
    with refused(InvalidValueError, "out_of_range", name="fault", got="'rust'"):
        Fault("rust", 0.0)
    with refused(InvalidValueError, "out_of_range", name="seed", got=-1):
        with_fault(HEALTHY, Fault("ball", 0.0), PLACE, -1)
