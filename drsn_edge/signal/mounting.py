"""Mounting of a sensor: whether its axes point as in training. NumPy only, because a gateway checks every window.

An inverted axis changes no spectrum, and exchanged axes may change little. The relation of the axes changes: an impact
moves all axes at once, an imbalance moves one a quarter turn after the other. Therefore each recording of the training
side is described, in a few bands, by the complex coherence of each pair of axes and the share of power of each axis.
A window is compared with these recordings, and with the same recordings under every other arrangement of the axes
(three axes have 24 arrangements, because inverting all axes at once is not visible). If another arrangement fits the
window far better than the one of training, the axes are not mounted as in training.

Not detectable are the mounting of a sensor with one axis, a rotation smaller than an exchange or an inversion of axes,
and an arrangement under which the machine looks the same. Measurements: docs/how-to/your-data.md, "Which way the sensor
lies".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import Centred, centre

FloatArray = NDArray[np.float32]
ComplexArray = NDArray[np.complex64]
Arrangement = tuple[tuple[int, ...], tuple[int, ...]]
"""The original axis that each axis now has, and its sign."""

BANDS = 8
LIMIT = 0.65
"""Ratio of the distance under the best other arrangement to the distance under the arrangement of training, below which
a window counts as turned. By chance 1 in 1000 windows of the demo's untrained machines is below it. A bundle has its
own limit; see `drsn_edge.training.fit_mounting`."""

_LEAST_LINES = 16
"""Fewest spectral lines of a band; noise alone has a coherence of 1 / sqrt(lines)."""

_POWER_WEIGHT = 0.6
"""Weight of a factor of 10 in the power of a band, relative to a coherence of 1."""

_LEAST_SHARE, _NOTHING = 1e-6, 1e-30
"""Share of the power below which a band counts as empty; smallest power, which avoids a division by zero."""

_MOST_EXACT = 3
"""Most axes for which all arrangements are tried; with more axes, single inversions and single exchanges are tried."""

_BATCH = 256


@dataclass(frozen=True)
class Mounting:
    """Relation of the axes in training.

    Attributes:
        prototypes: `features` of each recording or group of recordings, and of each stretch learned on site, shape
            (n, BANDS, axes * axes).
        limit: See `LIMIT`.
    """

    prototypes: FloatArray
    limit: float = LIMIT

    @property
    def n_axes(self) -> int:
        """Number of axes of the signal."""
        return round(self.prototypes.shape[2] ** 0.5)

    def is_turned(self, windows: Centred) -> NDArray[np.bool_]:
        """Tell for each window whether its axes are arranged differently than in training, shape (n,)."""
        return self.ratios(windows) < self.limit

    def ratios(self, windows: Centred) -> NDArray[np.float32]:
        """Return each window's distance under the best other arrangement over that under training's, shape (n,)."""
        return self.ratios_of(features_of(windows))

    def ratios_of(self, points: FloatArray) -> NDArray[np.float32]:
        """Return the same as `ratios` for windows with known `features`, shape (n, BANDS, axes * axes)."""
        # Arranging the window is as good as arranging every prototype: each way back is one of the arrangements too.
        ways = _every_way(points)
        squares = np.matmul(ways, self._doubled)  # one product for each window: a larger one would have other bits
        np.subtract(self._squares, squares, out=squares)
        nearest = squares.min(axis=2) + np.square(points.reshape(len(points), -1)).sum(axis=1)[:, None]
        nearest = np.sqrt(np.maximum(nearest, 0))
        return np.asarray(nearest[:, 1:].min(axis=1) / np.maximum(nearest[:, 0], np.float32(1e-6)), np.float32)

    def with_prototypes(self, more: FloatArray) -> Mounting:
        """Return this mounting with further prototypes."""
        return replace(self, prototypes=np.concatenate([self.prototypes, more]))

    @cached_property
    def _doubled(self) -> FloatArray:
        """Twice the prototypes, shape (BANDS * features, n)."""
        return np.ascontiguousarray(2 * self.prototypes.reshape(len(self.prototypes), -1).T)

    @cached_property
    def _squares(self) -> FloatArray:
        return np.asarray(np.square(self.prototypes).sum(axis=(1, 2)), np.float32)


def can_tell(window: int, n_axes: int) -> bool:
    """Tell whether windows of this length with this number of axes show the relation of the axes."""
    return n_axes > 1 and window // 2 >= BANDS * _LEAST_LINES


def features(windows: FloatArray) -> FloatArray:
    """Return the relation of the axes of windows (n, window, axes), shape (n, BANDS, axes * axes).

    Each band has the weighted logarithm of the share of power of each axis, then the real parts and then the imaginary
    parts of the coherence of each pair of axes.
    """
    parts = [features_of(centre(windows[at : at + _BATCH])) for at in range(0, len(windows), _BATCH)]
    return np.concatenate(parts) if parts else np.empty((0, BANDS, windows.shape[2] ** 2), np.float32)


def features_of(windows: Centred) -> FloatArray:
    """Return the same as `features` for windows without their means."""
    n, axes, length = windows.by_axis.shape
    lines = length // 2 // BANDS
    bands = np.fft.rfft(windows.by_axis * _fading(length))[..., 1 : 1 + lines * BANDS]
    bands = np.ascontiguousarray(bands.reshape(n, axes, BANDS, lines).transpose(0, 2, 1, 3))
    crossed = bands @ bands.conj().transpose(0, 1, 3, 2)
    powers = np.diagonal(crossed, axis1=2, axis2=3).real
    level = np.maximum(powers.sum(axis=(1, 2), keepdims=True), _NOTHING)
    powers = powers / level
    first, second = _pairs(axes)
    shares = _POWER_WEIGHT * np.log10(powers + _LEAST_SHARE)
    beside = np.sqrt(np.maximum(powers[..., first] * powers[..., second], _LEAST_SHARE**2))
    coherence = crossed[..., first, second] / level / beside
    return np.concatenate([shares, coherence.real, coherence.imag], axis=2).astype(np.float32)


@lru_cache(maxsize=8)
def _fading(length: int) -> FloatArray:
    return np.asarray(np.hanning(length), np.float32)


@lru_cache(maxsize=8)
def _pairs(axes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(axes, 1)
    return first, second


def _every_way(points: FloatArray) -> FloatArray:
    """Return `arranged` of features for each of the arrangements, shape (n, arrangements, BANDS * axes * axes)."""
    places, signs = _places_and_signs(round(points.shape[2] ** 0.5))
    ways = np.take(points.reshape(len(points), -1), places, axis=1)
    ways *= signs
    return ways


@lru_cache(maxsize=8)
def _places_and_signs(n_axes: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Return which feature each place gets under each arrangement and its sign, (arrangements, BANDS * features)."""
    numbers = np.arange(1, 1 + BANDS * n_axes * n_axes, dtype=np.float32)  # from 1, since 0 has no sign
    places = numbers.reshape(BANDS, -1)
    found = np.stack([arranged(places, way).reshape(-1) for way in arrangements(n_axes)])
    return np.abs(found).astype(np.intp) - 1, np.sign(found)


