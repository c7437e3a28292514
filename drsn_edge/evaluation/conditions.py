"""The noise under which a model is judged besides the windows as they were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import DrsnEdgeError
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import add_noise

_SNR_LIMIT_DB = 100.0


@dataclass(frozen=True)
class NoiseCondition:
    """One kind of noise at one SNR; no kind stands for the windows as they were recorded."""

    kind: str = ""
    snr_db: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}_{self.snr_db:g}_db" if self.kind else "clean"


CLEAN = NoiseCondition()


def noise_conditions(snrs_db: Sequence[float]) -> tuple[NoiseCondition, ...]:
    """Return each kind of noise at each SNR, an SNR that is given twice once, from the lowest to the highest.

    Raises:
        DrsnEdgeError: If an SNR is no number from -100 to 100 dB.
    """
    for snr_db in snrs_db:
        if not -_SNR_LIMIT_DB <= snr_db <= _SNR_LIMIT_DB:
            raise DrsnEdgeError(
                f"Expected an SNR from {-_SNR_LIMIT_DB:g} to {_SNR_LIMIT_DB:g} dB, got {snr_db:g}. Choose another."
            )
    return tuple(NoiseCondition(kind, snr_db) for kind in NOISE_KINDS for snr_db in sorted(set(snrs_db)))


def with_noise(windows: WindowSet, condition: NoiseCondition, seed: int) -> WindowSet:
    """Return windows with the condition's noise.

    A seed and a kind give the same noise at every SNR, only louder or softer: what differs along a curve is the SNR,
    and a point of it stays the same whichever other SNRs are asked for.
    """
    if not condition.kind:
        return windows
    rng = np.random.default_rng([seed, NOISE_KINDS.index(condition.kind)])
    return replace(windows, windows=add_noise(windows.windows, condition.snr_db, rng, condition.kind))
