"""Piles of readings at the outermost value: neither scale nor the lack of noise makes one."""

from __future__ import annotations

import numpy as np

from drsn_edge.datasets.damage import reasons_of

_WINDOW = 1024


def test_many_readings_beside_a_step_do_not_overflow() -> None:
    samples = (np.random.default_rng(3).normal(0, 20, 40 * _WINDOW).round().astype(np.int8)).astype(np.uint8)
    found, _ = reasons_of(samples[:, None].astype(np.float32), range(0, len(samples), _WINDOW), _WINDOW)
    assert set(found) == {"wrapped"}


def test_a_simulated_sum_of_sines_without_noise_is_not_clipped() -> None:
    time_s = np.arange(40 * _WINDOW) / 1600
    samples = np.sin(2 * np.pi * 50 * time_s) + 0.3 * np.sin(2 * np.pi * 130 * time_s)
    found, _ = reasons_of(samples[:, None].astype(np.float32), range(0, len(samples), _WINDOW), _WINDOW)
    assert set(found) == {None}


def test_the_same_sum_of_sines_is_clipped_at_a_limit() -> None:
    time_s = np.arange(40 * _WINDOW) / 1600
    samples = np.clip(np.sin(2 * np.pi * 50 * time_s) + 0.3 * np.sin(2 * np.pi * 130 * time_s), -0.9, 0.9)
    found, _ = reasons_of(samples[:, None].astype(np.float32), range(0, len(samples), _WINDOW), _WINDOW)
    assert set(found) == {"clipped"}
