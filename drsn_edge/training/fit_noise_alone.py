"""Fit the probability from which a window counts as noise alone: see `drsn_edge.signal.noise_alone`."""

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
"""Signal-to-noise ratio in dB at which windows must still be judged."""

MOST_WITHHELD = 0.005
"""Highest share of hold-out windows that may be withheld, as recorded and at `SNR_DB`, plus one window."""

LEAST_FOUND = 0.5
"""Lowest share of noise windows that the check must find; below it the check is switched off."""

_PURE_KINDS = ("gaussian", "laplacian", "pink")
_PURE_WINDOWS = 100
_MOST_WINDOWS = 1500


@dataclass(frozen=True)
class NoiseFit:
    """The effect of the check on a bundle's own recordings; shares are 0 to 1.

    Attributes:
        limit: Value for `Manifest.noise_limit`.
        withheld: Share of the hold-out windows, as recorded, that are withheld as noise alone, or would be if the check
            were on.
        withheld_noisy: Share of the hold-out windows with added noise of all `NOISE_KINDS` at `SNR_DB` that are
            withheld, or would be if the check were on.
        found: Share of windows of noise alone that are withheld.
    """

    limit: float
    withheld: float
    withheld_noisy: float
    found: float

    @property
    def is_off(self) -> bool:
        """Whether the check is switched off because the recordings cannot be distinguished from noise."""
        return self.limit >= NEVER


def fit_noise_limit(held_out: WindowSet, seed: int = 0) -> NoiseFit | None:
    """Return the lowest limit of at least `CHANCE` that withholds at most `MOST_WITHHELD` of the hold-out windows.

    None if no stretch of the hold-out recordings is long enough to be judged.

    Args:
        held_out: Hold-out windows as recorded.
        seed: Seed of the noise.
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
    """Return the windows; windows that are too short to be judged are joined with those that follow.

    Returns:
        Shape (n, samples, axes), at least `LEAST_SAMPLES` samples each.
    """
    window = windows.windows.shape[1]
    if window >= LEAST_SAMPLES:
        return windows.windows
    found = [run[:LEAST_SAMPLES] for run in _runs(windows, window)]
    return np.stack(found) if found else np.empty((0, LEAST_SAMPLES, windows.windows.shape[2]), np.float32)


def _runs(windows: WindowSet, window: int) -> Iterator[FloatArray]:
    """Yield joined consecutive windows as soon as they have `LEAST_SAMPLES` samples."""
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
    """Yield noise alone: at a signal-to-noise ratio of -200 dB nothing is left of the signal."""
    whatever = rng.standard_normal((_PURE_WINDOWS, *shape), dtype=np.float32)
    for kind in _PURE_KINDS:
        yield add_noise(whatever, -200.0, rng, kind)


def _limit_for(found: NDArray[np.float64]) -> float:
    """Return the lowest limit that at most `MOST_WITHHELD` of these probabilities reach."""
    allowed = 1 + int(MOST_WITHHELD * len(found))
    return 0.0 if allowed >= len(found) else float(np.nextafter(np.sort(found)[::-1][allowed], np.inf))
