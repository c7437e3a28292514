"""`/metrics` for Prometheus: counters of windows and of the link, and what holds now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Alarm, AlarmState, Decision, Result, Severity, Verdict, WindowResult
from firmware_bridge.stream import StreamCounters


class MetricsSink:
    """Serves what a scraper asks for, in a thread of its own."""

    def __init__(
        self,
        host: str,
        port: int,
        machine: str,
        counters: Callable[[], StreamCounters],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Listen.

        Args:
            host: Address to listen on.
            port: 0 takes a free one, see `port`.
            machine: What the sensor watches: the label of every metric.
            counters: The link's account, asked at each scrape.
            now_s: Seconds since 1970.

        Raises:
            OutputError: If the port is taken, or not this user's to take.
        """
        registry = CollectorRegistry()
        self._machine, self._now_s = machine, now_s
        names = ["machine", "verdict", "detail"]
        self._windows = Counter("drsn_edge_windows", "Windows judged, by what they said.", names, registry=registry)
        self._decision = Gauge("drsn_edge_decision", "1 for the decision that holds.", names, registry=registry)
        novelty = "Distance of the last window from what was trained; above 1 is unknown."
        self._novelty = Gauge("drsn_edge_novelty", novelty, names[:1], registry=registry)
        severity = "How much the machine vibrates; see drsn_edge.severity."
        self._severity = Gauge("drsn_edge_severity", severity, ["machine", "measure"], registry=registry)
        raised = "Alarms that are raised: 1, latched and acknowledged ones included."
        self._raised = Gauge("drsn_edge_alarm", raised, ["machine", "alarm"], registry=registry)
        last = "When the last window was judged."
        self._last = Gauge("drsn_edge_last_window_timestamp_seconds", last, names[:1], registry=registry)
        registry.register(_Link(machine, counters))
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as exc:
            raise OutputError(f"Could not serve metrics at {host}:{port}: {exc}. Choose another port.") from exc

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def take(self, result: Result) -> None:
        """Take in one result."""
        if isinstance(result, WindowResult):
            self._windows.labels(self._machine, *_state(result)).inc()
            self._last.labels(self._machine).set(self._now_s())
            if result.novelty is not None:
                self._novelty.labels(self._machine).set(result.novelty)
        elif isinstance(result, Severity):
            for name in ("velocity_rms_mm_s", "acceleration_rms", "acceleration_peak", "crest_factor", "kurtosis"):
                value = getattr(result, name)
                if value is not None:
                    self._severity.labels(self._machine, name).set(value)
        elif isinstance(result, Alarm):
            self._raised.labels(self._machine, result.name).set(result.state is not AlarmState.CLEARED)
        elif isinstance(result, Decision):
            self._decision.clear()
            self._decision.labels(self._machine, *_state(result.window)).set(1)

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Link(Collector):
    def __init__(self, machine: str, counters: Callable[[], StreamCounters]) -> None:
        self._machine, self._counters = machine, counters

    def collect(self) -> Iterator[Any]:
        counters = self._counters()
        for each in fields(counters):
            value = getattr(counters, each.name)
            if not isinstance(value, bool):
                family = CounterMetricFamily(f"drsn_edge_link_{each.name}", "See StreamCounters.", labels=["machine"])
                family.add_metric([self._machine], value)
                yield family


def _state(result: WindowResult) -> tuple[str, str]:
    return result.verdict.value, (result.label if result.verdict is Verdict.CLASS else result.reason) or ""
