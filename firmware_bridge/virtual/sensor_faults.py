"""Faults of a sensor and its clock: takes true samples and times, returns those that the device sends."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.virtual.fault_plan import FaultPlan, Totals
from firmware_bridge.virtual.fault_script import Fault
from firmware_bridge.wire.messages import Counts


class SensorFaults:
    """Applies the faults of a plan to samples, sampling rate and clock."""

    def __init__(self, plan: FaultPlan, totals: Totals) -> None:
        """Use a plan; discarded samples are counted in `totals`."""
        self._plan, self._totals = plan, totals
        self._done: set[Fault] = set()
        self._kept: dict[int, int] = {}
        self._past: deque[NDArray[Any]] = deque()
        self._frozen: dict[Fault, tuple[NDArray[Any], int]] = {}

    def rate_factor(self, time_s: float) -> float:
        """Return the true sampling rate at a time, as a multiple of the reported one."""
        return math.prod(1 + fault.value for fault in self._plan.now("rate", time_s))

    def device_time_s(self, time_s: float) -> float:
        """Return the time that the device's clock shows at a true time."""
        drifted = sum(
            fault.value * (min(time_s, fault.at_s + fault.for_s) - fault.at_s)
            for fault in self._plan.of("clock-drift")
            if time_s > fault.at_s
        )
        steps = sum(fault.value for fault in self._plan.of("clock-step") if time_s >= fault.at_s)
        self._plan.tell("clock-drift", time_s)
        self._plan.tell("clock-step", time_s)
        return time_s + drifted + steps

    def thrown_away(self, time_s: float) -> int:
        """Return the number of samples that the sensor discards at a time; each fault acts once."""
        samples = 0
        for fault in self._plan.of("overrun"):
            if fault.at_s <= time_s and fault not in self._done:
                self._done.add(fault)
                samples += int(fault.value)
        if samples:
            self._totals.overruns += 1
            self._totals.samples_produced += samples
            self._totals.samples_lost += samples
            self._plan.truth({"type": "fault", "kind": "overrun", "time_s": time_s, "samples": samples})
        return samples

    def counts(self, counts: Counts, time_s: float) -> Counts:
        """Return the counts of a block with the faults applied, shape (n, axes)."""
        changed: NDArray[Any] = counts
        for fault in self._plan.now("clip", time_s):
            limit = round(fault.value * np.iinfo(counts.dtype).max)
            changed = np.clip(changed, -limit, limit)
        for fault in self._plan.now("swap", time_s):
            order = list(range(changed.shape[1]))
            one, other = int(fault.value) % len(order), (int(fault.value) + 1) % len(order)
            order[one], order[other] = order[other], order[one]
            changed = changed[:, order]
        for fault in self._plan.now("stuck", time_s):
            axis = int(fault.value) % changed.shape[1]
            changed = changed.copy()
            changed[:, axis] = self._kept.setdefault(axis, int(changed[0, axis]))
        return self._frozen_or_not(self._in_bits(changed, time_s).astype(counts.dtype), time_s)

    def _in_bits(self, counts: NDArray[Any], time_s: float) -> NDArray[Any]:
        for fault in self._plan.now("bit", time_s):
            counts = counts.astype(np.int64) & ~(1 << int(fault.value))
        for fault in self._plan.now("wrap", time_s):
            half = 1 << (int(fault.value) - 1)
            counts = (counts.astype(np.int64) + half) % (2 * half) - half
        return counts

    def _frozen_or_not(self, counts: NDArray[Any], time_s: float) -> NDArray[Any]:
        """Return the counts, or the ones from before the buffer froze, repeated across blocks."""
        for fault in self._plan.now("freeze", time_s):
            if fault not in self._frozen and self._past:
                self._frozen[fault] = np.concatenate(self._past)[-int(fault.value) :], 0
            if fault in self._frozen:
                kept, at = self._frozen[fault]
                self._frozen[fault] = kept, at + len(counts)
                return np.asarray(kept[(at + np.arange(len(counts))) % len(kept)])
        longest = max((int(fault.value) for fault in self._plan.of("freeze")), default=0)
        if longest:
            self._past.append(counts)
            while sum(map(len, self._past)) - len(self._past[0]) >= longest:
                self._past.popleft()
        return counts
