"""Each reason for which a window gets no class, at its limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.monitor.stages.rate import RecentRate
from drsn_edge.signal.quality import OffsetWatch, SensorLimits, clipping_level, find_defect
from drsn_edge.signal.windows import Window
from drsn_edge.verdicts import CLIPPED, FLAT_LINE, LOST_SAMPLES, RATE_OFF, SPIKE, STUCK

LIMITS = SensorLimits(clipping_level(16.0, 16 / 2**15), 4000.0)


def noise(n: int = 2000, axes: int = 3) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-1000, 1000, (n, axes)).astype(np.int16)


def defect(
    counts: NDArray[np.int16], lost: int = 0, limits: SensorLimits = LIMITS, rate_hz: float | None = 4000.0
) -> Any:
    return find_defect(Window(0, 0.0, counts, lost), limits, rate_hz)


def test_a_sound_window_has_no_defect() -> None:
    assert defect(noise()) is None
    assert defect(noise(), rate_hz=None) is None


def test_counts_of_24_bits_are_clipped_at_the_sensors_limit_and_not_at_that_of_int16() -> None:
    limits = SensorLimits(clipping_level(16.0, 16 / 2**23), 4000.0)
    counts = noise().astype(np.int32) * 256
    assert defect(counts, limits=limits) is None  # type: ignore[arg-type]
    counts[:200] = 2**23 - 1
    assert defect(counts, limits=limits) == CLIPPED  # type: ignore[arg-type]


def test_one_lost_sample_is_enough() -> None:
    assert defect(noise(), lost=1) == LOST_SAMPLES


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("level", [0, 17, -32768])
def test_one_flat_axis_is_enough(axis: int, level: int) -> None:
    counts = noise()
    counts[:, axis] = level
    assert defect(counts) == FLAT_LINE
    counts[5, axis] += 1
    assert defect(counts) == (CLIPPED if level == -32768 else STUCK)


def test_an_axis_over_the_whole_range_of_int16_is_not_flat() -> None:
    counts = noise()
    counts[0, 0], counts[1, 0] = -32768, 32767  # a difference of 65535, -1 in int16
    assert defect(counts) is None


@pytest.mark.parametrize("level", [32767, -32768])
def test_a_lone_peak_may_touch_full_scale_and_a_clipped_signal_may_not(level: int) -> None:
    counts = noise()
    counts[100:102, 1] = level
    assert defect(counts) is None  # 2 of 2000 are just the share that may
    counts[102, 2] = level
    assert defect(counts) == CLIPPED


@pytest.mark.parametrize("level", [32767, -32768])
def test_a_lone_reading_at_full_scale_is_a_spike(level: int) -> None:
    counts = noise()
    counts[100, 1] = level
    assert defect(counts) == SPIKE


def test_axes_that_clip_together_count_once() -> None:
    counts = noise()
    counts[100:102] = 32767
    assert defect(counts) is None


@pytest.mark.parametrize(
    ("full_scale", "scale", "at_limit", "below"),
    [
        (16.0, 16 / 2**15, (32767, -32768), (32700, -32700)),
        (16.0, 1 / 256, (4095, 4094, -4096), (4080, -4080)),  # ADXL345, with and without its lowest bit
        (2.0, 2 / 128, (127, -128), (126, -126)),  # 8 bits
        (1000.0, 0.001, (32767, -32768), (32766, -32766)),  # the sensor measures more than int16 carries
    ],
)
def test_the_limit_is_the_sensors(
    full_scale: float, scale: float, at_limit: tuple[int, ...], below: tuple[int, ...]
) -> None:
    limits = SensorLimits(clipping_level(full_scale, scale), 4000.0)
    for level in (*at_limit, *below):
        counts = np.random.default_rng(0).integers(-50, 50, (2000, 1)).astype(np.int16)
        inwards = 0 if level in at_limit else -np.sign(level)
        counts[[100, 800, 1500], 0] = [level, level + inwards, level + 2 * inwards]
        counts[[101, 801, 1501], 0] = level // 2  # a reading on its own would be a spike
        assert defect(counts, limits=limits) == (CLIPPED if level in at_limit else None), level


@pytest.mark.parametrize(
    ("rate_hz", "expected"),
    [(4000.0, None), (4079.0, None), (3921.0, None), (4081.0, RATE_OFF), (3919.0, RATE_OFF), (2000.0, RATE_OFF)],
)
def test_rates_two_percent_off_are_refused(rate_hz: float, expected: str | None) -> None:
    assert defect(noise(), rate_hz=rate_hz) == expected


def test_the_recent_rate_is_known_after_a_second_of_blocks() -> None:
    rate = RecentRate()
    for block in range(40):
        assert rate.sample_rate_hz is None
        rate.add(block * 100, block * 0.025)
    rate.add(4000, 1.0)
    assert rate.sample_rate_hz == pytest.approx(4000.0)
    rate.reset()
    assert rate.sample_rate_hz is None


def test_the_recent_rate_follows_a_sensor_that_changes_it_after_hours() -> None:
    rate, index, time_s = RecentRate(), 10**9, 40_000.0
    for true_rate_hz, n in ((4000.0, 2000), (3200.0, 8)):
        for _ in range(n):
            rate.add(index, time_s)
            index, time_s = index + 100, time_s + 100 / true_rate_hz
    assert rate.sample_rate_hz is not None and rate.sample_rate_hz < 4000.0 * 0.98
    for _ in range(100):
        rate.add(index, time_s)
        index, time_s = index + 100, time_s + 100 / 3200.0
    assert rate.sample_rate_hz == pytest.approx(3200.0)


def test_the_recent_rate_stands_jitter_gaps_and_rare_blocks() -> None:
    rate = RecentRate()
    for block in range(400):
        rate.add(block * 100 + 10_000 * (block > 300), block * 0.025 + 2.5 * (block > 300) + 0.004 * (block % 2))
        if rate.sample_rate_hz is not None:
            assert rate.sample_rate_hz == pytest.approx(4000.0, rel=0.01)
    rare = RecentRate()
    for block in range(20):
        rare.add(block * 80, block * 8.0)
    assert rare.sample_rate_hz == pytest.approx(10.0)


# --- clipping below full scale, axes that stick or jump ------------------------------------------------------------


def signal(kind: str, n: int = 1024) -> Any:
    rng = np.random.default_rng(0)
    t = np.arange(n)
    return {
        "noise": rng.normal(size=n) * 2000,
        "fine noise": rng.normal(size=n) * 5,
        "sine": 3000 * np.sin(0.123 * t),
        "slow sine": 8 * np.sin(0.0059 * t),
        "impacts": rng.normal(size=n) * 50 + 6000 * np.exp(-(t % 200) / 10) * np.sin(t),
    }[kind]


def defect_of(values: Any) -> str | None:
    counts = np.rint(np.stack([values, signal("noise")], axis=1)).astype(np.int16)
    return find_defect(Window(0, 0.0, counts, 0), SensorLimits(32000.0, 3200.0), None)


@pytest.mark.parametrize("kind", ["noise", "fine noise", "sine", "slow sine", "impacts"])
def test_a_signal_that_is_whole_is_neither_clipped_nor_stuck(kind: str) -> None:
    assert defect_of(signal(kind)) is None
    if np.ptp(signal(kind)) > 500:  # the lowest bits of the converter stay 0
        assert defect_of(16 * np.rint(signal(kind) / 16)) is None


@pytest.mark.parametrize(("kind", "level"), [("noise", 3000), ("sine", 2900), ("impacts", 2000)])
def test_an_amplifier_that_clips_below_full_scale_is_noticed(kind: str, level: int) -> None:
    assert defect_of(np.clip(signal(kind), -level, level)) == CLIPPED
    assert defect_of(np.minimum(signal(kind), level)) == CLIPPED


@pytest.mark.parametrize("at", [0, 500, 1004])
def test_an_axis_that_sticks_for_twenty_samples_is_noticed(at: int) -> None:
    values = signal("noise")
    values[at : at + 20] = values[at]
    assert defect_of(values) == STUCK


def test_an_offset_that_jumps_is_noticed_until_it_is_back_or_somebody_says_that_it_is_right() -> None:
    watch = OffsetWatch()
    rng = np.random.default_rng(0)

    full_scale = np.array([16000.0, 16000.0])

    def mean(offset: float) -> Any:
        return (rng.normal(size=(64, 2)) * 100 + [offset, 0]).astype(np.int16).mean(axis=0)

    usual = [watch.jumped(mean(1000), full_scale) for _ in range(50)]
    drifting = [watch.jumped(mean(1000 + 20 * n), full_scale) for n in range(100)]
    assert not any(usual) and not any(drifting[:30])
    fresh = OffsetWatch()
    assert not any(fresh.jumped(mean(1000), full_scale) for _ in range(50))
    assert all(fresh.jumped(mean(2500), full_scale) for _ in range(50))
    assert not fresh.jumped(mean(1000), full_scale)
    fresh.reset()
    assert not any(fresh.jumped(mean(2500), full_scale) for _ in range(50))
