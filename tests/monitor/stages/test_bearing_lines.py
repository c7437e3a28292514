"""A bearing's lines in the envelope: of simulated defects, and of the real ones of CWRU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.monitor.stages.severity_limits import SeverityConfig, read_limits
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.monitor.stages.words import severity_words
from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.signal.bearing_lines import NAMES, STANDS_OUT_DB, Bearing, line_levels_db

RATE_HZ, SHAFT_HZ = 12_000.0, 29.5
BEARING = Bearing(SKF_6205, {"outer": "BPFO", "inner": "BPFI", "ball": "BSF"})


def struck(rate_hz: float, seconds: float = 2.0, amplitude: float = 1.0) -> Any:
    """Impacts at a rate that ring at 3 kHz, in noise; shape (n, 1)."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    since = t % (1 / rate_hz)
    ringing = amplitude * np.exp(-since * 800) * np.sin(2 * np.pi * 3000 * since)
    return (ringing + 0.2 * rng.normal(size=len(t)))[:, None].astype(np.float32)


@pytest.mark.parametrize(("label", "name"), [("outer", "BPFO"), ("inner", "BPFI"), ("ball", "BSF")])
@pytest.mark.parametrize("slip", [0.0, 0.015])
def test_a_defect_stands_out_at_its_own_line(label: str, name: str, slip: float) -> None:
    lines = BEARING.lines_hz(SHAFT_HZ)
    levels = line_levels_db(struck(lines[name] * (1 - slip)), RATE_HZ, lines)
    assert max(levels, key=levels.__getitem__) == name and levels[name] > 2 * STANDS_OUT_DB
    assert BEARING.agrees(label, levels) is True
    others = {"outer", "inner", "ball"} - {label}
    assert {BEARING.agrees(other, levels) for other in others} == {False}
    assert BEARING.agrees("healthy", levels) is None and BEARING.agrees(None, levels) is None


def test_in_noise_nothing_is_said() -> None:
    levels = line_levels_db(struck(100.0, amplitude=0.0), RATE_HZ, BEARING.lines_hz(SHAFT_HZ))
    assert set(levels) == set(NAMES) and max(levels.values()) < STANDS_OUT_DB
    assert BEARING.agrees("outer", levels) is None
    silent = line_levels_db(np.zeros((1000, 2), np.float32), RATE_HZ, BEARING.lines_hz(SHAFT_HZ))
    assert set(silent.values()) == {0.0}


def test_the_lines_are_those_of_the_data_sheet() -> None:
    """CWRU states 3.5848, 5.4152, 4.7135 and 0.39828 times the speed for its drive-end bearing."""
    assert list(BEARING.lines_hz(1.0).values()) == pytest.approx([3.5848, 5.4152, 4.7135, 0.39828], rel=1e-3)


def test_the_monitor_says_whether_physics_agrees(tmp_path: Path, new_sensor: Any) -> None:
    (tmp_path / "limits.toml").write_text(
        "[bearing]\nn_balls = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\nclasses = {outer = 'BPFO'}\n"
    )
    config = read_limits(tmp_path / "limits.toml")
    assert config == SeverityConfig(None, Bearing(SKF_6205, {"outer": "BPFO"}))
    sensor = new_sensor(sample_rate_hz=RATE_HZ, axes=("x",))
    counts = np.rint(struck(BEARING.lines_hz(SHAFT_HZ)["BPFO"]) * 2000).astype(np.int16)
    for label, words in (("outer", "agrees with the class"), ("healthy", "")):
        meter = SeverityMeter(config, SHAFT_HZ)
        meter.take(sensor.hello())
        (found,) = meter.take(sensor.counts(counts), label)
        assert found.agrees is (True if words else None)
        assert "BPFO" in severity_words(found) and words in severity_words(found)
        sensor.position = 0
    unknown_speed = SeverityMeter(config)
    unknown_speed.take(sensor.hello())
    assert unknown_speed.take(sensor.counts(counts))[0].bearing_db is None
