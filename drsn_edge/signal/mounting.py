"""Do a sensor's axes point as they did in training? NumPy only, as the gateway asks it of every window.

An axis that is inverted changes no spectrum, and axes that change places may change little. What changes is how the
axes move together: an impact pushes all of them at once, a heavy spot one a quarter turn after the other. So each
recording of the training side keeps, in a few bands, the coherence of each pair of axes with its phase, and how the
power lies.
A window is compared with the recordings as they are, and with the same recordings as a sensor would have seen them with
any other arrangement of its axes (three axes: 24 of them, as all signs at once change nothing that can be seen). Where
another arrangement explains the window far better than the right one does, the axes are not those of training.

With one axis nothing can be told, and neither can a turn by less than a swap or an inversion, nor an arrangement under
which the machine looks the same. Measured in docs/how-to/your-data.md, "Which way the sensor lies".
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
"""Which axis of before each one is now, and its sign."""

BANDS = 8
LIMIT = 0.65
"""A window is turned whose distance under another arrangement is less than that share of its distance under the right
one. Of the demo's machines that were never trained, 1 window in 1000 is so by chance. A bundle has a limit of its own;
see `drsn_edge.training.fit_mounting`."""

_LEAST_LINES = 16
"""Of a band: noise alone has a coherence of 1 / sqrt(lines)."""

_POWER_WEIGHT = 0.6
"""Of a band's power, a factor of 10, beside a coherence of 1."""

_LEAST_SHARE, _NOTHING = 1e-6, 1e-30
"""Of the power, below which a band counts as empty; a power that is none."""

_MOST_EXACT = 3
"""With more axes than that, arrangements are one inversion or one swap: all of them would be too many."""

_BATCH = 256


@dataclass(frozen=True)
class Mounting:
    """How the axes moved together in training.

    Attributes:
        prototypes: A row for each recording, or group of them, and one for each stretch on site, as `features` are;
            shape (n, BANDS, axes * axes).
        limit: See `LIMIT`.
    """

    prototypes: FloatArray
    limit: float = LIMIT

    @property
    def n_axes(self) -> int:
        """Of the signal."""
        return round(self.prototypes.shape[2] ** 0.5)

    def is_turned(self, windows: Centred) -> NDArray[np.bool_]:
        """Tell of each window whether its axes are arranged otherwise than in training, shape (n,)."""
        return self.ratios(windows) < self.limit

    def ratios(self, windows: Centred) -> NDArray[np.float32]:
        """Return each window's distance under the best other arrangement over that under the right one, shape (n,)."""
        points = features_of(windows).reshape(len(windows.samples), -1)
        flat = self._arranged.reshape(-1, points.shape[1])
        squares = np.square(points).sum(axis=1)[:, None] + self._squares - 2 * points @ flat.T
        nearest = np.sqrt(np.maximum(squares, 0)).reshape(len(points), len(self._arranged), -1).min(axis=2)
        return np.asarray(nearest[:, 1:].min(axis=1) / np.maximum(nearest[:, 0], np.float32(1e-6)), np.float32)

    def with_site(self, prototypes: FloatArray) -> Mounting:
        """Return it with what was learned on site, too."""
        return replace(self, prototypes=np.concatenate([self.prototypes, prototypes]))

    @cached_property
    def _arranged(self) -> FloatArray:
        """The prototypes under each arrangement, the right one first, shape (arrangements, n, BANDS * features)."""
        each = [arranged(self.prototypes, way) for way in arrangements(self.n_axes)]
        return np.stack(each).reshape(len(each), len(self.prototypes), -1)

    @cached_property
    def _squares(self) -> FloatArray:
        return np.asarray(np.square(self._arranged).sum(axis=2).reshape(-1), np.float32)


def can_tell(window: int, n_axes: int) -> bool:
    """Tell whether windows of so many samples and axes show how the axes move together."""
    return n_axes > 1 and window // 2 >= BANDS * _LEAST_LINES


def features(windows: FloatArray) -> FloatArray:
    """Return how the axes of windows (n, window, axes) move together, shape (n, BANDS, axes * axes).

    Of each band the logarithm of each axis' share of the power, weighted, and the coherence of each pair of axes: the
    real parts, and then the imaginary ones.
    """
    parts = [features_of(centre(windows[at : at + _BATCH])) for at in range(0, len(windows), _BATCH)]
    return np.concatenate(parts) if parts else np.empty((0, BANDS, windows.shape[2] ** 2), np.float32)


def features_of(windows: Centred) -> FloatArray:
    """Return what `features` does, of windows whose means are gone."""
    n, length, axes = windows.samples.shape
    faded = windows.samples.transpose(0, 2, 1) * _fading(length)
    lines = length // 2 // BANDS
    bands = np.fft.rfft(faded)[..., 1 : 1 + lines * BANDS].reshape(n, axes, BANDS, lines).transpose(0, 2, 1, 3)
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


def arrangements(n_axes: int) -> list[Arrangement]:
    """Return the ways in which axes may be arranged that can be told from each other, the right one first."""
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
    """Return features, shape (n, BANDS, axes * axes), as a sensor with another arrangement of its axes has them."""
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
