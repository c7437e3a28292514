"""The signal around an alarm: what was there before it, too, to the last sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import OutputError
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.results import Alarm, AlarmState
from drsn_edge.monitor.stages.settings import CaptureSettings
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.wire.events import DeviceRestarted, LinkLost, LinkRestored, SampleBlock
from firmware_bridge.wire.messages import Hello

RATE_HZ = 4000.0
NOW_S = 1.8e9


def capture_in(folder: Path, **settings: Any) -> Capture:
    chosen = CaptureSettings(str(folder), **{"before_s": 0.1, "after_s": 0.2, **settings})
    return Capture(chosen, "pump 3/a", tell=lambda text: pytest.fail(text))


def feed(capture: Capture, sensor: Any, blocks: int, now_s: float = NOW_S) -> list[SampleBlock]:
    made = [sensor.block(n=40) for _ in range(blocks)]
    for block in made:
        capture.take(block, now_s)
    return made


def events_of(folder: Path) -> list[Any]:
    (path,) = folder.glob("*.drsnlog")
    return list(ReplaySource([path]))


def test_a_capture_has_what_came_before_and_after(tmp_path: Path, sensor: Any) -> None:
    capture = capture_in(tmp_path, before_s=0.105)
    capture.take(sensor.hello(), NOW_S)
    before = feed(capture, sensor, 50)
    name = capture.trigger("outer race!")
    assert name == "alarm-pump_3_a-20270115T080000Z-outer_race_-0.drsnlog"
    after = feed(capture, sensor, 50)
    hello, *blocks = events_of(tmp_path)
    assert isinstance(hello, Hello) and hello.device_id == "bench"
    kept = [*before[-11:], *after[:20]]  # 0.105 s before the last block began, and 0.2 s after it
    assert [block.first_sample for block in blocks] == [block.first_sample for block in kept]
    for block, was in zip(blocks, kept, strict=True):
        np.testing.assert_array_equal(block.samples, was.samples)
        assert block.device_time_s == pytest.approx(was.device_time_s, abs=1e-6)
    assert sum(block.lost_before for block in blocks) == 0


def test_gaps_restarts_and_lost_links_are_in_it(tmp_path: Path, sensor: Any) -> None:
    capture = capture_in(tmp_path)
    capture.take(sensor.hello(), NOW_S)
    feed(capture, sensor, 3)
    sensor.lose(7)
    feed(capture, sensor, 3)
    capture.trigger("worn")
    capture.take(LinkLost("unplugged"), NOW_S)
    capture.take(LinkRestored(), NOW_S)
    sensor.restart()
    capture.take(DeviceRestarted(1, 2), NOW_S)
    capture.take(sensor.hello(), NOW_S)
    feed(capture, sensor, 2)
    capture.close()
    events = events_of(tmp_path)
    assert sum(event.lost_before for event in events if isinstance(event, SampleBlock)) == 7
    kinds = [type(event).__name__ for event in events if not isinstance(event, SampleBlock)]
    assert kinds == ["Hello", "LinkLost", "LinkRestored", "DeviceRestarted", "Hello"]


def test_long_blocks_of_wide_counts_are_divided(tmp_path: Path, sensor: Any) -> None:
    capture = capture_in(tmp_path, before_s=100.0)
    capture.take(sensor.hello(), NOW_S)
    counts = np.random.default_rng(0).integers(-(2**22), 2**22, (5000, 2)).astype(np.int32)
    capture.take(SampleBlock(0, 0.0, counts, 0), NOW_S)
    capture.trigger("worn")
    capture.close()
    blocks = [event.samples for event in events_of(tmp_path) if isinstance(event, SampleBlock)]
    np.testing.assert_array_equal(np.concatenate(blocks), counts)


def test_a_second_alarm_goes_on_with_the_file_of_the_first(tmp_path: Path, sensor: Any) -> None:
    capture = capture_in(tmp_path)
    capture.take(sensor.hello(), NOW_S)
    feed(capture, sensor, 2)
    first = capture.trigger("worn")
    feed(capture, sensor, 10)
    assert capture.trigger("loud") == first
    feed(capture, sensor, 50)
    blocks = events_of(tmp_path)[1:]
    assert len(blocks) == 2 + 10 + 20


def test_the_oldest_files_go(tmp_path: Path, sensor: Any) -> None:
    capture = capture_in(tmp_path, keep=2, after_s=0.0)
    other = tmp_path / "alarm-pump_4-x.drsnlog"
    other.write_bytes(b"")
    capture.take(sensor.hello(), NOW_S)
    names = []
    for _ in range(4):
        feed(capture, sensor, 1)
        names.append(capture.trigger("worn"))
        feed(capture, sensor, 1)
    assert {path.name for path in tmp_path.iterdir()} == {other.name, *names[2:]}


def test_the_oldest_files_go_whatever_the_clock_says_and_no_other_machines(tmp_path: Path, sensor: Any) -> None:
    other = tmp_path / "alarm-pump_3_a-2-20270115T080000Z-worn-0.drsnlog"
    other.write_bytes(b"")
    names: list[str | None] = []
    for day in (0, 500, -3, 1, 2):  # each run of the monitor another day by the clock
        now_s = NOW_S + 86_400.0 * day
        capture = Capture(CaptureSettings(str(tmp_path), 0.1, 0.0, keep=2), "pump 3/a")
        capture.take(sensor.hello(), now_s)
        feed(capture, sensor, 1, now_s)
        names.append(capture.trigger("worn"))
        feed(capture, sensor, 1, now_s)
        capture.close()
        os.utime(tmp_path / str(names[-1]), (now_s, now_s))
    assert {path.name for path in tmp_path.iterdir()} == {other.name, *names[-2:]}


def test_a_file_that_is_removed_meanwhile_costs_no_capture(tmp_path: Path, sensor: Any) -> None:
    (tmp_path / "alarm-pump_3_a-gone.drsnlog").symlink_to("gone")  # listed, and not there when it is asked for
    capture = capture_in(tmp_path, keep=1, after_s=0.0)
    capture.take(sensor.hello(), NOW_S)
    feed(capture, sensor, 1)
    name = capture.trigger("worn")
    feed(capture, sensor, 1)
    assert capture.failing is None and [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_may_not_be_changed_is_said_and_nothing_else_ends(
    tmp_path: Path, sensor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "alarm-m-old.drsnlog").write_bytes(b"")
    said: list[str] = []
    capture = Capture(CaptureSettings(str(tmp_path), 0.1, 0.1, keep=1), "m", tell=said.append)
    capture.take(sensor.hello(), NOW_S)
    feed(capture, sensor, 2)
    monkeypatch.setattr(Path, "unlink", forbidden)
    assert capture.trigger("worn") is None
    feed(capture, sensor, 2)
    assert len(said) == 1 and "Could not remove" in said[0] and capture.failing == said[0]


def test_without_samples_there_is_nothing_to_keep(tmp_path: Path, sensor: Any) -> None:
    capture = capture_in(tmp_path)
    assert capture.trigger("worn") is None
    capture.take(sensor.hello(), NOW_S)
    assert capture.trigger("worn") is None
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_nothing_else_ends(
    tmp_path: Path, sensor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    capture = Capture(CaptureSettings(str(tmp_path), 0.1, 0.1), "m", tell=said.append)
    capture.take(sensor.hello(), NOW_S)
    feed(capture, sensor, 2)
    monkeypatch.setattr("firmware_bridge.wire.raw_log.RawLogWriter._segment", full)
    capture.trigger("worn")
    feed(capture, sensor, 50)
    assert len(said) == 1 and "No space left" in said[0] and capture.failing == said[0]
    monkeypatch.undo()
    capture.trigger("worn")
    feed(capture, sensor, 50)
    assert capture.failing is None
    assert len(said) == 1 and any(path.stat().st_size for path in tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused(OutputError, "cannot_make_folder", path=tmp_path / "file" / "captures"):
        capture_in(tmp_path / "file" / "captures")


def test_the_monitor_captures_what_raised_an_alarm(new_bench: Any, sensor: Any, tmp_path: Path) -> None:
    settings = AlarmSettings(("calm",), windows=4, limits=AlarmLimits(0.7, 0.4, 0.0, 0.0))
    bench = new_bench(alarms=settings, capture=capture_in(tmp_path))
    results = bench.take(
        sensor.hello(), sensor.blocks("calm", 10), sensor.blocks("worn", 40), sensor.blocks("calm", 20)
    )
    alarms = [result for result in results if isinstance(result, Alarm)]
    assert [(alarm.name, alarm.state) for alarm in alarms] == [
        ("worn", AlarmState.RAISED), ("worn", AlarmState.CLEARED)
    ]  # fmt: skip
    (path,) = tmp_path.iterdir()
    assert alarms[0].capture == path.name and alarms[1].capture is None
