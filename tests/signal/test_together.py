"""Windows that are checked together get the answers that each gets by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from damaged_counts import FAULTS, SIGNALS
from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.signal import quality
from drsn_edge.signal.ordered import batch_of
from drsn_edge.signal.quality import SensorLimits, find_defect, find_defects
from drsn_edge.signal.repeats import RepeatWatch
from drsn_edge.signal.windows import Window
from drsn_edge.verdicts import RATE_OFF

LENGTHS = (16, 64, 255, 256, 511, 512, 700, 1000, 1024, 4096)


def axis_of(rng: Any, n: int) -> Any:
    """Counts of an axis, sound or damaged, shape (n,)."""
    t = np.arange(n)
    kinds = [
        lambda: rng.normal(size=n), lambda: rng.uniform(-1, 1, n), lambda: rng.laplace(size=n),
        lambda: np.sin(rng.uniform(0.01, 3) * t), lambda: np.sin(2 * np.pi * t / rng.choice([4, 8, 40])),
        lambda: SIGNALS[rng.choice([*SIGNALS])](int(rng.integers(1000)), max(n, 256))[:n],
    ]  # fmt: skip
    x = np.exp(rng.uniform(-1, 9)) * kinds[rng.integers(len(kinds))]() + rng.choice([0, 0, 1000])
    if n >= 512 and rng.random() < 0.4:
        x = FAULTS[rng.choice([*FAULTS])][0](x, rng)
    at, longest = int(rng.integers(n)), int(rng.integers(2, 30))
    match rng.integers(12):
        case 0:
            x[at : at + longest] = x[at]
        case 1:
            x = np.repeat(x, longest)[:n]
        case 2:
            x[:] = x[at]
        case 3:
            x = np.abs(x)
        case 4:
            x[at] = rng.choice([32_767, -32_768, 400])
        case 5:
            x = 32 * np.rint(x / 32)
    return x


def window_of(rng: Any, n: int, axes: int) -> Window:
    counts = np.clip(np.rint(np.stack([axis_of(rng, n) for _ in range(axes)], axis=1)), -(2**15), 2**15 - 1)
    found = counts.astype(np.int16) if rng.random() < 0.6 else (256 * counts).astype(np.int32)
    return Window(0, 0.0, found, int(rng.random() < 0.05), bool(rng.random() < 0.05))


def limits_of(rng: Any, window: Window) -> SensorLimits:
    full_scale = rng.choice([32_767.0, 32_700.0, 4095.0, 500.0, 8_388_607.0])
    return SensorLimits(full_scale, 4000.0, int(rng.choice([1, 2])))


def by_the_checks_alone(window: Window, limits: SensorLimits) -> str | None:
    """The reason by all checks in order, whether suspect or not."""
    full_scale = min(limits.full_scale_counts, np.iinfo(window.counts.dtype).max)
    whole = batch_of([window.counts], [full_scale], [quality.MAX_CLIPPED_SHARE / limits.factor]).window(0)
    return next((reason for _, reason, is_so in quality._CHECKS if is_so(whole)), None)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 40), axes=st.integers(1, 6), mixed=st.booleans())
def test_damage_is_found_as_by_all_checks_of_each_window(seed: int, n: int, axes: int, mixed: bool) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.choice(LENGTHS, 2 if mixed else 1)
    windows = [window_of(rng, int(rng.choice(lengths)), axes) for _ in range(n)]
    limits = [limits_of(rng, each) for each in windows]
    rates = [float(rng.choice([4000, 4081])) if rng.random() < 0.5 else None for _ in windows]
    found = find_defects(windows, limits, rates)
    assert found == [find_defect(*each) for each in zip(windows, limits, rates, strict=True)]
    order = rng.permutation(n)
    again = find_defects([windows[at] for at in order], [limits[at] for at in order], [rates[at] for at in order])
    assert again == [found[at] for at in order]
    for window, limit, rate_hz, reason in zip(windows, limits, rates, found, strict=True):
        if not window.lost_samples and not window.has_seam:
            is_off = rate_hz is not None and rate_hz > 4080
            assert reason == (by_the_checks_alone(window, limit) or (RATE_OFF if is_off else None))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_among_sound_windows_is_found_where_it_is(fault: str) -> None:
    rng = np.random.default_rng(1)
    windows = [np.rint(400 * SIGNALS["resonances"](seed)) for seed in range(30)]
    for at in range(0, 30, 3):
        windows[at] = FAULTS[fault][0](windows[at], rng)
    counts = [np.clip(each, -(2**15), 2**15 - 1).astype(np.int16)[:, None] for each in windows]
    limits = SensorLimits(32_700.0, 4000.0)
    found = find_defects([Window(0, 0.0, each, 0) for each in counts], [limits] * 30, [None] * 30)
    assert found == [by_the_checks_alone(Window(0, 0.0, each, 0), limits) for each in counts]
    assert any(found[::3]) and not any(found[1::3] + found[2::3])


# --- repeated samples ----------------------------------------------------------------------------------------------


def stream_of(rng: Any, n: int, axes: int) -> Any:
    """Counts, shape (n, axes), with blocks that repeat earlier ones."""
    level = rng.choice([0.3, 3, 300])
    tone = np.sin(2 * np.pi * np.arange(n) / rng.choice([8, 40, 50.3]))[:, None]
    counts = np.rint(level * (rng.normal(size=(n, axes)) if rng.random() < 0.7 else tone * np.ones(axes)))
    if rng.random() < 0.2:
        counts = np.resize(counts[: int(rng.integers(16, 5000))], (n, axes))
    for _ in range(rng.integers(6)):
        length, lag = int(rng.integers(8, 2000)), int(rng.integers(1, 20_000))
        at = int(rng.integers(n))
        if at >= lag:
            counts[at : at + length] = np.resize(counts[at - lag : at], (length, axes))[: n - at]
    return counts.astype(rng.choice([np.int16, np.int32]))


def windows_of(rng: Any, counts: Any, window: int, hop: int) -> list[Window]:
    """Windows of a stream with losses, gaps, overlaps of another size, and restarts that nobody told of."""
    windows, first, at = [], 0, 0
    while at + window <= len(counts):
        windows.append(Window(first + at, 0.0, counts[at : at + window], int(rng.random() < 0.05)))
        change = rng.random()
        if change < 0.02:
            first = -at
        elif change < 0.04:
            first += int(rng.integers(1, 5000))
        elif change < 0.06:
            at -= hop
        at += hop
    return windows


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32), window=st.sampled_from([16, 256, 1024, 4096]), axes=st.integers(1, 6),
    step=st.sampled_from([0.25, 0.5, 1.0, 1.5]), memory=st.sampled_from([300, 2048, 16_384]), share=st.floats(0, 1),
)  # fmt: skip
def test_repetitions_are_found_alike_however_windows_are_grouped(
    seed: int, window: int, axes: int, step: float, memory: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    windows = windows_of(rng, stream_of(rng, 40_000 if window > 16 else 2000, axes), window, int(step * window))
    alone, together = RepeatWatch(memory), RepeatWatch(memory)
    group: list[Window] = []
    expected, found = [], []
    for each in windows:
        change = rng.random()
        if group and (change < share or change > 0.98):
            found += together.repeat(group)
            group = []
        if not group and change > 0.99:
            alone.reset(), together.reset()
        elif not group and change > 0.98:
            alone.remember(2 * memory), together.remember(2 * memory)
        expected.append(alone.repeats(each))
        group.append(each)
    assert found + together.repeat(group) == expected


def test_a_block_is_compared_with_the_last_one_before_it_alone() -> None:
    """A third copy, of which only the first lies outside the memory, is found by the second."""
    rng = np.random.default_rng(0)
    counts = rng.integers(-300, 300, (30_000, 3)).astype(np.int16)
    counts[9000:9200] = counts[17_000:17_200] = counts[1000:1200]
    whole = [Window(at, 0.0, counts[at : at + 1000], 0) for at in range(0, 30_000, 1000)]
    assert [at for at, hit in enumerate(RepeatWatch(9000).repeat(whole)) if hit] == [9, 17]
    assert [at for at, hit in enumerate(RepeatWatch(7000).repeat(whole)) if hit] == []
