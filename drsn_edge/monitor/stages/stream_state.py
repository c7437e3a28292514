"""What is true of one stream, whoever judges it: the sensor, its clock and rate, the grid, offsets, counts, times.

A reload swaps the judge and leaves all of this as it is, so that no sample is left out and no count begins again.
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
from drsn_edge.signal.resampling import LIMIT, Cut
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
        now: Seconds, to notice a device that is silent.
        lag_s: How long ago the event that is taken in now had come; more than `BEHIND_S`, and windows are skipped until
            it is `CAUGHT_UP_S`.
    """

    now: Callable[[], float] = time.monotonic
    lag_s: Callable[[], float] = lambda: 0.0

    def arrived_s(self) -> float:
        """Return when what is taken in now had come: a machine that is behind takes nothing for late."""
        return self.now() - self.lag_s()


class WindowCounts:
    """How many windows said what, over reloads and errors: the account of one sensor."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.verdicts: Counter[str] = Counter({verdict.value: 0 for verdict in Verdict})
        self.labels: Counter[str] = Counter()
        self.link_losses = 0
        self.skipped = 0

    def expect(self, labels: Sequence[str]) -> None:
        """Count these labels, too, those of the model that judges from now on first."""
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
    """What the sensor's counts mean.

    Attributes:
        factors: Of each axis, the contract's unit per count, shape (axes,).
        full_scale_counts: Where the sensor clips.
    """

    factors: NDArray[np.float32]
    full_scale_counts: float

    @cached_property
    def full_scale(self) -> NDArray[np.float64]:
        """Where each axis clips, in the contract's unit."""
        return np.asarray(self.full_scale_counts * np.abs(self.factors), np.float64)


@dataclass(frozen=True)
class CutWindow:
    """One window of the stream, with what is known of it before a model sees it.

    Attributes:
        first_sample: Index of its first sample in the sensor's session, without the margin.
        device_time_s: Sensor's time of that sample.
        counts: As they were cut, margins included, shape (cut.window, axes).
        lost_samples: How many are missing.
        defect: Why it must not be judged; None: it may be.
        cut: How it was cut.
        scale: What the counts mean.
    """

    first_sample: int
    device_time_s: float
    counts: Counts
    lost_samples: int
    defect: str | None
    cut: Cut
    scale: Scale


class StreamState:
    """Takes in what a sensor sends and cuts windows of it, each with the reason why it must not be judged."""

    def __init__(
        self, contract: SignalContract, taught: NDArray[np.float64] | None, clock: HostClock, counts: WindowCounts
    ) -> None:
        """Begin with a stream whose Hello is still to come.

        Args:
            contract: Of the model that judges.
            taught: Mean of each axis that was taught on site; see `OffsetWatch`.
            clock: Of this machine.
            counts: Which go on.
        """
        self._contract, self._taught, self.counts = contract, taught, counts
        self._lag_s, self.arrived_s = clock.lag_s, clock.arrived_s
        self._hello: Hello | None = None
        self._scale = Scale(np.ones(0, np.float32), clipping_level(1.0, 2**-15))  # of a device that said nothing yet
        self._grid = Grid(contract)
        self._device_clock = ClockFit()
        self._repeats = RepeatWatch(memory_for(contract.window))
        self._is_behind = False
        self.rate = RateWatch(RATE_TOLERANCE / 2)
        """The sample rate of late, by the sensor's clock."""
        self.offsets = OffsetWatch(taught)
        """Where the sensor's axes usually are."""
        self.freshness = Freshness()
        """When something came last."""

    @property
    def sample_rate_hz(self) -> float | None:
        """Samples per second over the whole session by the sensor's clock, None until it is known."""
        return self._device_clock.sample_rate_hz

    @property
    def hello(self) -> Hello | None:
        """What the sensor says of itself, None before it did."""
        return self._hello

    @property
    def patience_s(self) -> float:
        """How long a decision stands that no window bears out, in seconds."""
        return STALLED_S + self._grid.longest_s

    def serve(self, contract: SignalContract, taught: NDArray[np.float64] | None) -> None:
        """Cut windows for another model from now on, without leaving out a sample.

        Raises:
            ContractError: If the sensor does not fit it; then everything is as before.
        """
        if self._hello is not None:
            self._scale, self._grid = _scale_for(contract, self._hello), self._grid.for_contract(contract)
        else:
            self._grid = Grid(contract)
        self._contract, self._taught = contract, taught
        self._is_behind = False  # the new model may be quicker, and is not to blame for what waits
        self.freshness.judged_anew()

    def take_hello(self, hello: Hello) -> None:
        """Take in how the sensor describes itself.

        Raises:
            ContractError: If it does not fit the model.
        """
        self._scale = _scale_for(self._contract, hello)
        if self._hello is not None and hello.device_id != self._hello.device_id:
            self.offsets = OffsetWatch(self._taught)  # another sensor has another offset
        self._hello = hello
        self._grid.begin(hello.sample_rate_hz)
        self.rate.nominal_hz = hello.sample_rate_hz
        self.freshness.hello(self.arrived_s())

    def restart(self) -> None:
        """The device began anew: its index and its clock do, too."""
        self._grid.reset()
        self._device_clock.reset()
        self.rate.reset()
        self._repeats.reset()
        self.freshness.restart()

    def take(self, block: SampleBlock) -> Iterator[CutWindow]:
        """Take in samples; return the windows that they complete, each to be judged before the next is asked for."""
        self.freshness.block(self.arrived_s(), block.first_sample, block.device_time_s)
        if self.rate.add(block.first_sample, block.device_time_s):
            self._device_clock.reset()
        self._device_clock.add(block.first_sample, block.device_time_s)
        self._grid.follow_rate(self.rate.rate)
        return map(self._described, self._grid.take(block))

    def judged(self, result: WindowResult) -> None:
        """Note what was said of a window."""
        self.counts.add(result)
        self.freshness.window(result)

    def _described(self, window: Window) -> CutWindow:
        cut, rate_hz = self._grid.cut, self._grid.sample_rate_hz
        return CutWindow(
            first_sample=window.first_sample + cut.margin,
            device_time_s=window.device_time_s + cut.margin / rate_hz,
            counts=window.counts,
            lost_samples=window.lost_samples,
            defect=self._defect_of(window, SensorLimits(self._scale.full_scale_counts, rate_hz)),
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
        """Tell whether to catch up: cutting a window costs little beside judging it."""
        self._is_behind = self._lag_s() > (CAUGHT_UP_S if self._is_behind else BEHIND_S)
        return self._is_behind


def _scale_for(contract: SignalContract, hello: Hello) -> Scale:
    """Return what counts of that sensor mean to a model.

    Raises:
        ContractError: If the sensor does not fit it.
    """
    to_unit = stream_factor(contract, hello.sample_rate_hz, hello.axes, hello.unit, rate_tolerance=LIMIT)
    return Scale(np.asarray(hello.scales * to_unit, np.float32), clipping_level(hello.full_scale, hello.scale))
