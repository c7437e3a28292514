"""Shortened and cut-out copies are found to the sample; signals that merely look alike are not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drsn_edge.datasets.copies import SHORTEST, Shared, shared_stretches
from drsn_edge.recordings.loading.load import load_recordings

Samples = NDArray[np.float32]


def noise(n: int, seed: int, lsb: float = 0.0, axes: int = 1) -> Samples:
    values = np.random.default_rng(seed).normal(size=(n, axes))
    return (np.round(values / lsb) * lsb if lsb else values).astype(np.float32)


def sine(n: int, period: float, phase: float = 0.0, steps: int = 127) -> Samples:
    """Return a sine without noise, rounded as an 8-bit converter does."""
    turns = np.arange(n)[:, None] / period + phase
    return np.round(steps * np.sin(2 * np.pi * turns)).astype(np.float32)


@given(
    start=st.integers(0, 3000),
    length=st.integers(400, 2000),
    before=st.integers(0, 600),
    after=st.integers(0, 600),
    lsb=st.sampled_from([0.0, 0.01, 0.25]),
    axes=st.integers(1, 3),
    seed=st.integers(0, 999),
)
@settings(max_examples=100, deadline=None)
def test_a_cut_is_found_to_the_sample(
    start: int, length: int, before: int, after: int, lsb: float, axes: int, seed: int
) -> None:
    """The cut may lie between samples of another origin; rounded neighbours may agree by chance."""
    original = noise(5000, seed, lsb, axes)
    head, tail, other = (noise(n, seed + 1000 * i, lsb, axes) for i, n in ((1, before), (2, after), (3, 900)))
    cut = np.concatenate([head, original[start : start + length], tail])
    [shared] = shared_stretches([original, other, cut])
    assert (shared.first, shared.second, shared.offset) == (0, 2, before - start)
    assert shared.start <= start and shared.stop >= start + length
    assert shared.stop - shared.start <= length + 12
    assert lsb or (shared.start, shared.stop) == (start, start + length)


@pytest.mark.parametrize("trim", [slice(1, None), slice(None, -1), slice(700, None), slice(0, 200), slice(100, 900)])
def test_a_shortened_file_is_found(trim: slice) -> None:
    original = noise(1000, 0)
    start, stop, _ = trim.indices(1000)
    assert shared_stretches([original, original[trim]]) == [Shared(0, 1, -start, start, stop)]
    assert shared_stretches([original[trim], original]) == [Shared(0, 1, start, 0, stop - start)]


def test_a_common_part_of_two_cuts_is_found() -> None:
    original = noise(3000, 0)
    cuts = [original[:2000], noise(500, 1), original[1200:]]
    assert shared_stretches(cuts) == [Shared(0, 2, -1200, 1200, 2000)]


def test_a_sample_that_was_changed_parts_the_stretch() -> None:
    original = noise(2000, 0)
    changed = original[100:].copy()
    changed[900] += 1
    assert shared_stretches([original, changed]) == [Shared(0, 1, -100, 100, 1000), Shared(0, 1, -100, 1001, 2000)]


def test_both_zeros_are_one_number() -> None:
    original = noise(1000, 0, lsb=0.25)
    assert (original == 0).any()
    negated = np.where(original == 0, np.float32(-0.0), original)
    assert shared_stretches([original, negated[10:]]) == [Shared(0, 1, -10, 10, 1000)]


def test_cuts_of_one_recording_by_the_dozen_hang_together() -> None:
    """Every copy is linked to a neighbour, even if many files share a fingerprint."""
    original = noise(6000, 0)
    cuts = [original[10 * i : 10 * i + 4000] for i in range(40)]
    reached, edges = {0}, {(shared.first, shared.second) for shared in shared_stretches(cuts)}
    for _ in cuts:
        reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
    assert reached == set(range(40))


# No false alarms.


@given(
    lsb=st.sampled_from([0.0, 0.05, 0.5, 1.0, 2.0, 6.0]),
    axes=st.integers(1, 3),
    length=st.integers(1, 4000),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_noise_is_never_a_copy_however_coarse(lsb: float, axes: int, length: int, seed: int) -> None:
    assert shared_stretches([noise(length, seed * 5 + i, lsb, axes) for i in range(5)]) == []


@given(period=st.integers(2, 1900), phases=st.lists(st.integers(0, 2000), min_size=2, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_simulated_signal_that_repeats_exactly_is_never_a_copy(period: int, phases: list[int]) -> None:
    assert shared_stretches([sine(4000, period, phase / period)[i:] for i, phase in enumerate(phases)]) == []


@given(
    period=st.floats(2, 5000),
    phases=st.lists(st.floats(0, 1), min_size=2, max_size=5),
    steps=st.sampled_from([2, 10, 127]),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_the_same_signal_twice_is_no_copy_once_there_is_noise(
    period: float, phases: list[float], steps: int, seed: int
) -> None:
    """Noise of 0.3 steps, as a quiet 8-bit converter has, in the same phase or another."""
    rng = np.random.default_rng(seed)
    signals = [steps * np.sin(2 * np.pi * (np.arange(4000)[:, None] / period + phase)) for phase in phases]
    measured = [np.round(signal + rng.normal(0, 0.3, signal.shape)).astype(np.float32) for signal in signals]
    assert shared_stretches(measured) == []


@pytest.mark.parametrize("wander", [1e-6, 1e-4])
def test_smooth_signals_agree_by_chance_now_here_now_there_and_are_no_copies(wander: float) -> None:
    """A sine of varying speed carries little information: runs of 130 to 200 samples agree with others by chance."""
    rng = np.random.default_rng(0)
    signals = []
    for _ in range(6):
        speed = 1 + wander * np.cumsum(rng.normal(size=(120_000, 1)), axis=0)
        signals.append(np.round(127 * np.sin(np.cumsum(2 * np.pi / 400 * speed, axis=0))).astype(np.float32))
    assert shared_stretches(signals) == []


def test_a_sine_whose_turns_nearly_repeat_is_no_copy_of_another() -> None:
    """Without noise and with equal phases thousands of samples agree, but each turn agrees with many others."""
    phases = np.random.default_rng(0).uniform(0, 1, 20)
    assert shared_stretches([sine(120_000, 404.938268, phase) for phase in phases]) == []


def test_of_too_few_different_values_copies_are_not_told_from_chance() -> None:
    few = np.random.default_rng(0).integers(0, 4, (5000, 1)).astype(np.float32)
    more = np.random.default_rng(0).integers(0, 8, (5000, 1)).astype(np.float32)
    assert shared_stretches([few, few[100:]]) == []
    assert shared_stretches([more, more[100:]]) == [Shared(0, 1, -100, 100, 5000)]


def test_a_simulated_signal_that_does_not_repeat_counts_as_copied() -> None:
    """Nobody copied the recording, but its samples are the same."""
    signal = sine(4000, 73.123456789)
    assert shared_stretches([signal, signal[50:]]) == [Shared(0, 1, -50, 50, 4000)]


@pytest.mark.parametrize("wave", ["square", "impulses", "ramp"])
def test_other_waves_that_repeat_are_never_copies(wave: str) -> None:
    n = np.arange(20_000)
    shape = {"square": (n % 100 < 50) * 1.0, "impulses": (n % 160 == 0) * 50.0, "ramp": (n % 120) * 1.0}[wave]
    signal = shape[:, None].astype(np.float32)
    assert shared_stretches([signal, signal[37:], signal[1000:]]) == []


def test_silence_with_rare_steps_is_never_a_copy() -> None:
    rng = np.random.default_rng(0)
    quiet = [np.where(rng.random((20_000, 1)) < 0.01, 1, 0).astype(np.float32) for _ in range(8)]
    assert shared_stretches(quiet) == []
    assert shared_stretches([np.zeros((5000, 1), np.float32), np.zeros((4000, 1), np.float32)]) == []


def test_a_head_that_all_files_have_is_not_enough() -> None:
    """A sync pulse of less than the shortest stretch."""
    head = noise(SHORTEST - 1, 0)
    assert shared_stretches([np.concatenate([head, noise(3000, seed)]) for seed in (1, 2, 3)]) == []


def test_nothing_and_little_are_no_copies() -> None:
    assert shared_stretches([]) == []
    assert shared_stretches([noise(n, 0) for n in (1, 2, 31, 32, 33, 100)]) == []


@pytest.mark.parametrize("folder", ["cwru", "adi_mfs_mems", "fan_mems_ceiling"])
def test_real_recordings_are_no_copies_of_each_other(shared_data: Path, folder: str) -> None:
    assert shared_stretches([recording.samples for recording in load_recordings(shared_data / folder)]) == []


def test_a_cut_of_a_real_recording_is_found(shared_data: Path) -> None:
    recordings = [recording.samples for recording in load_recordings(shared_data / "adi_mfs_mems")]
    cut: Any = recordings[7][5000:9000]
    assert shared_stretches([*recordings, cut]) == [Shared(7, len(recordings), -5000, 5000, 9000)]


def test_it_is_quick() -> None:
    recordings = [noise(120_000, seed) for seed in range(40)]
    start = time.process_time()
    assert shared_stretches(recordings) == []
    assert time.process_time() - start < 4  # 0.4 s on an idle core
