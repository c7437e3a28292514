"""The state of one stream, independent of the judge: the sensor, its clock and rate, the grid, offsets, counts, times.

A reload exchanges the judge and keeps this state, so that no sample is lost and no count starts again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.monitor.stages.freshness import STALLED_S, Freshness
from drsn_edge.monitor.stages.grid import Grid
from drsn_edge.monitor.stages.rate import RateTrust, RateWatch
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.signal.contract import RATE_TOLERANCE, SignalContract, stream_factor
from drsn_edge.signal.quality import OffsetWatch, SensorLimits, clipping_level, find_defects
from drsn_edge.signal.repeats import RepeatWatch, memory_for
from drsn_edge.signal.resampling import Cut
from drsn_edge.signal.windows import Window
from drsn_edge.verdicts import REPEATED, SKIPPED, Verdict
from firmware_bridge.wire.clock import ClockFit
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Counts, Hello

BEHIND_S, CAUGHT_UP_S = 3.0, 0.5


@dataclass(frozen=True)
class HostClock:
    """The time on this machine.

    Attributes:
        now: Monotonic clock in seconds, to notice a silent device.
        lag_s: Returns how long ago the present event arrived, in seconds; above `BEHIND_S`, windows are skipped
            until it is `CAUGHT_UP_S`.
    """

    now: Callable[[], float] = time.monotonic
    lag_s: Callable[[], float] = lambda: 0.0

    def arrived_s(self) -> float:
        """Return when the present event arrived, so that a machine that is behind takes no event for late."""
        return self.now() - self.lag_s()


class WindowCounts:
    """Counters of the windows of one sensor, over reloads and errors."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.verdicts: Counter[str] = Counter({verdict.value: 0 for verdict in Verdict})
        self.labels: Counter[str] = Counter()
        self.link_losses = 0
        self.skipped = 0

    def expect(self, labels: Sequence[str]) -> None:
        """Also count these labels, those of the present model, and list them first."""
        before, self.labels = self.labels, Counter(dict.fromkeys(labels, 0))
        self.labels.update(before)

    def add(self, result: WindowResult) -> None:
        """Count one window."""
        self.verdicts[result.verdict.value] += 1
        self.skipped += result.reason == SKIPPED
        if result.label is not None:
            self.labels[result.label] += 1


@dataclass(frozen=True)
class Scale:
    """Scale of the sensor's counts.

    Attributes:
        factors: Contract's unit per count of each axis, shape (axes,).
        full_scale_counts: Count at which the sensor clips.
    """

    factors: NDArray[np.float32]
    full_scale_counts: float

    @cached_property
    def full_scale(self) -> NDArray[np.float64]:
        """Value at which each axis clips, in the contract's unit, shape (axes,)."""
        return np.asarray(self.full_scale_counts * np.abs(self.factors), np.float64)


@dataclass(frozen=True)
class CutWindow:
    """One window of the stream before a model judges it.

    Attributes:
        first_sample: Index of the first sample in the sensor's session, without the margin.
        device_time_s: Device time of that sample, in seconds.
        counts: Counts with margins, shape (cut.window, axes).
        lost_samples: Number of missing samples.
        defect: Why it must not be judged; None: it may be.
        cut: How it was cut.
        scale: Scale of the counts.
    """

    first_sample: int
    device_time_s: float
    counts: Counts
    lost_samples: int
    defect: str | None
    cut: Cut
    scale: Scale


class Passed(NamedTuple):
    """What one block of samples has brought.

    Attributes:
        windows: Windows that it completes.
        trust: Whether its sampling rate is known.
        patience_s: `StreamState.patience_s` after it.
    """

    windows: Sequence[CutWindow]
    trust: RateTrust
    patience_s: float


class _Raw(NamedTuple):
    """A window before its quality is known, with what was true of the stream when it was complete."""

    window: Window
    cut: Cut
    grid_hz: float
    rate_hz: float | None
    trust: RateTrust


