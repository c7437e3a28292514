"""Checks of a whole recording: plateaus, wraps of any size, and held values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drsn_edge.signal.whole import Whole
from drsn_edge.verdicts import CLIPPED, WRAPPED

N, WINDOW = 16_384, 512
SEEDS = range(6)


def machine(seed: int, n: int = N) -> Any:
    """Counts of a shaft with harmonics and noise; RMS about 1000, shape (n,)."""
    rng = np.random.default_rng(seed)
    turns = 0.03 * (1 + 0.1 * rng.uniform()) * np.arange(n)
    x = sum(np.sin(2 * np.pi * k * turns + rng.uniform(0, 6)) / k for k in (1, 2, 7)) + 0.2 * rng.normal(size=n)
    return 1000 * x


def defects(*axes: Any, window: int = WINDOW) -> list[str | None]:
    whole = Whole(np.rint(np.stack(axes, axis=1)).astype(np.int32))
    return [whole.defect_of(start, start + window) for start in range(0, N - window + 1, window)]


@pytest.mark.parametrize("seed", SEEDS)
def test_sound_recordings_pass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    others = (300 * rng.normal(size=N), 3 * rng.normal(size=N), 500 * rng.uniform(-1, 1, N))
    for axis in (machine(seed), *others):
        assert set(defects(axis)) == {None}


@pytest.mark.parametrize("quantile", [0.9, 0.99, 0.995])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_plateau_of_the_recording_is_clipping_in_each_window_that_reaches_it(quantile: float, seed: int) -> None:
    x = np.rint(machine(seed))
    limit = np.rint(np.quantile(x, quantile))
    found = defects(np.minimum(x, limit), machine(seed + 50))
    reached = [bool((x[start : start + WINDOW] >= limit).any()) for start in range(0, N - WINDOW + 1, WINDOW)]
    assert [reason == CLIPPED for reason in found] == reached


@pytest.mark.parametrize("half", [2000, 1777, 1200])
@pytest.mark.parametrize("seed", SEEDS)
def test_wraps_of_any_size_are_found(half: int, seed: int) -> None:
    x = machine(seed)
    found = defects((x + half) % (2 * half) - half)
    outside = (np.abs(x) > half).reshape(-1, WINDOW).any(axis=1)
    assert sum(reason == WRAPPED for reason in found) >= 0.8 * outside.sum()
    assert all(is_out for reason, is_out in zip(found, outside, strict=True) if reason is not None)


@pytest.mark.parametrize("span", [40_000, 65_536])
@pytest.mark.parametrize("seed", SEEDS)
def test_readings_without_their_sign_wrap(span: int, seed: int) -> None:
    x = machine(seed)
    assert set(defects(np.where(x < 0, x + span, x))) == {WRAPPED}


def test_a_machine_that_is_switched_is_not_wrapped() -> None:
    x = machine(1)
    x[N // 2 :] *= 0.01
    on_and_off = np.where(np.arange(N) // 700 % 2 == 0, 200 + 0.05 * x, 20_000 + 0.1 * x)
    assert set(defects(x)) == {None} and set(defects(on_and_off)) == {None}


@pytest.mark.parametrize("held", [1.25, 1.5, 2, 2.5, 4, 10])
def test_the_number_of_repetitions_is_told(held: float) -> None:
    x = np.rint(machine(3))[(np.arange(N) / held).astype(int)]
    found = Whole(np.stack([x, 0 * x], axis=1).astype(np.int32)).held
    assert found == pytest.approx(held, rel=0.02)


def test_nothing_repeats_in_sound_and_in_dead_recordings() -> None:
    assert Whole(np.rint(machine(4))[:, None].astype(np.int32)).held is None
    assert Whole(np.zeros((N, 2), np.int32)).held is None
    assert Whole(np.zeros((0, 1), np.int32)).held is None
