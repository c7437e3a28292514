"""Repeated samples are found, and signals that repeat by nature pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.signal.repeats import MEMORY, RepeatWatch
from drsn_edge.signal.windows import Window

N, HOP = 1024, 512


def vibration(n: int, level: float = 300.0, axes: int = 1, seed: int = 0) -> Any:
    """A resonance that noise excites, in counts, shape (n, axes)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + 2, axes))
    for i in range(2, n + 2):
        x[i] += 1.2 * x[i - 1] - 0.8 * x[i - 2]
    return np.rint(level * x[2:] / x.std()).astype(np.int32)


def said(counts: Any, watch: RepeatWatch | None = None, first: int = 0) -> list[bool]:
    watch = watch or RepeatWatch()
    starts = range(0, len(counts) - N + 1, HOP)
    return [watch.repeats(Window(first + at, 0.0, counts[at : at + N], 0)) for at in starts]


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("level", [3.0, 300.0])
@pytest.mark.parametrize("period", [64, 100, 512, 777, 1024, 2048, 5000, 16_000])
def test_a_frozen_buffer_of_any_length(period: int, level: float, axes: int) -> None:
    counts = np.tile(vibration(period, level, axes), (40_000 // period + 1, 1))
    found = said(counts)
    again = [hit for hit, at in zip(found, range(0, len(counts), HOP), strict=False) if at >= period]
    late = [hit for hit, at in zip(found, range(0, len(counts), HOP), strict=False) if at >= period + 8 * HOP]
    assert np.mean(again) > 0.7 and all(late)
    assert not any(hit for hit, at in zip(found, range(0, len(counts), HOP), strict=False) if at + N <= period)


@pytest.mark.parametrize("block", [16, 32, 64, 128, 256])
def test_each_block_twice(block: int) -> None:
    whole = vibration(4096)[: 4096 // block * block].reshape(-1, block, 1)
    assert all(said(whole.repeat(2, axis=0).reshape(-1, 1))[1:])


@pytest.mark.parametrize("lag", [64, 512, 3000, 15_000])
def test_an_old_block_in_place_of_a_new_one_spoils_the_windows_that_hold_it(lag: int) -> None:
    counts = vibration(24_000)
    counts[20_000:20_064] = counts[20_000 - lag : 20_064 - lag]
    spoilt = [at for at, hit in zip(range(0, len(counts), HOP), said(counts), strict=False) if hit]
    assert spoilt == [at for at in range(0, 24_000 - N + 1, HOP) if at < 20_064 and at + N > 20_064 - 32]


def test_what_comes_again_later_than_the_memory_reaches_is_a_recording_played_again() -> None:
    counts = vibration(MEMORY + 1000)
    assert not any(said(np.tile(counts, (4, 1))))


def test_a_gap_does_not_make_it_forget_and_a_restart_does() -> None:
    watch, counts = RepeatWatch(), vibration(6 * N)
    assert not any(said(counts, watch))
    assert not watch.repeats(Window(6 * N, 0.0, counts[:N], 5))  # lacks samples and does not count
    assert all(said(counts[:N], watch, first=9 * N))
    watch.reset()
    assert not any(said(counts, watch))


TONES = {
    "period of 40 samples": 9000 * np.sin(2 * np.pi * np.arange(40_000) / 40),
    "period of 8": 9000 * np.sin(2 * np.pi * np.arange(40_000) / 8 + 0.3),
    "three tones": sum(a * np.sin(2 * np.pi * np.arange(40_000) / p) for a, p in ((900, 32), (500, 20), (100, 5))),
    "tone of 159.2 Hz at 4000": 9000 * np.sin(2 * np.pi * 159.2 / 4000 * np.arange(40_000)),
    "tone of few counts": 2.4 * np.sin(2 * np.pi * np.arange(40_000) / 50),
    "nothing but 0 and 1": (np.arange(40_000) % 1000 < 3) * 1.0,
    "a square": 100.0 * (np.arange(40_000) % 200 < 100),
}


@pytest.mark.parametrize("tone", TONES)
def test_a_tone_repeats_itself_by_its_nature(tone: str) -> None:
    assert not any(said(np.rint(TONES[tone])[:, None].astype(np.int32)))


@settings(max_examples=25, deadline=None)
@given(level=st.floats(0.05, 8), axes=st.integers(1, 3), seed=st.integers(0, 10_000), tone=st.floats(0, 30))
def test_a_signal_of_few_levels_repeats_nothing(level: float, axes: int, seed: int, tone: float) -> None:
    """Few levels, as from an 8-bit sensor, or an ADXL345 with 3.9 mg per count on a machine that hardly vibrates."""
    rng = np.random.default_rng(seed)
    n = 12_000
    pure = tone * np.sin(2 * np.pi * rng.uniform(0.001, 0.4) * np.arange(n))[:, None]
    assert not any(said(np.rint(pure + level * rng.normal(size=(n, axes))).astype(np.int32)))
