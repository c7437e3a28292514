from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.clock import ClockFit


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
