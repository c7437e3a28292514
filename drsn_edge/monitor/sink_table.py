"""The table of sinks: from a field of a sensor's configuration to the sink that it asks for.

docs/development/extending.md explains how to add a sink. A sink that no option asks for is not imported, since some
sinks need libraries that are not installed everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.sinks.json_lines import JsonFilesSink
from drsn_edge.monitor.sinks.present import About
from drsn_edge.monitor.station import Source, Station
from drsn_edge.support.files import expect_no_pipe
from firmware_bridge.wire.stream import StreamCounters


@dataclass(frozen=True)
class Opening:
    """What a sink may ask for when it is opened.

    Attributes:
        station: Station whose results it takes.
        source: Source of the samples.
        tell: Called with messages for people; it adds the machine's name if there are several machines.
        say: Called with messages that name the machine or the file themselves.
        say_once: Called with messages that all sensors of a monitor would repeat.
    """

    station: Station
    source: Source
    tell: Callable[[str], None]
    say: Callable[[str], None]
    say_once: Callable[[str], None]

    @property
    def config(self) -> SensorConfig:
        """Configuration of the sensor."""
        return self.station.config

    @property
    def machine(self) -> str:
        """Name of the machine that the sensor watches."""
        return self.station.machine

    @property
    def now_s(self) -> Callable[[], float]:
        """The time in seconds since 1970 at which the samples of the present result came, by the log in a replay."""
        return self.station.clock.time_s

    @property
    def counters(self) -> Callable[[], StreamCounters]:
        """Counters of the link."""
        return lambda: self.source.counters

    @property
    def about(self) -> About:
        """Facts about the station that a sink may ask for at any time."""
        station = self.station
        return About(lambda: station.alarm_names, lambda: station.outputs.failing, lambda: station.bundle)


Opener = Callable[[Opening], Sink]


@dataclass(frozen=True)
class SinkKind:
    """A kind of output.

    Attributes:
        open: Returns the sink of a sensor whose configuration asks for it.
        check: Refuses invalid configurations of the monitor's sensors before any port is opened. An error of `open`
            counts as temporary, and opening is tried again.
    """

    open: Opener
    check: Callable[[Sequence[SensorConfig]], None]


def check_sinks(sensors: Sequence[SensorConfig]) -> None:
    """Check the outputs in the configurations of one monitor's sensors.

    Raises:
        OutputError: If one cannot be written.
        SettingsError: If values contradict each other.
    """
    for kind in SINKS.values():
        kind.check(sensors)


def _expect_no_pipes(field: str, sensors: Sequence[SensorConfig]) -> None:
    for each in sensors:
        path = getattr(each, field)
        if path is not None:
            expect_no_pipe(path)


def _check_mqtt(sensors: Sequence[SensorConfig]) -> None:
    fields = ((name, value) for each in sensors for name, value in vars(each).items())
    if any(name.startswith("mqtt") and value not in (None, "plain") for name, value in fields):
        from drsn_edge.monitor.mqtt_check import check_mqtt  # it needs ssl, which takes 5 MB of memory

        check_mqtt(sensors)


def _lines(of: Opening) -> Sink:
    assert of.config.lines is not None
    return JsonFilesSink(of.config.lines, of.machine, of.now_s)


def _history(of: Opening) -> Sink:
    from drsn_edge.monitor.sinks.history import HistorySink

    assert of.config.history is not None
    is_replay = of.config.port is None  # a replay has the log's clock alone
    return HistorySink(
        of.config.history,
        of.machine,
        keep_days=of.config.keep_days,
        now_s=of.now_s if is_replay else None,
        came_s=None if is_replay else of.station.clock.steady_s,
        tell=of.say_once,
    )


def _mqtt(of: Opening) -> Sink:
    from drsn_edge.monitor.mqtt_check import options_of
    from drsn_edge.monitor.sinks.broker import parse_url
    from drsn_edge.monitor.sinks.mqtt import MqttSink

    assert of.config.mqtt is not None
    broker, options = parse_url(of.config.mqtt), options_of(of.config)
    sink = MqttSink(
        broker, of.machine, options, of.about, now_s=of.now_s, tell=of.tell, acknowledge=of.station.acknowledge
    )
    of.station.outputs.troubles["mqtt"] = lambda: sink.trouble
    return sink


SINKS: Mapping[str, SinkKind] = {
    "lines": SinkKind(_lines, partial(_expect_no_pipes, "lines")),
    "history": SinkKind(_history, partial(_expect_no_pipes, "history")),
    "mqtt": SinkKind(_mqtt, _check_mqtt),
}
"""Kinds of outputs, by the field of `SensorConfig` that asks for one."""


def open_sinks(of: Opening, first: Mapping[str, Opener], last: Mapping[str, Opener]) -> Iterator[Sink]:
    """Yield the sinks of a station, each as it is opened: `first`, those of its configuration, `last`.

    Each sink is guarded unless its opener did that: a failure is reported and stops nothing.
    """
    asked = {name: kind.open for name, kind in SINKS.items() if getattr(of.config, name) is not None}
    for name, opener in {**first, **asked, **last}.items():
        sink = opener(of)
        yield sink if isinstance(sink, Guarded) else Guarded(name, sink, of.say)
