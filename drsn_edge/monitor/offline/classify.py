"""Recordings through the monitor's windows, quality checks, classifier and decision: the library of `classify`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
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


def classify(
    recording: Recording | StreamedRecording, model: Model, settings: MonitorSettings, rpm: float | None = None
) -> Classified:
    """Return the results that the monitor would give for a sensor with these samples.

    The recording is read twice: for its length and its largest value, which the sensor's range follows from, and then
    for its samples. Memory holds a block of samples and the results.

    Args:
        recording: Recording with the rate and axes of the contract, in a unit that converts to the contract's.
        model: The opened bundle.
        settings: Settings of decision and alarms.
        rpm: Speed of the shaft in rpm; None: the recording's field `rpm`, if it has one.

    Raises:
        ContractError: If the recording does not fit the model, or is shorter than a window.
        RecordingError: If a streamed recording turns out to be damaged.
    """
    window = model.manifest.contract.window
    n_samples, peak = _extent(recording)
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
        results = list(monitor.run(_events(recording, range_for(peak)), lambda: counters))
    except ContractError as exc:
        raise ContractError(f"{recording.name}: {exc}", exc.problem, **{**exc.facts, "name": recording.name}) from exc
    return Classified(
        recording.name,
        recording.label,
        n_samples / recording.sample_rate_hz,
        tuple(result for result in results if isinstance(result, WindowResult)),
        tuple(result for result in results if isinstance(result, Decision)),
        tuple(result for result in results if isinstance(result, Alarm)),
    )


def _extent(recording: Recording | StreamedRecording) -> tuple[int, float]:
    """Return the number of samples and the largest absolute value; reads the recording to its end."""
    n_samples, peak = 0, 0.0
    for piece in recording.pieces(_PIECE_SAMPLES):
        n_samples += len(piece)
        peak = max(peak, float(np.max(np.abs(piece))))
    return n_samples, peak


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
