"""Recordings through the monitor's own windows, quality, classifier and decision: `classify` without a command line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drsn_edge.errors import ContractError
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Alarm, Decision, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.monitor.stages.words import said_by
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import full_scale_for
from firmware_bridge.support.shown import printable
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters

_COUNT_BITS = 22
_BLOCK_SAMPLES = 4096


@dataclass(frozen=True)
class Classified:
    """What the monitor says of a recording.

    Attributes:
        recording: Its name.
        label: What it is said to be by its file or catalogue, None where that is not known.
        duration_s: Its length.
        windows: In order.
        decisions: Each change, in order.
        alarms: Likewise.
    """

    recording: str
    label: str | None
    duration_s: float
    windows: tuple[WindowResult, ...]
    decisions: tuple[Decision, ...]
    alarms: tuple[Alarm, ...]

    @property
    def counts(self) -> Counter[str]:
        """Windows by what they said: labels, UNKNOWN, NO_VERDICT."""
        return Counter(said_by(window).state for window in self.windows)

    @property
    def reasons(self) -> Counter[str]:
        """Windows without a verdict by their reason."""
        return Counter(window.reason for window in self.windows if window.reason)


def classify(recording: Recording, model: Model, settings: MonitorSettings, rpm: float | None = None) -> Classified:
    """Say of one recording what the monitor would have said of the sensor.

    Args:
        recording: Of the rate, axes and unit of the contract, or one that converts.
        model: That judges.
        settings: What it takes to change the decision, and what is an alarm.
        rpm: Speed of the shaft; None: that of the recording's field `rpm`, if it has one.

    Raises:
        ContractError: If the recording does not fit the model, or is shorter than a window.
    """
    window = model.manifest.contract.window
    if len(recording.samples) < window:
        raise ContractError(
            f"{recording.name}: Expected at least a window of {window} samples, got {len(recording.samples)}."
        )
    speed_hz = recording.speed_hz if rpm is None else rpm / 60
    known_hz = None if math.isnan(speed_hz) else speed_hz
    monitor = Monitor(Judge(model, settings, known_hz), HostClock(now=lambda: 0.0))
    counters = StreamCounters(samples_received=len(recording.samples))
    try:
        results = list(monitor.run(_events(recording), lambda: counters))
    except ContractError as exc:
        raise ContractError(f"{recording.name}: {exc}") from exc
    return Classified(
        recording.name,
        recording.label,
        recording.duration_s,
        tuple(result for result in results if isinstance(result, WindowResult)),
        tuple(result for result in results if isinstance(result, Decision)),
        tuple(result for result in results if isinstance(result, Alarm)),
    )


def _events(recording: Recording) -> Iterator[SourceEvent]:
    """Yield a recording as a sensor of 23 bits would send it."""
    full_scale = full_scale_for(recording.samples)
    scale = full_scale / (1 << _COUNT_BITS)
    name = printable(recording.name).encode("ascii", "replace").decode()
    rate_hz = recording.sample_rate_hz
    yield Hello(0, name, "none", "recording", recording.axes, recording.unit, scale, full_scale, rate_hz)
    for first in range(0, len(recording.samples), _BLOCK_SAMPLES):
        counts = np.rint(recording.samples[first : first + _BLOCK_SAMPLES].astype(np.float64) / scale).astype(np.int32)
        yield SampleBlock(first, first / rate_hz, counts, 0)
