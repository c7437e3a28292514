from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.errors import ContractError
from drsn_edge.signal.resampling import at_rate_of_model

pytest.importorskip("scipy.signal")

FILTER = design_decimation()
MARGIN = FILTER.margin(4.0)
LEVELS = {"calm": (1000, 1000), "worn": (300, 3000), "loud": (3000, 300)}


@pytest.fixture
def fast_bench(new_bench: Any) -> Any:
    return new_bench(decimation=FILTER)


def noise(labels: list[str], n: int) -> NDArray[np.int16]:
    """Return n samples for each label: noise at four times the model's rate."""
    rng = np.random.default_rng(5)
    parts = [rng.normal(size=(n, 2)) * LEVELS[label] for label in labels]
    return np.concatenate(parts).astype(np.int16)


def sent(sensor: Any, counts: NDArray[np.int16], n: int = 100) -> list[Any]:
    return [sensor.counts(counts[first : first + n]) for first in range(0, len(counts), n)]


@pytest.mark.parametrize("true_hz", [16000.0, 16010.0])
def test_a_fast_sensor_gives_what_its_decimated_recording_gives(
    fast_bench: Any, new_bench: Any, new_sensor: Any, windows_of: Any, true_hz: float
) -> None:
    counts = noise(["calm", "worn", "loud", "calm"], 6000)
    fast = new_sensor(sample_rate_hz=16000.0, true_sample_rate_hz=true_hz)
    windows = windows_of(fast_bench.take(fast.hello(), sent(fast, counts)))
    slow_bench, slow = new_bench(), new_sensor(sample_rate_hz=4000.0)
    samples = at_rate_of_model(counts.astype(np.float32), 4.0, FILTER)
    expected = windows_of(slow_bench.take(slow.hello(), sent(slow, np.rint(samples).astype(np.int16), 25)))
    assert [each.label for each in windows] == [each.label for each in expected] and len(windows) > 150
    assert {each.label for each in windows} == {"calm", "worn", "loud"}
    for ours, theirs in zip(fast_bench.classifier.seen, slow_bench.classifier.seen, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_windows_have_the_numbers_and_times_of_the_sensors_samples(
    fast_bench: Any, new_sensor: Any, windows_of: Any
) -> None:
    sensor = new_sensor(sample_rate_hz=16000.0, true_sample_rate_hz=16000.0)
    windows = windows_of(fast_bench.take(sensor.hello(), sent(sensor, noise(["calm"], 4000))))
    assert windows[0].first_sample == MARGIN
    assert set(np.diff([each.first_sample for each in windows])) == {4 * 32}
    for window in windows:
        assert window.device_time_s == pytest.approx(window.first_sample / 16000.0, abs=1e-9)


@pytest.mark.parametrize("true_hz", [15500.0, 16500.0])
def test_a_fast_sensor_that_is_off_is_followed(
    fast_bench: Any, new_sensor: Any, windows_of: Any, true_hz: float
) -> None:
    sensor = new_sensor(sample_rate_hz=16000.0, true_sample_rate_hz=true_hz)
    windows = windows_of(fast_bench.take(sensor.hello(), sent(sensor, noise(["worn"], 60_000))))
    assert {each.label for each in windows} == {"worn"}
    steps = np.diff([each.first_sample for each in windows])
    assert steps[0] == 128 and steps[-1] == round(32 * true_hz / 4000)


@pytest.mark.parametrize("at", [0, 1, 200, 4 * 63, 4 * 63 + MARGIN])
def test_a_clipped_sample_withholds_although_the_filter_would_hide_it(
    fast_bench: Any, new_sensor: Any, windows_of: Any, at: int
) -> None:
    sensor = new_sensor(sample_rate_hz=16000.0, true_sample_rate_hz=16000.0)
    counts = noise(["calm"], 8000)
    first = 3000
    counts[first + at, 0] = 32767
    windows = windows_of(fast_bench.take(sensor.hello(), sent(sensor, counts)))
    for window in windows:
        reaches = window.first_sample - MARGIN <= first + at < window.first_sample + 4 * 63 + 1 + MARGIN
        assert (window.reason == "clipped") == reaches
    assert sum(each.reason is not None for each in windows) >= (2 * MARGIN + 4 * 63) // 128


def test_no_sample_crosses_a_gap(fast_bench: Any, new_sensor: Any, windows_of: Any) -> None:
    """What comes before a gap may be anything, and no window after it changes."""
    seen = []
    for level in (100, 3000):
        fast_bench.classifier.seen.clear()
        sensor = new_sensor(sample_rate_hz=16000.0, true_sample_rate_hz=16000.0)
        rng = np.random.default_rng(1)
        before = [sensor.counts((rng.normal(size=(1600, 2)) * level).astype(np.int16))]
        sensor.lose(3)
        lost_at = sensor.position
        results = fast_bench.take(sensor.hello(), before, sent(sensor, noise(["worn"], 4000)))
        judged = [each for each in windows_of(results) if each.reason is None]
        spoilt = [each for each in windows_of(results) if each.lost_samples]
        assert {each.reason for each in spoilt} == {"lost samples"}
        after = [each for each in judged if each.first_sample >= lost_at]
        assert after and min(each.first_sample for each in after) >= lost_at + MARGIN
        seen.append(fast_bench.classifier.seen[-len(after) :])
        fast_bench.monitor.stream.restart()
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("rate_hz", [6000.0, 14000.0, 4170.0, 3800.0, 64 * 4000 * 1.05, 2000.0])
def test_other_rates_are_refused(fast_bench: Any, new_sensor: Any, rate_hz: float) -> None:
    with refused(ContractError, "other_rate", expected=4000.0, got=rate_hz):
        fast_bench.take(new_sensor(sample_rate_hz=rate_hz).hello())


def test_without_a_filter_a_multiple_is_refused(bench: Any, new_sensor: Any) -> None:
    with refused(ContractError, "other_rate", expected=4000.0, got=16000.0):
        bench.take(new_sensor(sample_rate_hz=16000.0).hello())


def test_noise_alone_is_told_at_the_rate_of_the_model(new_bench: Any, new_sensor: Any, windows_of: Any) -> None:
    """A sensor's noise is white at both rates, and a tone above the model's band is no machine that it knows."""
    bench = new_bench(decimation=FILTER)
    judge = bench.monitor.judge
    judge._noise._limit = 0.05
    sensor = new_sensor(sample_rate_hz=16000.0, true_sample_rate_hz=16000.0)
    counts = noise(["calm"], 60_000)
    counts[:, 0] += (2000 * np.sin(2 * np.pi * 5000 / 16000 * np.arange(len(counts)))).astype(np.int16)
    windows = windows_of(bench.take(sensor.hello(), sent(sensor, counts)))
    late = [each.reason for each in windows[40:]]
    assert late.count("noise alone") > 0.8 * len(late)
