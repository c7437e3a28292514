"""Recordings through the monitor's windows, quality checks, classifier and decision: the library of `classify`."""

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
    """The results of the monitor for a recording.

    Attributes:
        recording: Name of the recording.
        label: Label by its file or catalogue; None if unknown.
        duration_s: Length in seconds.
        windows: Results of the windows, in order.
        decisions: Changes of the decision, in order.
        alarms: Changes of alarms, in order.
    """

    recording: str
    label: str | None
    duration_s: float
    windows: tuple[WindowResult, ...]
    decisions: tuple[Decision, ...]
    alarms: tuple[Alarm, ...]

    @property
    def counts(self) -> Counter[str]:
        """Number of windows by label, UNKNOWN or NO_VERDICT."""
        return Counter(said_by(window).state for window in self.windows)

    @property
    def reasons(self) -> Counter[str]:
        """Number of windows without a verdict by reason."""
        return Counter(window.reason for window in self.windows if window.reason)


def classify(recording: Recording, model: Model, settings: MonitorSettings, rpm: float | None = None) -> Classified:
    """Return the results that the monitor would give for a sensor with these samples.

    Args:
        recording: Recording with the rate and axes of the contract, in a unit that converts to the contract's.
        model: The opened bundle.
        settings: Settings of decision and alarms.
        rpm: Speed of the shaft in rpm; None: the recording's field `rpm`, if it has one.

    Raises:
        ContractError: If the recording does not fit the model, or is shorter than a window.
    """
    window = model.manifest.contract.window
    if len(recording.samples) < window:
        got = len(recording.samples)
        words = f"{recording.name} is too short: it has {got} samples, and one window of the model needs {window}."
        raise ContractError(words, "too_short", name=recording.name, expected=window, got=got)
    speed_hz = recording.speed_hz if rpm is None else rpm / 60
    known_hz = None if math.isnan(speed_hz) else speed_hz
    monitor = Monitor(Judge(model, settings, known_hz), HostClock(now=lambda: 0.0))
    counters = StreamCounters(samples_received=len(recording.samples))
    try:
        results = list(monitor.run(_events(recording), lambda: counters))
    except ContractError as exc:
        raise ContractError(f"{recording.name}: {exc}", exc.problem, **{**exc.facts, "name": recording.name}) from exc
    return Classified(
        recording.name,
        recording.label,
        recording.duration_s,
        tuple(result for result in results if isinstance(result, WindowResult)),
        tuple(result for result in results if isinstance(result, Decision)),
        tuple(result for result in results if isinstance(result, Alarm)),
    )


def _events(recording: Recording) -> Iterator[SourceEvent]:
    """Yield the events of a 23-bit sensor that sends the recording."""
    full_scale = full_scale_for(recording.samples)
    scale = full_scale / (1 << _COUNT_BITS)
    name = printable(recording.name).encode("ascii", "replace").decode()
    rate_hz = recording.sample_rate_hz
    yield Hello(0, name, "none", "recording", recording.axes, recording.unit, scale, full_scale, rate_hz)
    for first in range(0, len(recording.samples), _BLOCK_SAMPLES):
        counts = np.rint(recording.samples[first : first + _BLOCK_SAMPLES].astype(np.float64) / scale).astype(np.int32)
        yield SampleBlock(first, first / rate_hz, counts, 0)
