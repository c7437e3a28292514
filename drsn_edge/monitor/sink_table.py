"""The table of sinks: from a field of a sensor's configuration to the sink that it asks for.

docs/development/extending.md explains how to add a sink. A sink that no option asks for is not imported, since some
sinks need libraries that are not installed everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from drsn_edge.monitor.mqtt_check import check_mqtt, options_of
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.sinks.clock_watch import steady_s
from drsn_edge.monitor.sinks.json_lines import JsonFilesSink
from drsn_edge.monitor.sinks.present import About
from drsn_edge.monitor.station import Source, Station
from drsn_edge.support.files import expect_no_pipe
from firmware_bridge.wire.stream import StreamCounters


@dataclass(frozen=True)
class Opening:
    """What a sink may ask for when it is opened.

    Attributes:
        station: Whose results it takes.
        source: Of the samples.
        tell: Given what a person should read; it names the machine where there are several.
        say: Likewise, without the machine's name.
        say_once: Likewise, of what all sensors of a monitor would say.
    """

    station: Station
    source: Source
    tell: Callable[[str], None]
    say: Callable[[str], None]
    say_once: Callable[[str], None]

    @property
    def config(self) -> SensorConfig:
        """Of the sensor."""
        return self.station.config

    @property
    def machine(self) -> str:
        """What the sensor watches."""
        return self.station.machine

    @property
    def now_s(self) -> Callable[[], float]:
        """The clock, seconds since 1970: of the day that is replayed, or of now."""
        return self.station.shown.now_s

    @property
    def counters(self) -> Callable[[], StreamCounters]:
        """The link's account."""
        return lambda: self.source.counters

    @property
    def about(self) -> About:
        """What may be asked of the station at any time."""
        station = self.station
        return About(lambda: station.alarm_names, lambda: station.outputs.failing, lambda: station.bundle)


Opener = Callable[[Opening], Sink]


@dataclass(frozen=True)
class SinkKind:
    """A kind of output.

    Attributes:
        open: Returns the sink of a sensor that asks for it.
        check: Given the sensors of a monitor, refuses what cannot be, before any port is opened. What `open` finds
            wrong is taken for a fault that may pass, and tried again.
    """

    open: Opener
    check: Callable[[Sequence[SensorConfig]], None]


def check_sinks(sensors: Sequence[SensorConfig]) -> None:
    """Check what the sensors of one monitor ask of outputs.

    Raises:
        OutputError: If one cannot be written.
        SettingsError: If values do not go together.
    """
    for kind in SINKS.values():
        kind.check(sensors)


def _expect_no_pipes(field: str, sensors: Sequence[SensorConfig]) -> None:
    for each in sensors:
        path = getattr(each, field)
        if path is not None:
            expect_no_pipe(path)


def _lines(of: Opening) -> Sink:
    assert of.config.lines is not None
    return JsonFilesSink(of.config.lines, of.machine, of.now_s)


def _history(of: Opening) -> Sink:
    from drsn_edge.monitor.sinks.history import HistorySink

    assert of.config.history is not None
    steady = None if of.config.port is None else steady_s  # a replayed day has the log's clock alone
    return HistorySink(
        of.config.history, of.machine, keep_days=of.config.keep_days, now_s=of.now_s, steady_s=steady, tell=of.say_once
    )


def _mqtt(of: Opening) -> Sink:
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
    "mqtt": SinkKind(_mqtt, check_mqtt),
}
"""By the field of `SensorConfig` that asks for it."""


def open_sinks(of: Opening, first: Mapping[str, Opener], last: Mapping[str, Opener]) -> Iterator[Sink]:
    """Yield the sinks of a station, each as it is opened: `first`, what its configuration asks for, `last`.

    Each is guarded, unless its opener has done that: a failure is told and ends nothing.
    """
    asked = {name: kind.open for name, kind in SINKS.items() if getattr(of.config, name) is not None}
    for name, opener in {**first, **asked, **last}.items():
        sink = opener(of)
        yield sink if isinstance(sink, Guarded) else Guarded(name, sink, of.say)