class StreamState:
    """Takes the events of a sensor and cuts windows, each with a reason if it must not be judged."""

    def __init__(self, contract: SignalContract, taught: NDArray[np.float64] | None, counts: WindowCounts) -> None:
        """Begin before the Hello of the stream.

        Args:
            contract: Signal contract of the present model.
            taught: Mean of each axis learned on site; see `OffsetWatch`.
            counts: Counters to continue.
        """
        self._contract, self._taught, self.counts = contract, taught, counts
        self._hello: Hello | None = None
        self._scale = Scale(np.ones(0, np.float32), clipping_level(1.0, 2**-15))  # before the Hello of the device
        self._grid = Grid(contract)
        self._device_clock = ClockFit()
        self._repeats = RepeatWatch(memory_for(contract.window))
        self._is_behind = False
        self.rate = RateWatch(RATE_TOLERANCE / 2)
        """The recent sampling rate, by the sensor's clock."""
        self.offsets = OffsetWatch(taught)
        """The usual offsets of the sensor's axes."""
        self.freshness = Freshness()
        """Times of the last events."""

    @property
    def sample_rate_hz(self) -> float | None:
        """Sampling rate over the whole session by the sensor's clock, in Hz; None until it is known."""
        return self._device_clock.sample_rate_hz

    @property
    def hello(self) -> Hello | None:
        """The last Hello of the sensor; None before the first."""
        return self._hello

    @property
    def patience_s(self) -> float:
        """Time that a decision stays without confirmation by a window, in seconds."""
        return STALLED_S + self._grid.longest_s

    def serve(self, contract: SignalContract, taught: NDArray[np.float64] | None) -> None:
        """Cut windows for another model from now on, without losing a sample.

        Raises:
            ContractError: If the sensor does not fit the model; then nothing has changed.
        """
        if self._hello is not None:
            self._scale, self._grid = _scale_for(contract, self._hello), self._grid.for_contract(contract)
        else:
            self._grid = Grid(contract)
        self._contract, self._taught = contract, taught
        self._is_behind = False  # the new model may be faster, and is not to blame for the lag
        self.freshness.judged_anew()

    def take_hello(self, hello: Hello, arrived_s: float) -> None:
        """Take the Hello of the sensor, which came at `arrived_s` by the host's clock.

        Raises:
            ContractError: If the sensor does not fit the model.
        """
        self._scale = _scale_for(self._contract, hello)
        if self._hello is not None and hello.device_id != self._hello.device_id:
            self.offsets = OffsetWatch(self._taught)  # another sensor has another offset
        self._hello = hello
        self._grid.begin(hello.sample_rate_hz)
        self._repeats.remember(memory_for(self._contract.window * self._grid.cut.factor))
        self.rate.nominal_hz = hello.sample_rate_hz
        self.freshness.hello(arrived_s)

    def restart(self) -> None:
        """Reset indices and clocks after a restart of the device."""
        self._grid.reset()
        self._device_clock.reset()
        self.rate.reset()
        self._repeats.reset()
        self.freshness.restart()

    def take(self, blocks: Sequence[SampleBlock], lag_s: float) -> list[Passed]:
        """Take blocks in order; return what each has brought.

        Args:
            blocks: Samples without another event between them.
            lag_s: How long ago the last of them came, in seconds; above `BEHIND_S`, windows are skipped until it is
                `CAUGHT_UP_S`.
        """
        watch, clock, grid = self.rate, self._device_clock, self._grid
        passed: list[tuple[int, RateTrust, float]] = []
        raws: list[_Raw] = []
        for block in blocks:
            if watch.add(block.first_sample, block.device_time_s):
                clock.reset()
            clock.add(block.first_sample, block.device_time_s)
            grid.follow_rate(watch.rate)
            windows = grid.take(block)
            if windows:
                facts = grid.cut, grid.sample_rate_hz, watch.sample_rate_hz, watch.trust
                raws += [_Raw(window, *facts) for window in windows]
            passed.append((len(windows), watch.trust, STALLED_S + grid.longest_s))
        described = iter(self._described(raws, lag_s) if raws else ())
        return [Passed([*islice(described, n)] if n else (), trust, patience_s) for n, trust, patience_s in passed]

    def samples_to_window(self, latency_s: float) -> int | None:
        """Return how many samples complete the next window; None if windows come within `latency_s` of each other."""
        return self._grid.samples_to_window if self._grid.hop_s >= latency_s else None

    def judged(self, result: WindowResult) -> None:
        """Record the result of a window."""
        self.counts.add(result)
        self.freshness.window(result)

    def _described(self, raws: Sequence[_Raw], lag_s: float) -> list[CutWindow]:
        full_scale_counts = self._scale.full_scale_counts
        defects = find_defects(
            [each.window for each in raws],
            [SensorLimits(full_scale_counts, each.grid_hz, each.cut.factor) for each in raws],
            [each.rate_hz for each in raws],
        )
        repeated = self._repeats.repeat([each.window for each in raws])
        found = []
        for (window, cut, grid_hz, _, trust), defect, repeats in zip(raws, defects, repeated, strict=True):
            if repeats:
                defect = REPEATED
            defect = defect or trust.why_not(window.first_sample)
            if defect is None and self._must_skip(lag_s):
                defect = SKIPPED
            first, time_s = window.first_sample + cut.margin, max(0.0, window.device_time_s + cut.margin / grid_hz)
            found.append(CutWindow(first, time_s, window.counts, window.lost_samples, defect, cut, self._scale))
        return found

    def _must_skip(self, lag_s: float) -> bool:
        """Tell whether to skip windows to catch up: cutting a window is far cheaper than judging it."""
        self._is_behind = lag_s > (CAUGHT_UP_S if self._is_behind else BEHIND_S)
        return self._is_behind


def _scale_for(contract: SignalContract, hello: Hello) -> Scale:
    """Return the scale of a sensor's counts for a model.

    Raises:
        ContractError: If the sensor does not fit the model.
    """
    to_unit = stream_factor(contract, hello.sample_rate_hz, hello.axes, hello.unit, resamples=True)
    return Scale(np.asarray(hello.scales * to_unit, np.float32), clipping_level(hello.full_scale, hello.scale))
