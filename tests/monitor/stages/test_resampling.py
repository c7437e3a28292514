from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import ContractError
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.signal.resampling import FOLLOW, MARGIN, cut_for, resampled


@pytest.mark.parametrize("ratio", [0.96, 0.9975, 1.003, 1.04])
@pytest.mark.parametrize("window", [64, 1024])
def test_a_window_is_that_of_a_sensor_with_the_models_rate(ratio: float, window: int) -> None:
    cut = cut_for(ratio, window, window // 2)
    turns = 0.07  # of a tone, in one of the model's samples
    ours = np.cos(2 * np.pi * turns / ratio * (np.arange(cut.window) - MARGIN))
    found = resampled(np.stack([ours, -2 * ours], axis=1)[None].astype(np.float32), cut, window)
    assert found.shape == (1, window, 2) and found.dtype == np.float32
    expected = np.cos(2 * np.pi * turns * np.arange(window))
    np.testing.assert_allclose(found[0, :, 0], expected, atol=1e-3)
    np.testing.assert_allclose(found[0, :, 1], -2 * found[0, :, 0], atol=1e-5)


def test_small_differences_are_left_alone() -> None:
    cut = cut_for(1 + 0.9 * FOLLOW, 64, 32)
    assert (cut.ratio, cut.window, cut.hop, cut.margin) == (1.0, 64, 32, 0)
    samples = np.ones((1, 64, 2), np.float32)
    assert resampled(samples, cut, 64) is samples


def test_a_sensor_that_is_off_is_followed_once_its_rate_is_known(
    new_sensor: Any, new_bench: Any, windows_of: Any
) -> None:
    bench, sensor = new_bench(), new_sensor(true_sample_rate_hz=3880.0)  # it says 4000: 3 % off
    seen = bench.classifier.seen
    windows = windows_of(bench.take(sensor.hello(), sensor.blocks("calm", 400)))
    assert {window.label for window in windows} == {"calm"}
    assert all(window.shape == (1, 64, 2) for window in seen) and len(seen) == len(windows)
    starts = np.diff([window.first_sample for window in windows])
    assert set(starts[:100]) == {32} and set(starts[-100:]) == {31}
    assert {round(step, 5) for step in np.diff([window.device_time_s for window in windows])[-100:]} == {
        round(31 / 3880, 5)
    }


def test_a_gap_spoils_the_margins_too(new_sensor: Any, new_bench: Any, windows_of: Any) -> None:
    bench, sensor = new_bench(), new_sensor(true_sample_rate_hz=3880.0)
    bench.take(sensor.hello(), sensor.blocks("calm", 400))
    sensor.lose(1)
    lost_at = sensor.position - 1
    spoilt = [w for w in windows_of(bench.take(sensor.blocks("calm", 40))) if w.lost_samples]
    assert {window.reason for window in spoilt} == {"lost samples"}
    reach = [lost_at - window.first_sample for window in spoilt]
    assert min(reach) >= -MARGIN and max(reach) <= 64 + MARGIN and len(spoilt) >= (2 * MARGIN + 62) // 31


def test_a_sensor_that_says_another_rate_is_resampled_from_the_start(
    new_sensor: Any, new_bench: Any, windows_of: Any
) -> None:
    bench, sensor = new_bench(), new_sensor(sample_rate_hz=4120.0, true_sample_rate_hz=4120.0)
    windows = windows_of(bench.take(sensor.hello(), sensor.blocks("calm", 60)))
    assert windows and windows[0].first_sample == MARGIN
    assert all(isinstance(window, WindowResult) and window.label == "calm" for window in windows)


def test_beyond_the_limit_it_is_refused(new_sensor: Any, new_bench: Any) -> None:
    with refused(ContractError, "other_rate", expected=4000.0, got=4170.0):
        new_bench().take(new_sensor(sample_rate_hz=4170.0).hello())


def test_the_whole_band_is_kept() -> None:
    """Up to 96 % of it: general resamplers fade from 93 % on."""
    cut = cut_for(0.97, 1024, 512)
    tone = np.cos(np.pi * 0.96 * np.arange(cut.window)).astype(np.float32)
    found = resampled(tone[None, :, None], cut, 1024)
    assert np.sqrt(2 * np.mean(np.square(found))) == pytest.approx(1.0, abs=0.01)


def test_no_window_begins_before_the_clock_of_the_sensor(new_sensor: Any, new_bench: Any, windows_of: Any) -> None:
    """A sensor that is slightly fast extrapolates to some microseconds before 0, which would print as -0.00 s."""
    bench, sensor = new_bench(), new_sensor(true_sample_rate_hz=4010.0)
    first = windows_of(bench.take(sensor.hello(), sensor.blocks("calm", 10)))[0]
    assert first.device_time_s == 0.0 and not np.signbit(first.device_time_s)
