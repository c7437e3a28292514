"""`/metrics` for Prometheus: counters of windows and of the link, and the present state.

Names follow the rules of Prometheus: each metric has one quantity in one base unit (metres per second, seconds),
counters end in `_total`, and series that are known at the start exist from the start.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from drsn_edge.monitor.sinks.http import HttpServer, Response
from drsn_edge.monitor.sinks.present import NOTHING_KNOWN, About, Present
from drsn_edge.monitor.stages.results import AlarmState, Result, WindowResult
from drsn_edge.signal.units import KNOWN_UNITS, conversion_factor
from firmware_bridge.wire.stream import StreamCounters

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_ZONES = ("A", "B", "C", "D")

_LINK = {
    "bytes_received": "Bytes received from the sensor.",
    "frames_ok": "Frames received whose checksum is right.",
    "crc_errors": "Pieces between delimiters that are not a frame, damaged or foreign.",
    "garbage_bytes": "Bytes that belong to no frame whose checksum is right.",
    "resyncs": "Good frames that followed something damaged.",
    "malformed": "Frames with a right checksum and invalid content, caused by a fault of the firmware.",
    "unknown_type": "Frames of an unknown type, which were skipped.",
    "frames_lost": "Frames that are missing by their sequence numbers.",
    "samples_received": "Samples received from the sensor.",
    "samples_lost": "Samples that the sensor produced and that were never received.",
    "overruns": "How often the sensor dropped samples because it could not send them.",
    "duplicates": "Blocks of samples dropped because they had been received before.",
    "samples_duplicate": "Samples in blocks that were dropped because they had been received before.",
    "samples_before_hello": "Samples dropped because the sensor had not described itself yet.",
    "restarts": "How often the sensor restarted.",
}


class MetricsServer:
    """Serves /metrics in a thread of its own; several sensors share it."""

    def __init__(self, host: str, port: int) -> None:
        """Listen.

        Args:
            host: Address to listen on.
            port: TCP port; 0 takes a free one, see `port`.

        Raises:
            OutputError: If the port is in use, or this user may not use it.
        """
        self._machines: dict[str, MetricsSink] = {}
        registry = CollectorRegistry()
        registry.register(_Machines(self._machines))
        self._server = HttpServer(host, port, {"/metrics": lambda: Response(generate_latest(registry), _TEXT)})

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._server.port

    def sink(
        self,
        machine: str,
        counters: Callable[[], StreamCounters],
        about: About = NOTHING_KNOWN,
        now_s: Callable[[], float] = time.time,
    ) -> MetricsSink:
        """Return the sink of one sensor, which replaces an earlier sink of that machine.

        Args:
            machine: Name of the machine, a label of every metric.
            counters: Returns the counters of the link, called at each scrape.
            about: Facts about the station, read at each scrape.
            now_s: Clock in seconds since 1970.
        """
        self._machines[machine] = sink = MetricsSink(counters, about, now_s)
        return sink

    def close(self) -> None:
        """Stop listening; further calls do nothing."""
        self._server.close()


class MetricsSink:
    """Keeps the metrics of one sensor, written by its thread and read by the server's."""

    def __init__(self, counters: Callable[[], StreamCounters], about: About, now_s: Callable[[], float]) -> None:
        """Prepare; `MetricsServer.sink` makes these."""
        self._counters, self._about, self._now_s = counters, about, now_s
        self._present, self._lock = Present(), Lock()
        self._windows: Counter[tuple[str, str]] = Counter()

    def take(self, result: Result) -> None:
        """Take one result."""
        with self._lock:
            self._present.take(result, self._now_s())
            if isinstance(result, WindowResult):
                self._windows[_state(result)] += 1

    def close(self) -> None:
        """Do nothing: the owner of the server closes it."""

    def values(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        """Yield metric, labels beside the machine, and value; see `_COUNTERS`, `_GAUGES` and `_LINK`."""
        with self._lock:
            self._present.know(self._about.alarms())
            found = [*self._of_windows(), *self._of_severity(), *self._of_alarms()]
        yield from found
        for name, why in self._about.failing().items():
            yield "drsn_edge_output_failing", (name,), why is not None
        bundle = self._about.bundle()
        if bundle is not None:
            yield "drsn_edge_bundle_info", bundle, 1
        counters = self._counters()
        for name in _LINK:
            yield f"drsn_edge_link_{name}", (), getattr(counters, name)

    def _of_windows(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        present = self._present
        for state, count in self._windows.items():
            yield "drsn_edge_windows", state, count
        yield "drsn_edge_decision", _state(present.decision.window), 1
        yield "drsn_edge_coverage_off", (), present.coverage_off
        yield "drsn_edge_last_window_timestamp_seconds", (), present.judged_s or 0.0
        yield "drsn_edge_last_measured_timestamp_seconds", (), present.measured_s or 0.0
        if present.novelty is not None:
            yield "drsn_edge_novelty_ratio", (), present.novelty

    def _of_severity(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        severity = self._present.severity
        if severity is None:
            return
        if severity.velocity_rms_mm_s is not None:
            yield "drsn_edge_velocity_rms_meters_per_second", (), severity.velocity_rms_mm_s / 1000
        if severity.unit in KNOWN_UNITS:
            factor = conversion_factor(severity.unit, "m/s2")
            yield "drsn_edge_acceleration_rms_meters_per_second_squared", (), severity.acceleration_rms * factor
            yield "drsn_edge_acceleration_peak_meters_per_second_squared", (), severity.acceleration_peak * factor
        yield "drsn_edge_crest_factor_ratio", (), severity.crest_factor
        yield "drsn_edge_kurtosis_ratio", (), severity.kurtosis
        if severity.zone is not None:
            for zone in _ZONES:
                yield "drsn_edge_severity_zone", (zone,), zone == severity.zone

    def _of_alarms(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        for name, record in self._present.alarms.items():
            yield "drsn_edge_alarm", (name,), record.state is not AlarmState.CLEARED
            yield "drsn_edge_alarm_acknowledged", (name,), record.state is AlarmState.ACKNOWLEDGED


_COUNTERS = {
    "drsn_edge_windows": ("Windows judged, by verdict and its class or reason.", ("verdict", "detail")),
    **{f"drsn_edge_link_{name}": (text, ()) for name, text in _LINK.items()},
}
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "drsn_edge_decision": (
        "1 for the present decision, by verdict and its class or reason; one for each machine.",
        ("verdict", "detail"),
    ),
    "drsn_edge_coverage_off": (
        "1 while the share of windows of a class lies outside the range of the inner folds, with --at-most-wrong; 0 "
        "otherwise.",
        (),
    ),
    "drsn_edge_last_window_timestamp_seconds": (
        "Time of the last judged window, in seconds since 1970; 0 before the first.",
        (),
    ),
    "drsn_edge_last_measured_timestamp_seconds": (
        "Time of the last window that showed the machine (a verdict, or standstill), in seconds since 1970; 0 before "
        "the first. Decision and alarms date from this time.",
        (),
    ),
    "drsn_edge_novelty_ratio": (
        "Distance of the last window from the training data, as a multiple of the limit; above 1 is UNKNOWN.",
        (),
    ),
    "drsn_edge_velocity_rms_meters_per_second": (
        "RMS of the vibration velocity, in metres per second (0.001 is 1 mm/s), of the last undamaged 2 s.",
        (),
    ),
    "drsn_edge_acceleration_rms_meters_per_second_squared": (
        "RMS of the acceleration, in metres per second squared (9.80665 is 1 g), of the last undamaged 2 s.",
        (),
    ),
    "drsn_edge_acceleration_peak_meters_per_second_squared": (
        "Peak of the acceleration, in metres per second squared (9.80665 is 1 g), of the last undamaged 2 s.",
        (),
    ),
    "drsn_edge_crest_factor_ratio": ("Peak of the acceleration divided by its RMS.", ()),
    "drsn_edge_kurtosis_ratio": ("Kurtosis of the acceleration; about 3 without impacts.", ()),
    "drsn_edge_severity_zone": ("1 for the zone of the velocity RMS by --limits, 0 for the others.", ("zone",)),
    "drsn_edge_alarm": ("1 for an alarm that is raised, acknowledged or latched, 0 otherwise.", ("alarm",)),
    "drsn_edge_alarm_acknowledged": ("1 for an alarm that is raised and was acknowledged, 0 otherwise.", ("alarm",)),
    "drsn_edge_output_failing": (
        "1 for an output that cannot be written now, 0 otherwise; monitoring continues.",
        ("output",),
    ),
    "drsn_edge_bundle_info": ("1 for the bundle in use, by name and version.", ("name", "version")),
}


@dataclass(frozen=True)
class Metric:
    """What Prometheus is told of a metric.

    Attributes:
        name: Name of the metric; a counter's ends in `_total` when it is served.
        kind: Counter or gauge, as a class of prometheus_client.
        text: Help text, with the unit.
        labels: Names of the labels; the first is the machine.
    """

    name: str
    kind: type[CounterMetricFamily | GaugeMetricFamily]
    text: str
    labels: tuple[str, ...]


METRICS = tuple(
    Metric(name, kind, text, ("machine", *labels))
    for kind, known in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS))
    for name, (text, labels) in known.items()
)


class _Machines(Collector):
    """The metrics of all machines, collected at each scrape."""

    def __init__(self, machines: Mapping[str, MetricsSink]) -> None:
        self._machines = machines

    def collect(self) -> Iterator[Any]:
        families: dict[str, Any] = {each.name: each.kind(each.name, each.text, labels=each.labels) for each in METRICS}
        for machine, sink in list(self._machines.items()):
            for name, labels, value in sink.values():
                families[name].add_metric([_printable(each) for each in (machine, *labels)], value)
        yield from families.values()


def _printable(text: str) -> str:
    """Return the text without lone surrogates, one of which would break the whole page."""
    return text.encode("utf-8", "backslashreplace").decode()


def _state(result: WindowResult) -> tuple[str, str]:
    verdict, detail = result.state
    return verdict.value, detail or ""
