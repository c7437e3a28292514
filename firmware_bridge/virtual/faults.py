"""The faults of a virtual device by its script: those of its sensor, those of its link, and their totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from firmware_bridge.virtual.fault_plan import FaultPlan, Totals, Truth
from firmware_bridge.virtual.fault_script import Fault
from firmware_bridge.virtual.link_faults import LinkFaults
from firmware_bridge.virtual.sensor_faults import SensorFaults


class FaultInjector:
    """The faults of one device."""

    def __init__(self, script: Sequence[Fault], seed: int, truth: Truth | None = None) -> None:
        """Use a script and a seed; `truth` is called with each fault when it takes effect."""
        plan = FaultPlan(script, truth or (lambda _: None))
        self.totals = Totals()
        self.sensor = SensorFaults(plan, self.totals)
        self.link = LinkFaults(plan, self.totals, seed)

    def account(self) -> dict[str, Any]:
        """Return the totals, as values for JSON."""
        return {"type": "totals", **asdict(self.totals)}
