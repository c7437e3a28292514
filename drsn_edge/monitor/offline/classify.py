"""Recordings through the monitor's windows, quality checks, classifier and decision: the library of `classify`."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import ContractError
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.monitor.stages.stream_state import HostClock
from drsn_edge.monitor.stages.words import said_by
from drsn_edge.recordings.recording import Recording
from drsn_edge.recordings.streamed import StreamedRecording
from drsn_edge.signal.windows import FloatArray
from drsn_edge.simulation.virtual_sensor import range_for
from firmware_bridge.support.shown import printable
from firmware_bridge.wire.events import SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters

_COUNT_BITS = 22
_BLOCK_SAMPLES = 4096
_PIECE_SAMPLES = 16 * _BLOCK_SAMPLES


@dataclass(frozen=True)
class Classified:
    """The results of the monitor for a recording.

    Attributes:
        recording: Name of the recording.
        label: Label by its file or catalogue; None if unknown.
        duration_s: Length in seconds.
        starts_s: Time of each window's first sample in the recording, in seconds.
        states: Label of each window, or the name of its verdict without a class.
        reasons: Number of windows without a verdict by reason.
        decisions: Changes of the decision, in order.
        alarms: Changes of alarms, in order.
    """

    recording: str
    label: str | None
    duration_s: float
    starts_s: NDArray[np.float64]
    states: tuple[str, ...]
    reasons: Counter[str]
    decisions: tuple[Decision, ...]
    alarms: tuple[Alarm, ...]

    @property
    def counts(self) -> Counter[str]:
        """Number of windows by label, or by the name of a verdict without a class."""
        return Counter(self.states)


def classify(
    recording: Recording | StreamedRecording, model: Model, settings: MonitorSettings, rpm: float | None = None
) -> Classified:
    """Return the results that the monitor would give for a sensor with these samples.

    Memory holds a piece of the samples and some bytes for each window.

    Args:
        recording: Recording with the rate and axes of the contract, in a unit that converts to the contract's.
        model: The opened bundle.
        settings: Settings of decision and alarms.
        rpm: Speed of the shaft in rpm; None: the recording's field `rpm`, if it has one.

    Raises:
        ContractError: If the recording does not fit the model, or is shorter than a window.
        RecordingError: If a streamed recording turns out to be damaged.
    """
    extent = _extent(recording)
    starts_s, states, reasons = array("d"), [], Counter[str]()
    decisions: list[Decision] = []
    alarms: list[Alarm] = []
    for result in _monitored(recording, extent, model, settings, rpm):
        if isinstance(result, WindowResult):
            starts_s.append(result.device_time_s)
            states.append(said_by(result).state)
            reasons.update([result.reason] if result.reason else [])
        elif isinstance(result, Decision):
            decisions.append(result)
        elif isinstance(result, Alarm):
            alarms.append(result)
    return Classified(
        recording.name, recording.label, extent.n_samples / recording.sample_rate_hz,
        np.array(starts_s), tuple(states), reasons, tuple(decisions), tuple(alarms),
    )  # fmt: skip


def windows_of(
    recording: Recording | StreamedRecording, model: Model, settings: MonitorSettings, rpm: float | None = None
) -> Iterator[WindowResult]:
    """Yield the result of each window; arguments and errors as of `classify`."""
    for result in _monitored(recording, _extent(recording), model, settings, rpm):
        if isinstance(result, WindowResult):
            yield result


def _monitored(
    recording: Recording | StreamedRecording,
    extent: _Extent,
    model: Model,
    settings: MonitorSettings,
    rpm: float | None,
) -> Iterator[Result]:
    window, n_samples = model.manifest.contract.window, extent.n_samples
    if n_samples < window:
        words = (
            f"{recording.name} is too short: it has {n_samples} samples, and one window of the model needs {window}."
        )
        raise ContractError(words, "too_short", name=recording.name, expected=window, got=n_samples)
    speed_hz = recording.speed_hz if rpm is None else rpm / 60
    known_hz = None if math.isnan(speed_hz) else speed_hz
    monitor = Monitor(Judge(model, settings, known_hz), HostClock(now=lambda: 0.0))
    counters = StreamCounters(samples_received=n_samples)
    try:
        yield from monitor.run(_events(recording, range_for(extent.peak)), lambda: counters)
    except ContractError as exc:
        raise ContractError(f"{recording.name}: {exc}", exc.problem, **{**exc.facts, "name": recording.name}) from exc


class _Extent(NamedTuple):
    """What has to be known before the first sample: the number of samples, and the largest absolute value."""

    n_samples: int
    peak: float


def _extent(recording: Recording | StreamedRecording) -> _Extent:
    """Read the recording to its end. The range of the sensor follows from the largest value."""
    n_samples, peak = 0, 0.0
    for piece in recording.pieces(_PIECE_SAMPLES):
        n_samples += len(piece)
        peak = max(peak, float(np.max(np.abs(piece))))
    return _Extent(n_samples, peak)


def _events(recording: Recording | StreamedRecording, full_scale: float) -> Iterator[SourceEvent]:
    """Yield the events of a 23-bit sensor that sends the recording."""
    scale = full_scale / (1 << _COUNT_BITS)
    name = printable(recording.name).encode("ascii", "replace").decode()
    rate_hz = recording.sample_rate_hz
    yield Hello(0, name, "none", "recording", recording.axes, recording.unit, scale, full_scale, rate_hz)
    first = 0
    for block in _blocks(recording.pieces(_PIECE_SAMPLES)):
        counts = np.rint(block.astype(np.float64) / scale).astype(np.int32)
        yield SampleBlock(first, first / rate_hz, counts, 0)
        first += len(block)


def _blocks(pieces: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Cut pieces of any length into blocks of equal length; the last one may be shorter."""
    rest: FloatArray | None = None
    for piece in pieces:
        joined = piece if rest is None else np.concatenate([rest, piece])
        whole = len(joined) - len(joined) % _BLOCK_SAMPLES
        for first in range(0, whole, _BLOCK_SAMPLES):
            yield joined[first : first + _BLOCK_SAMPLES]
        rest = joined[whole:] if whole < len(joined) else None
    if rest is not None:
        yield rest
