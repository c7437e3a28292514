"""What a gateway may spend on a window, unless a bundle says otherwise."""

from __future__ import annotations

from drsn_edge.bundle.manifest import Budget
from drsn_edge.signal.contract import SignalContract

BUDGET_SHARE = 0.5
"""Default time that a gateway may take for a window, as a share of the time from one window to the next."""

BUDGET_MB = 100.0
"""Default resident memory for interpreter and model, in MB. LiteRT with a small network takes about 13 MB."""


def budget_of(contract: SignalContract, latency_ms: float | None, memory_mb: float) -> Budget:
    """Return the budget of a bundle; `latency_ms` None: `BUDGET_SHARE` of the hop."""
    return Budget(latency_ms or 1000 * BUDGET_SHARE * contract.hop_s, memory_mb)
