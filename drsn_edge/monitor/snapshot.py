"""The state of a station for a view; written by the station's thread, read by another thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Decision, Result, Severity, WindowResult
from firmware_bridge.wire.stream import StreamCounters


@dataclass
class Snapshot:
    """The state of one station now.

    Attributes:
        machine: Name of the machine that it watches.
        window: The last judged window.
        decision: The last decision; None before there is one.
        decided_s: Time of the decision, in seconds since 1970.
        severity: The last severity.
        alarms: The alarms that are raised.
        samples: Samples of the last classified window, shape (window, axes), in the contract's unit.
        sample_rate_hz: Sampling rate of those samples.
        sensor_rate_hz: Sampling rate by the sensor's clock.
        counters: Counters of the link.
        lag_s: How far the station is behind, in seconds.
        skipped: Number of windows that were not judged because the machine was too slow.
        trouble: What stops the station; None while it runs.
        coverage_off: Whether coverage is off.
        failing: Why outputs cannot be written now; monitoring continues.
        measured_s: Time at which a window last showed the machine (`WindowResult.is_measured`), in seconds since 1970;
            None before there is one. Decision and alarms are as fresh as this.
        stale_after_s: Age of `measured_s` in seconds from which decision and alarms count as old.
        now_s: Clock of these times; in a replay the clock of the log.
        came_s: Returns when the samples of the present result came, by that clock; None: now.
    """

    machine: str
    window: WindowResult | None = None
    decision: Decision | None = None
    decided_s: float = 0.0
    severity: Severity | None = None
    alarms: tuple[str, ...] = ()
    samples: NDArray[np.float32] | None = None
    sample_rate_hz: float = 1.0
    sensor_rate_hz: float | None = None
    counters: StreamCounters | None = None
    lag_s: float = 0.0
    skipped: int = 0
    trouble: str | None = None
    coverage_off: bool = False
    failing: tuple[str, ...] = ()
    measured_s: float | None = None
    stale_after_s: float = 3.0
    now_s: Callable[[], float] = time.time
    came_s: Callable[[], float] | None = None

    def take(self, result: Result) -> None:
        """Take a result."""
        if isinstance(result, WindowResult):
            self.window = result
            if result.is_measured:
                self.measured_s = (self.came_s or self.now_s)()
        elif isinstance(result, Decision):
            self.decision, self.decided_s = result, (self.came_s or self.now_s)()
        elif isinstance(result, Severity):
            self.severity = result

    def note(self, monitor: Monitor, counters: StreamCounters, lag_s: float, failing: Mapping[str, str | None]) -> None:
        """Take the present state of the stream and the outputs."""
        conclusions = monitor.judge.conclusions
        self.alarms, self.coverage_off = conclusions.raised, conclusions.coverage_off
        self.sensor_rate_hz = monitor.stream.rate.sample_rate_hz
        self.counters, self.lag_s, self.skipped = counters, lag_s, monitor.stream.counts.skipped
        self.failing = tuple(why for why in failing.values() if why)

    def close(self) -> None:
        """Do nothing: the last state stays."""

    def keep(self, samples: NDArray[np.float32]) -> None:
        """Take the samples of a classified window, shape (1, window, axes)."""
        self.samples = samples[0]
