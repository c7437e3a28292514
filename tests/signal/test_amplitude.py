"""Amplitude faults on machine-like signals are found, and sound signals of all kinds pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from damaged_counts import FAULTS, SIGNALS, N, resonances
from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.signal.quality import MAX_CLIPPED_SHARE, SensorLimits, defects_of_readings, find_defect
from drsn_edge.signal.windows import Window
from drsn_edge.verdicts import CLIPPED, REPEATED

FULL_SCALE = 32_700
SEEDS = range(12)


def defect(*axes: Any) -> str | None:
    counts = np.clip(np.rint(np.stack(axes, axis=1)), -(2**15), 2**15 - 1).astype(np.int16)
    return find_defect(Window(0, 0.0, counts, 0), SensorLimits(FULL_SCALE, 12_000.0), None)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_fault_of_one_axis_is_named(signal: str, fault: str) -> None:
    """A fault must be found in most windows, not in all: one with little effect on a window shows in the next."""
    change, reason = FAULTS[fault]
    rng = np.random.default_rng(99)
    said = []
    for seed in SEEDS:
        x = change(400 * SIGNALS[signal](seed), rng)
        said.append(defect(x, 300 * resonances(seed + 100)))
    assert all(each is not None for each in said) or fault == "wraps at the peaks", said
    assert said.count(reason) >= (0.5 if fault == "wraps at the peaks" else 0.75) * len(said), said


@pytest.mark.parametrize("level", [2, 8, 40, 700, 6000])
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_sound_signal_passes_at_any_level(signal: str, level: float) -> None:
    for seed in SEEDS:
        assert defect(level * SIGNALS[signal](seed)) is None
        if level > 100:
            assert defect(32 * np.rint(level * SIGNALS[signal](seed) / 32)) is None  # of a coarser converter


T = np.arange(N)
TONES = {
    "tone": 9000 * np.sin(0.123 * T),
    "slow tone": 9000 * np.sin(0.0059 * T),
    "tone of 8 samples": 9000 * np.sin(2 * np.pi * T / 8),
    "tone of 40 samples": 9000 * np.sin(2 * np.pi * T / 40),
    "tone just below a power of two": 8190 * np.sin(2 * np.pi * 0.31 * T),
    "two tones": 3000 * np.sin(0.123 * T) + 2000 * np.sin(1.9 * T),
    "beat": 3000 * np.sin(0.1 * T) + 3000 * np.sin(0.11 * T),
    "tone with its third": 3000 * np.sin(0.1 * T) + 500 * np.sin(0.3 * T),
    "drift": 2.0 * T + 100 * resonances(1),
    "gravity": 2048 + 100 * resonances(1),
    "run-up": 3000 * np.sin(0.3 * T + 0.00001 * T * T),
}


@pytest.mark.parametrize("tone", TONES)
def test_a_tone_passes(tone: str) -> None:
    assert defect(TONES[tone]) is None
    assert defect(TONES[tone] + np.random.default_rng(0).normal(size=N)) is None


@pytest.mark.parametrize("kind", ["normal", "uniform", "laplace", "impulsive"])
def test_noise_passes(kind: str) -> None:
    """Noise alone is a sound signal here; another check finds it."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        noise = {
            "normal": rng.normal(size=N), "uniform": rng.uniform(-1, 1, N), "laplace": rng.laplace(size=N),
            "impulsive": 0.05 * resonances(seed) + rng.normal(size=N) * (rng.random(N) < 1 / 128),
        }[kind]  # fmt: skip
        assert defect(800 * noise) is None


@settings(max_examples=60, deadline=None)
@given(
    level=st.floats(0.3, 30), tone=st.floats(0, 30), seed=st.integers(0, 10_000), signal=st.sampled_from([*SIGNALS]),
    offset=st.integers(-3000, 3000), axes=st.integers(1, 3), n=st.sampled_from([64, 256, 1000, 1024, 4096]),
)  # fmt: skip
def test_a_sound_signal_of_few_levels_is_not_withheld(
    level: float, tone: float, seed: int, signal: str, offset: int, axes: int, n: int
) -> None:
    """Few levels, as from an 8-bit sensor, or an ADXL345 with 3.9 mg per count on a machine that hardly vibrates."""
    pure = tone * np.sin(2 * np.pi * np.random.default_rng(seed).uniform(0.002, 0.4) * np.arange(n))
    found = defect(*(pure + offset + level * SIGNALS[signal](seed + axis, n) for axis in range(axes)))
    assert found in (None, "stuck", "flat line"), found


_LINES = ((1, 3), (2, 2), (3, 1))
"""Orders of a shaft, with their amplitudes."""


@pytest.mark.parametrize("n", [256, 384, 512])
def test_short_windows_of_a_sound_machine_are_not_clipped(n: int) -> None:
    rng = np.random.default_rng(5)
    time_s = np.arange(120_000) / 3200
    shaft = sum(amplitude * np.sin(2 * np.pi * 24.7 * order * time_s + order) for order, amplitude in _LINES)
    counts = np.rint(2000 * (shaft + 0.5 * rng.normal(size=len(time_s)))).astype(np.int32)
    windows = counts[: len(counts) // n * n].reshape(-1, n, 1)
    found = defects_of_readings([*windows], [np.inf] * len(windows), [MAX_CLIPPED_SHARE] * len(windows))
    assert found.count(CLIPPED) <= 0.002 * len(windows)


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("times", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", SEEDS)
def test_values_that_are_read_several_times_are_repeated(kind: str, times: int, seed: int) -> None:
    held = np.repeat(SIGNALS[kind](seed), times)[:N]
    assert defect(300 * held, 200 * np.roll(held, times)) == REPEATED


@pytest.mark.parametrize("ratio", [2.3, 3.7, 5.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_values_that_are_read_at_a_broken_multiple_are_repeated(ratio: float, seed: int) -> None:
    held = resonances(seed)[(np.arange(N) / ratio).astype(int)]
    assert defect(300 * held) == REPEATED


@pytest.mark.parametrize("spread", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_coarse_or_slow_sensor_does_not_repeat(spread: float, seed: int) -> None:
    noise, slow = np.random.default_rng(seed).normal(size=N), np.sin(0.01 * np.arange(N))
    assert defect(spread * noise) is None
    assert defect(20 * slow + spread * noise) is None
