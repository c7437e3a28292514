"""What a view shows of a station; written by the station's thread, read by another one."""

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
    """What one station shows now.

    Attributes:
        machine: What it watches.
        window: The last window that was judged.
        decision: The last decision, None before there is one.
        decided_s: When that was, seconds since 1970.
        severity: The last one.
        alarms: Those that are raised.
        samples: Of the last window that was classified, shape (window, axes), in the contract's unit.
        sample_rate_hz: Of those samples.
        sensor_rate_hz: The rate by the sensor's clock.
        counters: The link's account.
        lag_s: How far behind the station is.
        skipped: Windows that were not judged because the machine was too slow.
        trouble: What keeps the station from running, None while it runs.
        failing: Why outputs cannot be written now; verdicts go on.
        measured_s: When a window last showed the machine (`WindowResult.is_measured`), seconds since 1970, None before
            there is one. Decision and alarms are as fresh as that.
        stale_after_s: How old that may be before decision and alarms count as old.
        now_s: The clock of these times, which is that of the day that is replayed.
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
    failing: tuple[str, ...] = ()
    measured_s: float | None = None
    stale_after_s: float = 3.0
    now_s: Callable[[], float] = time.time

    def take(self, result: Result) -> None:
        """Show a result."""
        if isinstance(result, WindowResult):
            self.window = result
            if result.is_measured:
                self.measured_s = self.now_s()
        elif isinstance(result, Decision):
            self.decision, self.decided_s = result, self.now_s()
        elif isinstance(result, Severity):
            self.severity = result

    def note(self, monitor: Monitor, counters: StreamCounters, lag_s: float, failing: Mapping[str, str | None]) -> None:
        """Show what is true of the stream and the outputs now."""
        self.alarms, self.sensor_rate_hz = monitor.judge.conclusions.raised, monitor.stream.rate.sample_rate_hz
        self.counters, self.lag_s, self.skipped = counters, lag_s, monitor.stream.counts.skipped
        self.failing = tuple(why for why in failing.values() if why)

    def close(self) -> None:
        """Go on showing what was shown last."""

    def keep(self, samples: NDArray[np.float32]) -> None:
        """Show the samples of a window that is classified, shape (1, window, axes)."""
        self.samples = samples[0]
