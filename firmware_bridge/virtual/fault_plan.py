"""The faults of a script by time, each reported once, and the totals of their effects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from firmware_bridge.virtual.fault_script import Fault

Truth = Callable[[dict[str, Any]], None]
"""Called with each fault when it takes effect, as values for JSON."""


@dataclass
class Totals:
    """True totals of a device and its link, exact if the host receives the first HELLO and the last STATUS.

    Attributes:
        samples_produced: Samples produced by the device, discarded or not.
        samples_lost: Samples that arrived in no undamaged frame, including those that the sensor discarded.
        blocks_repeated: SAMPLES frames that arrived undamaged a second time.
        samples_repeated: Samples in the repeated frames.
        frames_sent: Frames sent by the device, before the faults.
        frames_damaged: Frames, repetitions included, that did not arrive undamaged.
        overruns: Number of times that the sensor discarded samples.
        bytes_sent: Bytes sent, after the faults.
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
        """Use a script; `truth` is called with each fault when it takes effect."""
        self._script, self.truth = tuple(script), truth
        self._told: set[Fault] = set()

    def __bool__(self) -> bool:
        """Return whether the script has any fault."""
        return bool(self._script)

    def of(self, kind: str) -> Iterator[Fault]:
        """Yield all faults of a kind."""
        return (fault for fault in self._script if fault.kind == kind)

    def now(self, kind: str, time_s: float) -> list[Fault]:
        """Return the faults of a kind that are active at a time, and report them."""
        self.tell(kind, time_s)
        return [fault for fault in self.of(kind) if fault.holds(time_s)]

    def tell(self, kind: str, time_s: float) -> None:
        """Report the faults of a kind that are active at a time, each once."""
        for fault in self.of(kind):
            if fault.holds(time_s) and fault not in self._told:
                self._told.add(fault)
                values = {name: value for name, value in asdict(fault).items() if value != math.inf}
                self.truth({"type": "fault", "time_s": time_s, **values})
