"""Time stamps as devices and hosts write them: the rate, its spread, and missing samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.tables.timing import Timing, TimingMeter

Times = NDArray[np.float64]
INDEX = np.arange(6000)


def measured(times: Times, piece: int = 1000, unit_s: float = 1.0) -> Timing:
    """Measure stamps piece by piece."""
    meter = TimingMeter(unit_s)
    for first in range(0, len(times), piece):
        meter.add(times[first : first + piece])
    return meter.timing()


RATES = st.floats(50.0, 50e3)
ROUNDINGS = st.sampled_from([np.rint, np.floor, np.ceil])


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None, max_examples=30)
@given(RATES, st.sampled_from([1e-3, 1e-4, 1e-5, 1e-6]), ROUNDINGS, st.floats(0.0, 1.0), st.integers(500, 6000))
def test_rounded_stamps_give_the_mean_rate_without_holes(
    rate: float, resolution: float, rounding: np.ufunc, phase: float, piece: int
) -> None:
    timing = measured(rounding((INDEX + phase) / rate / resolution) * resolution, piece)
    if timing.step > 0 and timing.n_samples / timing.per_stamp > 30:
        assert timing.holes == 0
        assert timing.rate == pytest.approx(rate, rel=2e-3)


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None, max_examples=30)
@given(RATES, st.sampled_from([1e-3, 1e-4, 1e-6]), ROUNDINGS, st.integers(300, 5700), st.integers(500, 6000))
def test_missing_samples_are_found_behind_rounding(
    rate: float, resolution: float, rounding: np.ufunc, at: int, piece: int
) -> None:
    lost = 3 + int(3 * rate * resolution)
    index = np.where(at >= INDEX, INDEX, INDEX + lost)
    timing = measured(rounding(index / rate / resolution) * resolution, piece)
    if timing.n_samples / timing.per_stamp > 100:
        assert timing.holes >= 1 and timing.first is not None
        assert abs(timing.first.sample - at) <= 2 + timing.per_stamp


@pytest.mark.parametrize("size", [2, 6, 32, 100])
def test_batches(size: int) -> None:
    stamps = np.repeat(INDEX[::size] / 800, size)[: len(INDEX)]
    timing = measured(stamps[size // 2 :])
    assert (timing.holes, timing.per_stamp) == (0, pytest.approx(size, rel=0.05))
    assert timing.rate == pytest.approx(800, rel=1e-6) and timing.spread < 1e-6


def test_a_lost_batch_is_found_behind_the_delays_of_a_host() -> None:
    rng = np.random.default_rng(5)
    read_at = np.arange(0, 6000, 32) / 800 + rng.exponential(0.004, 188)
    assert measured(np.repeat(read_at, 32)).holes == 0
    read_at[100:] += 32 / 800
    timing = measured(np.repeat(read_at, 32))
    assert timing.holes == 1 and timing.first is not None and timing.first.sample == 3199


def test_delays_of_single_lines_are_no_holes() -> None:
    rng = np.random.default_rng(6)
    for scale in (0.1, 0.5, 2.0):
        timing = measured(np.maximum.accumulate(INDEX / 800 + rng.exponential(scale / 800, len(INDEX))))
        assert timing.holes == 0 and timing.rate == pytest.approx(800, rel=1e-3)


def test_a_clock_that_drifts_has_no_holes() -> None:
    timing = measured(np.cumsum(1 / 800 * (1 + 2e-3 * np.sin(INDEX / 500))))
    assert timing.holes == 0 and timing.spread == pytest.approx(1.4e-3, rel=0.1)


def test_one_lost_sample_among_even_stamps() -> None:
    for step, unit_s in ((0.01, 1.0), (1.0, 1e-3), (1250.0, 1e-6), (0.000040, 1.0)):
        times = step * np.delete(INDEX, 40).astype(float)
        timing = measured(times, unit_s=unit_s)
        assert (timing.holes, timing.first and timing.first.sample) == (1, 39)


@pytest.mark.parametrize(
    ("times", "rate", "step"),
    [([], 0.0, 0.0), ([3.0], 0.0, 0.0), ([0.0, 0.0, 0.0], 0.0, 0.0), ([2.0, 1.0, 0.0], 0.0, -1.0), ([0, 0.1], 10, 0.1)],
)
def test_few_stamps_and_such_that_do_not_rise(times: list[float], rate: float, step: float) -> None:
    timing = measured(np.array(times, float))
    assert (timing.rate, timing.step) == (pytest.approx(rate), pytest.approx(step))


def test_stamps_that_are_no_numbers_are_counted() -> None:
    timing = measured(np.array([0.0, np.nan, 0.2, np.inf, 0.4]))
    assert (timing.n_samples, timing.n_finite) == (5, 3)


@given(st.lists(st.floats(allow_nan=True), max_size=60), st.integers(1, 60))
def test_any_stamps(times: list[float], piece: int) -> None:
    with np.errstate(all="ignore"):
        timing = measured(np.array(times, float), piece)
    assert timing.n_samples == len(times)
