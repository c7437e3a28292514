"""The monitor without its command: the program that the page shows, and what else a program may do with it."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.errors import BundleError, ContractError, OutputError, SettingsError
from drsn_edge.monitor.assembly import Plan, Printing, assembled
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sink_table import SINKS
from drsn_edge.monitor.sinks.history_reader import read_history
from drsn_edge.monitor.stages.results import Decision, Result, Summary, WindowResult
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor
from firmware_bridge.sources.arrivals import Arrival
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.wire.events import DeviceLog, Idle, SourceEvent
from firmware_bridge.wire.messages import LogLevel
from firmware_bridge.wire.stream import StreamCounters

PAGE = Path(__file__).parents[2] / "docs" / "development" / "monitor-library.md"
SETTINGS = '[decision]\nvotes = "1/1"\n[alarms]\nnormal = ["calm"]\n'


class Kept:
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.closed = 0

    def take(self, result: Result) -> None:
        self.results.append(result)

    def close(self) -> None:
        self.closed += 1

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.results if isinstance(each, kind)]


class Samples:
    """A source that is neither a port nor a log: blocks of one hop, and then whatever it is told."""

    def __init__(self, sensor: Any, then: list[SourceEvent] | Exception | None = None) -> None:
        self.counters = StreamCounters(samples_received=128)
        self._events: list[SourceEvent] = [sensor.hello(), *sensor.blocks("calm", 4)]
        self._then = then

    def __iter__(self) -> Iterator[SourceEvent]:
        yield from self._events
        if isinstance(self._then, Exception):
            raise self._then
        yield from self._then or []


class Sliced(ReplaySource):
    """A source whose first iteration fails after its first slice, and whose clock is far from its arrivals."""

    time_s = 5000.0

    def __init__(self, slices: list[list[Arrival]]) -> None:
        super().__init__([])
        self._slices = slices

    def slices(self, latency_s: float | None = None) -> Iterator[list[Arrival]]:
        yield self._slices.pop(0)
        if self._slices:
            raise OSError("the port is gone")


@pytest.fixture
def pump(tiny_bundle_path: Path) -> SensorConfig:
    return SensorConfig(port="nowhere", machine="pump", model=tiny_bundle_path)


def test_the_program_on_the_page_runs(
    tmp_path: Path, tiny_bundle_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    Path("pump.drsn").write_bytes(tiny_bundle_path.read_bytes())
    Path("pump.toml").write_text(SETTINGS)
    noise = np.random.default_rng(0).normal(size=(4000, 2)).astype(np.float32)
    recording = Recording("noise", noise, 4000.0, ("x", "y"), "g", "noise", "noise", {})
    sensor = virtual_sensor(recording, Playback(speed=None), link=tmp_path / "sensor")
    thread = threading.Thread(target=sensor.run, args=(lambda: False,))
    thread.start()
    exec(compile(program.replace("/dev/ttyUSB0", str(tmp_path / "sensor")), str(PAGE), "exec"), {})
    thread.join()
    *decisions, closed = capsys.readouterr().out.splitlines()
    assert decisions and all(re.fullmatch(r"(calm|worn|loud) since \d+\.\d s", line) for line in decisions)
    assert closed == "closed"


def test_the_source_and_the_bare_monitor_on_the_page_run(
    tmp_path: Path, tiny_bundle_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    source, bare = re.findall(r"```py\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    Path("pump.drsn").write_bytes(tiny_bundle_path.read_bytes())
    Path("pump.toml").write_text(SETTINGS)
    names: dict[str, Any] = {}
    exec(compile(program.partition("\nwith ")[0] + "\n" + source, str(PAGE), "exec"), names)
    *decisions, closed = capsys.readouterr().out.splitlines()
    assert decisions and all(re.fullmatch(r"(calm|worn|loud) since \d+\.\d s", line) for line in decisions)
    assert closed == "closed"
    exec(compile(bare, str(PAGE), "exec"), names)
    assert {"WindowResult", "Decision"} <= set(capsys.readouterr().out.split())


def test_samples_may_come_from_anything(pump: SensorConfig, sensor: Any) -> None:
    kept, source = Kept(), Samples(sensor)
    with assembled(Plan([pump]), {"kept": lambda _: kept}, open_source=lambda *_: source) as supervisor:
        supervisor.work()
    assert [each.first_sample for each in kept.of(WindowResult)] == [0, 32, 64]
    (summary,) = kept.of(Summary)
    assert (summary.samples_received, summary.windows, kept.closed) == (128, 3, 1)


def test_a_sink_that_raises_is_told_of_once_and_the_others_go_on(pump: SensorConfig, sensor: Any) -> None:
    class Broken(Kept):
        def take(self, result: Result) -> None:
            raise ZeroDivisionError("of a user")

    kept, told = Kept(), list[str]()
    sinks = {"broken": lambda _: Broken(), "kept": lambda _: kept}
    with assembled(Plan([pump]), sinks, tell=told.append, open_source=lambda *_: Samples(sensor)) as supervisor:
        supervisor.work()
    assert len(kept.of(WindowResult)) == 3
    assert [text for text in told if "of a user" in text] == [
        'Could not write the output "broken": of a user. Monitoring continues.'
    ]


def test_what_its_configuration_asks_for_is_there_beside_them(pump: SensorConfig, sensor: Any, tmp_path: Path) -> None:
    config = SensorConfig(**{**vars(pump), "lines": tmp_path / "lines.jsonl"})
    with assembled(Plan([config]), open_source=lambda *_: Samples(sensor)) as supervisor:
        supervisor.work()
    assert '"type":"summary"' in (tmp_path / "lines.jsonl").read_text().replace(" ", "")


def test_each_result_has_the_time_of_its_samples_also_after_a_failure(
    pump: SensorConfig, sensor: Any, tmp_path: Path
) -> None:
    now_s, steady_s = time.time(), time.monotonic()
    ago_s = [8.0 - 0.25 * number for number in range(16)]
    arrivals = [
        Arrival(event, steady_s - ago, now_s - ago)
        for event, ago in zip([sensor.hello(), *sensor.blocks("calm", 15)], ago_s, strict=True)
    ]
    config = replace(pump, lines=tmp_path / "lines", history=tmp_path / "history")
    source = Sliced([arrivals[:8], [arrivals[0], *arrivals[8:]]])
    with assembled(Plan([config]), open_source=lambda *_: source) as supervisor:
        (station,) = supervisor.stations
        with pytest.raises(OSError):
            station.run()
        station.run()
        station.close()
    *lines, summary = map(json.loads, (tmp_path / "lines").read_text().splitlines())
    came = {round(each.time_s, 3) for each in arrivals}
    times = [line["time_s"] for line in lines if line["type"] == "window"]
    assert len(times) > 8 and len(set(times)) == len(times) and came.issuperset(times)
    assert {line["time_s"] for line in lines} <= came and summary["time_s"] == Sliced.time_s
    decided_s = [line["time_s"] for line in lines if line["type"] == "decision"]
    (found,) = read_history(tmp_path / "history", 0.0, 1e12)
    assert decided_s and [each.time_s for each in found.decisions] == pytest.approx(decided_s, abs=1.0)
    assert min(abs(found.decisions[0].time_s - now_s), 1.0) == 1.0  # not the time of the slice


def test_what_a_sensor_says_is_told_though_its_slice_fails(pump: SensorConfig, sensor: Any) -> None:
    words: list[str] = []
    says = DeviceLog(LogLevel.WARNING, "the range was changed")
    hello = replace(sensor.hello(), unit="V")
    source = Sliced([[Arrival(each, 1.0, 1.0) for each in (sensor.hello(), *sensor.blocks("calm", 2), says, hello)]])
    kept = Kept()
    sinks = {"kept": lambda _: kept}
    monitor = assembled(Plan([pump]), sinks, open_source=lambda *_: source, tell=words.append)
    with monitor as supervisor, refused(ContractError, "no_conversion"):
        supervisor.stations[0].run()
    assert kept.of(WindowResult) and any("the range was changed" in each for each in words)


@pytest.mark.parametrize("name", [*SINKS, "metrics"])
def test_a_sink_has_no_name_of_the_monitors_own(pump: SensorConfig, name: str) -> None:
    with refused(OutputError, "name_taken", names=[name]), assembled(Plan([pump]), {name: lambda _: Kept()}):
        pass


def test_what_a_sink_cannot_write_is_refused_before_a_port_is_opened(pump: SensorConfig, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for config in (replace(pump, lines=tmp_path / "pipe"), replace(pump, history=tmp_path / "pipe")):
        with refused(OutputError, "pipe"), assembled(Plan([config])):
            pytest.fail("it was assembled")


def test_lines_go_where_standard_output_is_when_outputs_are_opened(
    pump: SensorConfig, sensor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing, beside_the_view = Printing(lambda: sys.stdout), io.StringIO()
    monkeypatch.setattr(sys, "stdout", beside_the_view)  # as rich does while a view is shown
    with assembled(Plan([pump]), {"stdout": printing.open}, open_source=lambda *_: Samples(sensor)) as supervisor:
        supervisor.work()
    assert "128 received" in beside_the_view.getvalue()


def test_every_sink_of_the_table_is_a_field_of_a_sensor() -> None:
    assert set(SINKS) < set(SensorConfig.__dataclass_fields__)


def test_another_thread_may_stop_it(pump: SensorConfig, sensor: Any) -> None:
    class Endless(Samples):
        def __iter__(self) -> Iterator[SourceEvent]:
            yield from super().__iter__()
            begun.set()
            while not stopped[0]():
                yield Idle()

    begun, stopped = threading.Event(), list[Any]()

    def open_source(config: SensorConfig, stop: Any, log: Any) -> Endless:
        stopped.append(stop)
        return Endless(sensor)

    with assembled(Plan([pump]), open_source=open_source) as supervisor:
        threading.Thread(target=lambda: (begun.wait(30), supervisor.stop())).start()
        supervisor.work()
    assert stopped[0]()


def test_a_reload_in_the_middle_leaves_out_no_sample(pump: SensorConfig, sensor: Any) -> None:
    kept, told = Kept(), list[str]()
    blocks = sensor.blocks("calm", 4)

    class Reloading(Samples):
        def __iter__(self) -> Iterator[SourceEvent]:
            yield sensor.hello()
            yield from blocks[:3]
            supervisor.reload()
            yield from blocks[3:]

    with assembled(
        Plan([pump]), {"kept": lambda _: kept}, tell=told.append, open_source=lambda *_: Reloading(sensor)
    ) as supervisor:
        supervisor.work()
    assert [each.first_sample for each in kept.of(WindowResult)] == [0, 32, 64]
    assert kept.of(Summary)[0].windows == 3 and any("was reloaded" in text for text in told)


def test_a_reload_takes_a_bundle_without_a_network(
    pump: SensorConfig, sensor: Any, tiny_bundle: Bundle, healthy_bundle_of_noise: Bundle, tmp_path: Path
) -> None:
    kept, blocks = Kept(), sensor.blocks("calm", 8)
    model = tmp_path / "pump.drsn"
    write_bundle(tiny_bundle, model)
    config = replace(pump, model=model, votes="1/1")

    class Reloading(Samples):
        def __iter__(self) -> Iterator[SourceEvent]:
            yield sensor.hello()
            yield from blocks[:4]
            write_bundle(healthy_bundle_of_noise, model)
            supervisor.reload()
            yield from blocks[4:]

    with assembled(Plan([config]), {"kept": lambda _: kept}, open_source=lambda *_: Reloading(sensor)) as supervisor:
        supervisor.work()
    before, after = kept.of(WindowResult)[:3], kept.of(WindowResult)[3:]
    assert all(each.scores is not None and each.label != "healthy" for each in before)
    assert len(after) == 4 and all((each.label, each.scores) == ("healthy", None) for each in after)
    assert kept.of(Decision)[-1].window.label == "healthy"
    assert kept.of(Summary)[0].labels["healthy"] == 4


def test_what_cannot_begin_is_raised_and_everything_is_closed(pump: SensorConfig, sensor: Any, tmp_path: Path) -> None:
    absent = SensorConfig(**{**vars(pump), "model": tmp_path / "absent.drsn"})
    kept = Kept()
    with (
        refused(BundleError, "unreadable", path=tmp_path / "absent.drsn"),
        assembled(Plan([absent]), {"kept": lambda _: kept}, open_source=lambda *_: Samples(sensor)) as supervisor,
    ):
        supervisor.work()
    assert kept.results == []


def test_outputs_that_do_not_go_together_are_refused(pump: SensorConfig) -> None:
    one, other = (SensorConfig(**{**vars(pump), "port": port, "mqtt": "mqtt://broker"}) for port in "ab")
    with refused(SettingsError, "shared_topics"), assembled(Plan([one, other])):
        raise AssertionError("It was assembled.")
