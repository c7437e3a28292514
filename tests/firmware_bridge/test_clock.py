from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.clock import ClockFit, HostClock, HostRate, RateAlarm, RateChange, robust_line

Delay = Callable[[np.random.Generator], float]


def test_no_rate_before_enough_was_seen() -> None:
    few, short, still = ClockFit(), ClockFit(), ClockFit(min_span_s=0.0)
    for block in range(7):
        few.add(block * 4000, float(block))
    for block in range(100):
        short.add(block, block / 1000)
        still.add(block, 5.0)
    assert few.sample_rate_hz is short.sample_rate_hz is still.sample_rate_hz is None


def test_the_rate_of_a_sensor_that_is_off() -> None:
    fit = ClockFit()
    for first in range(0, 40_000, 80):
        fit.add(first, first / 3880.0)
    assert fit.sample_rate_hz == pytest.approx(3880.0, rel=1e-12)


def test_stable_over_three_days_with_jitter_and_holes() -> None:
    rng = np.random.default_rng(5)
    firsts = np.flatnonzero(rng.random(40_000) > 0.3) * 26_000 + 10**11
    times = firsts / 4123.4 + rng.uniform(0, 1e-3, len(firsts))
    fit = ClockFit()
    for first, time_s in zip(firsts.tolist(), times.tolist(), strict=True):
        fit.add(first, time_s)
    assert fit.sample_rate_hz == pytest.approx(4123.4, rel=1e-9)
    expected = np.polyfit(times - times.mean(), (firsts - firsts[0]).astype(float), 1)[0]
    assert fit.sample_rate_hz == pytest.approx(expected, rel=1e-12)


def test_reset_forgets() -> None:
    fit = ClockFit()
    for rate in (1000.0, 2000.0):
        fit.reset()
        assert fit.sample_rate_hz is None
        for first in range(0, 10_000, 100):
            fit.add(first, first / rate)
    assert fit.sample_rate_hz == pytest.approx(2000.0)


def test_the_uncertainty_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(200) / 10
    index = np.rint(1000 * times + rng.normal(0, 3, 200)).astype(int)
    fit = ClockFit()
    for first, time_s in zip(index.tolist(), times.tolist(), strict=True):
        fit.add(first, time_s)
    (slope, _), covariance = np.polyfit(times, index, 1, cov=True)
    assert fit.rate is not None
    assert fit.rate.hz == pytest.approx(slope, rel=1e-10)
    assert fit.rate.uncertainty_hz == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-6)


# The host's clock.

DELAYS: dict[str, Delay] = {
    "normal": lambda rng: rng.normal(0, 1e-3),
    "late only": lambda rng: rng.exponential(1e-3),
    "stalls of 50 ms": lambda rng: rng.exponential(1e-3) + 0.05 * (rng.random() < 0.05),
    "one stall of 2 s": lambda rng: rng.exponential(1e-3),
}


def streamed(off: float, kind: str, seed: int, seconds: float = 30.0) -> HostRate:
    """A device whose clock, and with it its sensor, is off by a share; blocks of 80 samples, 3200 Hz nominal."""
    rng, fit = np.random.default_rng(seed), HostRate()
    for block in range(round(seconds * 40)):
        host_s = block * 80 / (3200 * (1 + off))
        late_s = DELAYS[kind](rng)
        if kind == "one stall of 2 s" and 10 <= host_s < 12:
            late_s += 12 - host_s
        fit.add(block * 80, block * 80 / 3200, 1e6 + host_s + late_s)
    return fit


@pytest.mark.parametrize("kind", DELAYS)
@pytest.mark.parametrize("off", [-0.03, -0.001, 0.03])
def test_the_rate_by_the_hosts_clock_is_known_within_50_ppm_after_30_s(off: float, kind: str) -> None:
    errors = []
    for seed in range(5):
        rate = streamed(off, kind, seed).rate
        assert rate is not None
        errors.append(rate.hz / (3200 * (1 + off)) - 1)
        assert rate.uncertainty_hz / rate.hz < 20e-6
    assert np.abs(errors).max() < 50e-6


def test_no_rate_by_the_hosts_clock_before_enough_was_seen_and_after_a_restart() -> None:
    assert streamed(0.01, "normal", 0, seconds=1.0).rate is None
    fit = streamed(0.01, "normal", 0, seconds=10.0)
    assert fit.rate is not None
    fit.reset()
    assert fit.rate is None


def test_days_take_no_more_memory_than_minutes() -> None:
    clock, rng = HostClock(), np.random.default_rng(1)
    for second in range(0, 3 * 86400, 20):
        clock.add(second * 1.00002, second + rng.exponential(1e-3))
    assert len(clock._cells) <= HostClock.CELLS
    ratio = clock.seconds_per_second
    assert ratio is not None and ratio.value == pytest.approx(1.00002, abs=1e-8)


