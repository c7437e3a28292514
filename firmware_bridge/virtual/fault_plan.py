"""Which faults of a script hold when, told once each, and the totals of what they did."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from firmware_bridge.virtual.fault_script import Fault

Truth = Callable[[dict[str, Any]], None]
"""Told of each fault that was done, as values for JSON."""


@dataclass
class Totals:
    """What a device did and what became of it, exact as long as the host hears the first HELLO and the last STATUS.

    Attributes:
        samples_produced: By the device, thrown away or not.
        samples_lost: Of those, the ones in no frame that arrived whole, those thrown away by the sensor included.
        blocks_repeated: SAMPLES frames that arrived whole a second time.
        samples_repeated: Samples in them.
        frames_sent: By the device, before the faults.
        frames_damaged: Of those and their repetitions, the ones that did not arrive whole.
        overruns: How often the sensor threw samples away.
        bytes_sent: After the faults.
    """

    samples_produced: int = 0
    samples_lost: int = 0
    blocks_repeated: int = 0
    samples_repeated: int = 0
    frames_sent: int = 0
    frames_damaged: int = 0
    overruns: int = 0
    bytes_sent: int = 0


class FaultPlan:
    """The faults of a script, by kind and time."""

    def __init__(self, script: Sequence[Fault], truth: Truth) -> None:
        """Begin; `truth` is told of each fault that is done."""
        self._script, self.truth = tuple(script), truth
        self._told: set[Fault] = set()

    def __bool__(self) -> bool:
        """Whether there is any fault."""
        return bool(self._script)

    def of(self, kind: str) -> Iterator[Fault]:
        """Yield the faults of a kind, whenever they hold."""
        return (fault for fault in self._script if fault.kind == kind)

    def now(self, kind: str, time_s: float) -> list[Fault]:
        """Return the faults of a kind that hold at a time, and tell of them."""
        self.tell(kind, time_s)
        return [fault for fault in self.of(kind) if fault.holds(time_s)]

    def tell(self, kind: str, time_s: float) -> None:
        """Tell of the faults of a kind that hold at a time, each once."""
        for fault in self.of(kind):
            if fault.holds(time_s) and fault not in self._told:
                self._told.add(fault)
                values = {name: value for name, value in asdict(fault).items() if value != math.inf}
                self.truth({"type": "fault", "time_s": time_s, **values})
