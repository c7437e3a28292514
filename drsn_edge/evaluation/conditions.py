"""Noise conditions: the kinds and strengths of noise with which a model is evaluated beside the windows as recorded."""

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
    """One kind of noise at one signal-to-noise ratio (SNR); an empty kind stands for the windows as recorded."""

    kind: str = ""
    snr_db: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}_{self.snr_db:g}_db" if self.kind else "clean"


CLEAN = NoiseCondition()


def noise_conditions(snrs_db: Sequence[float]) -> tuple[NoiseCondition, ...]:
    """Return each kind of noise at each SNR, from the lowest to the highest; a repeated SNR counts once.

    Raises:
        DrsnEdgeError: If an SNR is not a number from -100 to 100 dB.
    """
    for snr_db in snrs_db:
        if not -_SNR_LIMIT_DB <= snr_db <= _SNR_LIMIT_DB:
            raise DrsnEdgeError(
                f"A signal-to-noise ratio must be from {-_SNR_LIMIT_DB:g} to {_SNR_LIMIT_DB:g} dB, got {snr_db:g}. "
                "Choose another.",
                "snr_out_of_range",
                got=snr_db,
                limit_db=_SNR_LIMIT_DB,
            )
    return tuple(NoiseCondition(kind, snr_db) for kind in NOISE_KINDS for snr_db in sorted(set(snrs_db)))


def with_noise(windows: WindowSet, condition: NoiseCondition, seed: int) -> WindowSet:
    """Return windows with the noise of a condition.

    A seed and a kind give the same noise at every SNR, scaled to that SNR. Therefore only the SNR differs along a
    curve, and a point of the curve does not depend on the other SNRs.
    """
    if not condition.kind:
        return windows
    rng = np.random.default_rng([seed, NOISE_KINDS.index(condition.kind)])
    return replace(windows, windows=add_noise(windows.windows, condition.snr_db, rng, condition.kind))
