from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drsn_edge.monitor.sinks.console import ConsoleSink
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_reader import read_history
from drsn_edge.monitor.stages.results import Severity, WindowResult, to_json
from drsn_edge.monitor.stages.severity_limits import Limits, SeverityConfig
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.verdicts import Verdict
from firmware_bridge.wire.events import DeviceRestarted


def vibration(sensor: Any, seconds: float, amplitude_g: float) -> list[Any]:
    """Blocks of 0.1 s of 100 Hz on both axes."""
    blocks = []
    for _ in range(round(seconds * 10)):
        index = sensor.position + np.arange(400)
        wave = amplitude_g * np.sin(2 * np.pi * 100 * index / 4000)
        blocks.append(sensor.counts(np.rint(np.stack([wave, wave / 2], axis=1) / sensor.scale).astype(np.int16)))
    return blocks


def taken(meter: SeverityMeter, *events: Any) -> list[Severity]:
    flat = [each for event in events for each in (event if isinstance(event, list) else [event])]
    return [severity for event in flat for severity in meter.take(event)]


def test_every_second_of_the_last_two(sensor: Any) -> None:
    found = taken(SeverityMeter(SeverityConfig(Limits((5.0, 11.0, 20.0)))), sensor.hello(), vibration(sensor, 5, 1.0))
    assert [each.device_time_s for each in found] == pytest.approx([0, 1, 2, 3])
    assert [each.velocity_rms_mm_s for each in found] == pytest.approx([11.04] * 4, rel=0.01)
    assert {(each.zone, each.unit) for each in found} == {("C", "g")}


def test_a_gap_and_a_restart_are_not_measured_across(sensor: Any) -> None:
    meter = SeverityMeter(None)
    before = taken(meter, sensor.hello(), vibration(sensor, 2.5, 1.0))
    sensor.lose(3)
    assert (len(before), taken(meter, vibration(sensor, 2.4, 1.0))) == (1, [])
    assert len(taken(meter, vibration(sensor, 2, 1.0))) == 2
    sensor.restart()
    assert taken(meter, DeviceRestarted(1, 2), sensor.hello(), vibration(sensor, 1.9, 1.0)) == []
    assert taken(meter, vibration(sensor, 0.2, 1.0))[0].zone is None


def test_an_overrun_of_estimated_size_0_is_not_measured_across(sensor: Any) -> None:
    meter = SeverityMeter(None)
    blocks = vibration(sensor, 6, 1.0)
    blocks[25] = replace(blocks[25], overrun=True)  # at 2.5 s
    assert [each.device_time_s for each in taken(meter, sensor.hello(), blocks)] == pytest.approx([0, 3, 4])


def test_a_frozen_buffer_is_not_measured(sensor: Any) -> None:
    frozen = np.random.default_rng(0).normal(size=(1900, 2)) * 1000
    blocks = [sensor.counts(frozen.astype(np.int16)) for _ in range(10)]
    assert taken(SeverityMeter(None), sensor.hello(), blocks) == []


def test_a_clipped_stretch_gives_none(sensor: Any) -> None:
    blocks = vibration(sensor, 3, 1.0)
    for block in blocks:
        block.samples[::3] = 32767
    assert taken(SeverityMeter(None), sensor.hello(), blocks) == []


def test_of_an_unknown_unit_there_is_no_velocity(new_sensor: Any) -> None:
    sensor = new_sensor(unit="counts")
    (found,) = taken(SeverityMeter(SeverityConfig(Limits((1.0, 2.0, 3.0)))), sensor.hello(), vibration(sensor, 2, 1.0))
    assert found.velocity_rms_mm_s is None and found.zone is None and found.acceleration_rms > 0


def test_where_it_goes(tmp_path: Any) -> None:
    quiet = Severity(0, 0.0, 1.25, 0.1, 0.4, 4.0, 3.0, "A", "g")
    loud = Severity(9, 2.5, 5.0, 0.5, 3.0, 6.0, 7.0, "D", "g")
    stream = io.StringIO()
    console, sink = ConsoleSink(stream), HistorySink(tmp_path / "h", "fan", now_s=lambda: 6000.0)
    for severity in (quiet, quiet, loud, quiet):
        console.take(severity)
        sink.take(severity)
    sink.close()
    lines = stream.getvalue().splitlines()
    assert [line.split()[3].rstrip(",") for line in lines] == ["A", "D", "A"]
    assert "zone D, 5.00 mm/s, 0.5 g RMS, kurtosis 7.0" in lines[1]
    assert json.loads(json.dumps(to_json(loud)))["type"] == "severity"
    assert read_history(tmp_path / "h", 0, 1e9) == []  # no window yet
    again = HistorySink(tmp_path / "h", "fan", now_s=lambda: 6001.0)
    again.take(WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0))
    again.close()
    (found,) = read_history(tmp_path / "h", 0, 1e9)
    assert found.spans[0].velocity_mm_s == 5.0