def arrangements(n_axes: int) -> list[Arrangement]:
    """Return the arrangements of axes that can be distinguished, that of training first."""
    every = tuple(range(n_axes))
    if n_axes <= _MOST_EXACT:
        signs = [(1, *rest) for rest in itertools.product((1, -1), repeat=n_axes - 1)]
        return [(order, sign) for order in itertools.permutations(every) for sign in signs]
    plain = (1,) * n_axes
    inverted = [(every, tuple(-1 if axis == at else 1 for axis in every)) for at in every]
    swapped = [
        (tuple({one: other, other: one}.get(axis, axis) for axis in every), plain)
        for one, other in itertools.combinations(every, 2)
    ]
    return [(every, plain), *inverted, *swapped]


def arranged(points: FloatArray, way: Arrangement) -> FloatArray:
    """Return features, shape (n, BANDS, axes * axes), as a sensor with another arrangement of its axes would give."""
    order, signs = way
    axes, pairs = len(order), list(itertools.combinations(range(len(order)), 2))
    powers = points[..., list(order)]
    real, imaginary = points[..., axes : axes + len(pairs)], points[..., axes + len(pairs) :]
    crossed = np.empty((*points.shape[:-1], len(pairs)), np.complex64)
    for number, (one, other) in enumerate(pairs):
        before = (order[one], order[other])
        at = pairs.index(tuple(sorted(before)))  # type: ignore[arg-type]
        turned = imaginary[..., at] if before[0] < before[1] else -imaginary[..., at]
        crossed[..., number] = signs[one] * signs[other] * (real[..., at] + 1j * turned)
    return np.concatenate([powers, crossed.real, crossed.imag], axis=-1).astype(np.float32)
