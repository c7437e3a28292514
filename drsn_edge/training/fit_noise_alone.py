"""Fits from which chance on a window holds noise alone: see `drsn_edge.signal.noise_alone`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.noise_alone import CHANCE, LEAST_SAMPLES, NEVER, chances
from drsn_edge.signal.windows import FloatArray, centre

SNR_DB = -4.0
"""How noisy a window may be that must not be withheld."""

MOST_WITHHELD = 0.005
"""Of the held-out windows, and of them at `SNR_DB`; one more is chance."""

LEAST_FOUND = 0.5
"""A limit at which less of noise is found is not worth its cost: the check is switched off."""

_PURE_KINDS = ("gaussian", "laplacian", "pink")
_PURE_WINDOWS = 100
_MOST_WINDOWS = 1500


@dataclass(frozen=True)
class NoiseFit:
    """What the check does to a bundle's own recordings.

    Attributes:
        limit: For `Manifest.noise_limit`.
        withheld: Share of the held-out windows, as they were recorded, that are withheld as noise alone, or would be
            if the check were not switched off.
        withheld_noisy: Likewise, with noise at `SNR_DB`, of all `NOISE_KINDS`.
        found: Share of windows of noise alone that are withheld.
    """

    limit: float
    withheld: float
    withheld_noisy: float
    found: float

    @property
    def is_off(self) -> bool:
        """Whether the recordings cannot be told from noise."""
        return self.limit >= NEVER


def fit_noise_limit(held_out: WindowSet, seed: int = 0) -> NoiseFit | None:
    """Return the lowest limit, from `CHANCE` on, at which at most `MOST_WITHHELD` are withheld.

    None is returned where no stretch of the held-out recordings is long enough to be judged.

    Args:
        held_out: As they were recorded.
        seed: Of the noise.
    """
    rng = np.random.default_rng(seed)
    recorded = stretches(held_out)
    if not len(recorded):
        return None
    recorded = recorded[np.sort(rng.permutation(len(recorded))[:_MOST_WINDOWS])]
    clean = chances(centre(recorded))
    noisy = np.concatenate([chances(centre(part)) for part in _with_noise(recorded, rng)])
    pure = np.concatenate([chances(centre(part)) for part in _pure(recorded.shape[1:], rng)])
    limit = max(CHANCE, _limit_for(clean), _limit_for(noisy))
    if np.mean(pure >= limit) < LEAST_FOUND:
        return NoiseFit(NEVER, _share(clean, CHANCE), _share(noisy, CHANCE), 0.0)
    return NoiseFit(limit, _share(clean, limit), _share(noisy, limit), _share(pure, limit))


def _share(found: NDArray[np.float64], limit: float) -> float:
    return float(np.mean(found >= limit))


def stretches(windows: WindowSet) -> FloatArray:
    """Return the windows, or where they are too short to be judged, what adjoining ones make together.

    Returns:
        Shape (n, samples, axes), of at least `LEAST_SAMPLES` samples each.
    """
    window = windows.windows.shape[1]
    if window >= LEAST_SAMPLES:
        return windows.windows
    found = [run[:LEAST_SAMPLES] for run in _runs(windows, window)]
    return np.stack(found) if found else np.empty((0, LEAST_SAMPLES, windows.windows.shape[2]), np.float32)


def _runs(windows: WindowSet, window: int) -> Iterator[FloatArray]:
    """Yield what windows make that follow on each other, as soon as it is long enough."""
    parts: list[FloatArray] = []
    previous: tuple[str, int] | None = None
    for each, name, first in zip(windows.windows, windows.recordings, windows.first_samples.tolist(), strict=True):
        if previous != (name, first):
            parts = []
        parts.append(each)
        previous = (name, first + window)
        if window * len(parts) >= LEAST_SAMPLES:
            yield np.concatenate(parts)
            parts = []


def _with_noise(recorded: FloatArray, rng: np.random.Generator) -> Iterator[FloatArray]:
    for number, kind in enumerate(NOISE_KINDS):
        yield add_noise(recorded[number :: len(NOISE_KINDS)], SNR_DB, rng, kind)


def _pure(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield noise alone: at so low an SNR nothing is left of what it is added to."""
    whatever = rng.standard_normal((_PURE_WINDOWS, *shape), dtype=np.float32)
    for kind in _PURE_KINDS:
        yield add_noise(whatever, -200.0, rng, kind)


def _limit_for(found: NDArray[np.float64]) -> float:
    """Return the lowest limit at which at most `MOST_WITHHELD` of these chances are at or above it."""
    allowed = 1 + int(MOST_WITHHELD * len(found))
    return 0.0 if allowed >= len(found) else float(np.nextafter(np.sort(found)[::-1][allowed], np.inf))
