"""`/metrics` for Prometheus: counters of windows and of the link, and what holds now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Alarm, AlarmState, Decision, Result, Severity, Verdict, WindowResult
from firmware_bridge.stream import StreamCounters


class MetricsServer:
    """Serves what a scraper asks for, in a thread of its own; several sensors share it."""

    def __init__(self, host: str, port: int, now_s: Callable[[], float] = time.time) -> None:
        """Listen.

        Args:
            host: Address to listen on.
            port: 0 takes a free one, see `port`.
            now_s: Seconds since 1970.

        Raises:
            OutputError: If the port is taken, or not this user's to take.
        """
        registry = CollectorRegistry()
        self._now_s = now_s
        names = ["machine", "verdict", "detail"]
        self.windows = Counter("drsn_edge_windows", "Windows judged, by what they said.", names, registry=registry)
        self.decision = Gauge("drsn_edge_decision", "1 for the decision that holds.", names, registry=registry)
        novelty = "Distance of the last window from what was trained; above 1 is unknown."
        self.novelty = Gauge("drsn_edge_novelty", novelty, names[:1], registry=registry)
        severity = "How much the machine vibrates; see drsn_edge.severity."
        self.severity = Gauge("drsn_edge_severity", severity, ["machine", "measure"], registry=registry)
        raised = "Alarms that are raised: 1, latched and acknowledged ones included."
        self.raised = Gauge("drsn_edge_alarm", raised, ["machine", "alarm"], registry=registry)
        last = "When the last window was judged."
        self.last = Gauge("drsn_edge_last_window_timestamp_seconds", last, names[:1], registry=registry)
        self._stations = _Stations()
        registry.register(self._stations)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as exc:
            raise OutputError(f"Could not serve metrics at {host}:{port}: {exc}. Choose another port.") from exc

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def sink(
        self,
        machine: str,
        counters: Callable[[], StreamCounters],
        failing: Callable[[], Mapping[str, str | None]] = dict,
    ) -> MetricsSink:
        """Return the sink of one sensor.

        Args:
            machine: What it watches: the label of every metric.
            counters: The link's account, asked at each scrape.
            failing: Why each other output cannot be written, None where it can; asked likewise.
        """
        self._stations.asked[machine] = counters, failing
        return MetricsSink(self, machine, self._now_s)

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class MetricsSink:
    """Keeps the metrics of one sensor."""

    def __init__(self, server: MetricsServer, machine: str, now_s: Callable[[], float]) -> None:
        """Made by `MetricsServer.sink`."""
        self._server, self._machine, self._now_s = server, machine, now_s
        self._decided: tuple[str, str] | None = None

    def take(self, result: Result) -> None:
        """Take in one result."""
        server, machine = self._server, self._machine
        if isinstance(result, WindowResult):
            server.windows.labels(machine, *_state(result)).inc()
            server.last.labels(machine).set(self._now_s())
            if result.novelty is not None:
                server.novelty.labels(machine).set(result.novelty)
        elif isinstance(result, Severity):
            for name in ("velocity_rms_mm_s", "acceleration_rms", "acceleration_peak", "crest_factor", "kurtosis"):
                value = getattr(result, name)
                if value is not None:
                    server.severity.labels(machine, name).set(value)
        elif isinstance(result, Alarm):
            server.raised.labels(machine, result.name).set(result.state is not AlarmState.CLEARED)
        elif isinstance(result, Decision):
            if self._decided is not None:
                server.decision.remove(machine, *self._decided)
            self._decided = _state(result.window)
            server.decision.labels(machine, *self._decided).set(1)

    def close(self) -> None:
        """The server is closed by whoever made it."""


class _Stations(Collector):
    """What is asked of the stations at each scrape."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[Callable[[], StreamCounters], Callable[[], Mapping[str, str | None]]]] = {}

    def collect(self) -> Iterator[Any]:
        text = "1 for an output that cannot be written now; verdicts go on."
        outputs = GaugeMetricFamily("drsn_edge_output_failing", text, labels=["machine", "output"])
        for machine, (_, failing) in self.asked.items():
            for name, why in failing().items():
                outputs.add_metric([machine, name], why is not None)
        yield outputs
        accounts = {machine: counters() for machine, (counters, _) in self.asked.items()}
        for each in fields(StreamCounters):
            family = CounterMetricFamily(f"drsn_edge_link_{each.name}", "See StreamCounters.", labels=["machine"])
            for machine, counters in accounts.items():
                value = getattr(counters, each.name)
                if not isinstance(value, bool):
                    family.add_metric([machine], value)
            if family.samples:
                yield family


def _state(result: WindowResult) -> tuple[str, str]:
    return result.verdict.value, (result.label if result.verdict is Verdict.CLASS else result.reason) or ""
