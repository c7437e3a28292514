from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.noise_alone import CHANCE, NEVER
from drsn_edge.training.feed import split_recordings
from drsn_edge.training.fit_noise_alone import MOST_WITHHELD, fit_noise_limit, stretches
from drsn_edge.training.settings import TrainSettings


def held_out(recordings: list[Recording], window: int) -> WindowSet:
    split = split_recordings(recordings, TrainSettings("time=0.5", window=window))
    return cut_spans(split.held_out, split.labels, window, window)


@pytest.mark.parametrize("window", [256, 1024])
def test_machines_cost_nothing(simulated: list[Recording], window: int) -> None:
    fit = fit_noise_limit(held_out(simulated, window))
    assert fit is not None and not fit.is_off
    assert fit.limit >= CHANCE and fit.found > 0.9
    assert fit.withheld == 0.0 and fit.withheld_noisy <= 0.05


def test_a_class_of_noise_switches_it_off_and_its_share_is_said(simulated: list[Recording]) -> None:
    windows = held_out(simulated, 1024)
    noise = np.random.default_rng(0).normal(size=windows.windows.shape).astype(np.float32)
    with_noise = replace(windows, windows=np.where((windows.labels == 0)[:, None, None], noise, windows.windows))
    fit = fit_noise_limit(with_noise)
    assert fit is not None and fit.is_off and fit.limit == NEVER and fit.found == 0.0
    assert fit.withheld == pytest.approx((windows.labels == 0).mean(), abs=0.1)


def test_a_weak_machine_raises_the_limit(simulated: list[Recording], monkeypatch: Any) -> None:
    windows = held_out(simulated, 1024)
    monkeypatch.setattr("drsn_edge.training.fit_noise_alone.SNR_DB", -15.0)
    monkeypatch.setattr("drsn_edge.training.fit_noise_alone.LEAST_FOUND", 0.0)
    fit = fit_noise_limit(windows)
    assert fit is not None and CHANCE < fit.limit <= NEVER and fit.found < 0.97
    assert fit.withheld_noisy <= MOST_WITHHELD + 1 / len(windows)


def test_short_windows_are_joined_where_they_adjoin(simulated: list[Recording]) -> None:
    windows = held_out(simulated, 256)
    joined = stretches(windows)
    assert joined.shape[1:] == (1024, windows.windows.shape[2])
    np.testing.assert_array_equal(joined[0].reshape(4, 256, -1), windows.windows[:4])
    assert len(stretches(windows.pick(np.arange(0, len(windows), 2)))) == 0
    assert fit_noise_limit(windows.pick(np.arange(3))) is None
