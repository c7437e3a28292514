"""The state of one stream, independent of the judge: the sensor, its clock and rate, the grid, offsets, counts, times.

A reload exchanges the judge and keeps this state, so that no sample is lost and no count starts again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drsn_edge.monitor.stages.freshness import STALLED_S, Freshness
from drsn_edge.monitor.stages.grid import Grid
from drsn_edge.monitor.stages.rate import RateWatch
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.signal.contract import RATE_TOLERANCE, SignalContract, stream_factor
from drsn_edge.signal.quality import OffsetWatch, SensorLimits, clipping_level, find_defect
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


class StreamState:
    """Takes the events of a sensor and cuts windows, each with a reason if it must not be judged."""

    def __init__(
        self, contract: SignalContract, taught: NDArray[np.float64] | None, clock: HostClock, counts: WindowCounts
    ) -> None:
        """Begin before the Hello of the stream.

        Args:
            contract: Signal contract of the present model.
            taught: Mean of each axis learned on site; see `OffsetWatch`.
            clock: Clock of this machine.
            counts: Counters to continue.
        """
        self._contract, self._taught, self.counts = contract, taught, counts
        self._lag_s, self.arrived_s = clock.lag_s, clock.arrived_s
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

    def take_hello(self, hello: Hello) -> None:
        """Take the Hello of the sensor.

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
        self.freshness.hello(self.arrived_s())

    def restart(self) -> None:
        """Reset indices and clocks after a restart of the device."""
        self._grid.reset()
        self._device_clock.reset()
        self.rate.reset()
        self._repeats.reset()
        self.freshness.restart()

    def take(self, block: SampleBlock) -> Iterator[CutWindow]:
        """Take samples; return the windows that they complete, each to be judged before the next is requested."""
        self.freshness.block(self.arrived_s(), block.first_sample, block.device_time_s)
        if self.rate.add(block.first_sample, block.device_time_s):
            self._device_clock.reset()
        self._device_clock.add(block.first_sample, block.device_time_s)
        self._grid.follow_rate(self.rate.rate)
        return map(self._described, self._grid.take(block))

    def judged(self, result: WindowResult) -> None:
        """Record the result of a window."""
        self.counts.add(result)
        self.freshness.window(result)

    def _described(self, window: Window) -> CutWindow:
        cut, rate_hz = self._grid.cut, self._grid.sample_rate_hz
        return CutWindow(
            first_sample=window.first_sample + cut.margin,
            device_time_s=max(0.0, window.device_time_s + cut.margin / rate_hz),
            counts=window.counts,
            lost_samples=window.lost_samples,
            defect=self._defect_of(window, SensorLimits(self._scale.full_scale_counts, rate_hz, cut.factor)),
            cut=cut,
            scale=self._scale,
        )

    def _defect_of(self, window: Window, limits: SensorLimits) -> str | None:
        defect = find_defect(window, limits, self.rate.sample_rate_hz)
        if self._repeats.repeats(window):
            defect = REPEATED
        defect = defect or self.rate.why_not(window.first_sample)
        return SKIPPED if defect is None and self._must_skip() else defect

    def _must_skip(self) -> bool:
        """Tell whether to skip windows to catch up: cutting a window is far cheaper than judging it."""
        self._is_behind = self._lag_s() > (CAUGHT_UP_S if self._is_behind else BEHIND_S)
        return self._is_behind


def _scale_for(contract: SignalContract, hello: Hello) -> Scale:
    """Return the scale of a sensor's counts for a model.

    Raises:
        ContractError: If the sensor does not fit the model.
    """
    to_unit = stream_factor(contract, hello.sample_rate_hz, hello.axes, hello.unit, resamples=True)
    return Scale(np.asarray(hello.scales * to_unit, np.float32), clipping_level(hello.full_scale, hello.scale))