def test_a_line_through_most_of_the_points() -> None:
    x = np.arange(60.0)
    y = 3 + 2 * x + np.random.default_rng(0).normal(0, 0.01, 60)
    y[::5] += 50  # a fifth of them are nonsense
    offset, slope, uncertainty = robust_line(x, y)
    assert (offset, slope) == (pytest.approx(3, abs=0.02), pytest.approx(2, abs=0.001))
    assert abs(slope - 2) < 4 * uncertainty


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.0, 0.0, 1e-12, 0.5, 1e9])), min_size=3, max_size=60),
    st.floats(-10, 10),
)
def test_a_line_through_whatever_points(points: list[tuple[int, float]], slope: float) -> None:
    x = np.cumsum([step for step, _ in points]).astype(float)
    assert np.isfinite(robust_line(x, slope * x + [late for _, late in points])).all()


def test_a_buffer_that_is_played_at_once_says_nothing_of_a_clock() -> None:
    clock = HostClock()
    for second in range(100):
        clock.add(float(second), 7.0)
    assert clock.seconds_per_second is None and clock.stamp(99.0) is None


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 0.5)), min_size=30, max_size=200),
    st.lists(st.integers(0, 150), max_size=3),
)
def test_times_never_jump_back(steps: list[tuple[float, float]], restarts: list[int]) -> None:
    clock, device_s, host_s, given_s = HostClock(), 0.0, 0.0, []
    for number, (step_s, late_s) in enumerate(steps):
        if number in restarts:
            clock.reset()
            device_s = 0.0
        device_s, host_s = device_s + step_s, host_s + step_s * 1.02
        clock.add(device_s, host_s + late_s)
        time_s = clock.stamp(device_s)
        given_s += [] if time_s is None else [time_s]
    assert given_s == sorted(given_s)


def test_a_stamp_is_when_the_sample_was_taken() -> None:
    fit = streamed(0.03, "late only", 3)
    taken_s = fit.host.stamp(29.9)
    assert taken_s == pytest.approx(1e6 + 29.9 / 1.03, abs=1e-3)


# Rates that change.


def changes(step: float, stamp_s: float, seed: int = 0, block: int = 16, rate_hz: float = 3200.0) -> list[RateChange]:
    """A device that samples faster by a share from 10 s on, whose stamps scatter by up to stamp_s."""
    rng, alarm, found, time_s = np.random.default_rng(seed), RateAlarm(), [], 0.0
    for number in range(round(20 * rate_hz / block)):
        change = alarm.add(number * block, time_s + rng.uniform(-stamp_s, stamp_s))
        found += [change] if change else []
        time_s += block / (rate_hz * (1 + (step if time_s >= 10 else 0)))
    return found


@pytest.mark.parametrize("stamp_s", [0.0, 3e-4, 1e-3])
@pytest.mark.parametrize("step", [0.005, -0.005, 0.03])
def test_a_step_of_half_a_percent_is_noticed_within_a_second(step: float, stamp_s: float) -> None:
    for seed in range(3):
        first, *_ = changes(step, stamp_s, seed)
        assert 10 < first.device_time_s < 11
        assert first.before_hz == pytest.approx(3200, rel=3e-4) and np.sign(first.relative) == np.sign(step)


def test_a_step_of_a_slow_device_is_noticed_within_a_few_blocks() -> None:
    first, *_ = changes(0.03, 1e-4, rate_hz=100.0)
    assert 10 < first.device_time_s < 10 + 10 * 0.16


def test_a_rate_that_stays_raises_no_alarm() -> None:
    for seed in range(5):
        assert changes(0.0, 1e-3, seed) == []


def test_a_rate_that_creeps_is_noticed_against_the_first() -> None:
    alarm, time_s, found = RateAlarm(), 0.0, []
    for number in range(60 * 200):
        change = alarm.add(number * 16, time_s)
        found += [change] if change else []
        time_s += 16 / (3200 * (1 + 1e-4 * time_s))  # 0.1 % in ten seconds
    assert found and found[0].relative == pytest.approx(0.0025, rel=0.1)


def test_a_clock_that_was_set_back_begins_anew_and_spoils_no_rate() -> None:
    rates, alarm = HostRate(), RateAlarm()
    for number in range(6_000):
        time_s = number * 32 / 4000
        device_s = time_s if time_s < 20 else time_s - 1.0
        rates.add(number * 32, device_s, time_s + 0.001)
        assert alarm.add(number * 32, device_s) is None
    rate = rates.best(4000.0)
    assert rate is not None and rate.hz == pytest.approx(4000.0, rel=1e-6)
    for number in range(1000):  # and it watches on
        change = alarm.add((6_000 + number) * 32, 47.0 + number * 32 / 4100)
        if change is not None:
            break
    assert change is not None and 0.0025 < change.relative < 0.03


def test_the_best_rate_says_by_whose_clock_it_is() -> None:
    rates = HostRate()
    assert rates.best(4000.0) is None
    for number in range(6_000):
        rates.add(number * 32, number * 32 / 4000, number * 32 / 4004 + 0.001)
    by_host, played_faster = rates.best(4000.0), rates.best(3000.0)
    assert by_host is not None and by_host.clock == "host" and by_host.hz == pytest.approx(4004.0, rel=1e-5)
    assert played_faster is not None and played_faster.clock == "sensor"
    assert played_faster.hz == pytest.approx(4000.0, rel=1e-6)


def test_a_clock_that_runs_backwards_gives_no_rate() -> None:
    fit = ClockFit()
    for number in range(1000):
        fit.add(number * 32, (1000 - number) / 125)
    assert fit.rate is None
