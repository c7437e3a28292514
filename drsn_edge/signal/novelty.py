"""Novelty: whether a window resembles what was learned. NumPy only, because a gateway checks every window.

A network assigns every window to one of its classes. Its confidence says little about signals that it never saw: an
untrained fault may get larger logits than a known one. Therefore novelty is measured on the signal. The features are
log band powers relative to the level of the window, whitened by their scatter within recordings. Novelty is the
distance to a reference in multiples of that reference's limit; a window beyond all limits is unknown.

In a bundle with classes a reference is a recording of the training side, with the noise of the training, and all have
one limit, set at conversion so that a stated share of held-out windows is unknown. In a bundle from healthy recordings
alone a reference is an operating point: `drsn_edge.signal.references`.

Source for the distance: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples",
arXiv:1807.03888, where it is applied to features of a network. benchmarks/open_set.py compares it with the energy of
the network's logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import BundleError
from drsn_edge.signal.gravity import length_of, units_by_gravity
from drsn_edge.signal.mounting import BANDS, Mounting
from drsn_edge.signal.spectra import Spectra, Transform, log_spectra
from drsn_edge.signal.windows import Centred, centre
from drsn_edge.support.arrays import MAX_ARRAYS_BYTES, Form, archive_of, typed_arrays
from drsn_edge.support.invalid import InvalidValueError

FloatArray = NDArray[np.float32]

LINES = 24
"""Number of bands of each axis; a quarter of the window length if that is less."""

MEMBER = "novelty.npz"
"""Name of the file in a bundle and in a run folder."""

_FORMS = {
    "lines": Form(np.int64, 0),
    "whitening": Form(np.float32, 2),
    "prototypes": Form(np.float32, 2),
    "limits": Form(np.float32, 1),
    "quietest_rms": Form(np.float64, 0),
    "loudest_rms": Form(np.float64, 0),
}
_MOUNTING, _MOUNTING_LIMIT = "mounting", "mounting_limit"
_MOUNTING_FORMS = {_MOUNTING: Form(np.float32, 3), _MOUNTING_LIMIT: Form(np.float64, 0)}
"""Further arrays of the file if the axes show how the sensor is mounted."""
_LEVELS = "levels"
_LEVELS_FORMS = {_LEVELS: Form(np.float64, 1)}
"""Further array of the file if the level of each reference is known."""
_GRAVITY = "gravity"
_GRAVITY_FORMS = {_GRAVITY: Form(np.float64, 0)}
"""Further array of the file if the recordings show gravity."""

RUNNING_SHARE = 1 / 4
"""Share of the lowest trained level below which a machine counts as standing still: 12 dB."""

MOST_PROTOTYPES = 4096
"""Most recordings that a window is compared with; more would cost more time than the network."""

_BATCH = 64
"""Most windows whose transforms are in memory."""

TOO_LOUD = 4.0
"""Multiple of the highest trained level above which a window is unknown, whatever its spectrum: 12 dB. A sensor that
states g and sends m/s², 20 dB apart, is found by it; a sensor that states m/s² and sends g seems to stand still."""


@dataclass(frozen=True)
class References:
    """Further references for a `Novelty`, such as those of one machine, learned on site.

    Attributes:
        prototypes: Features whitened by the matrix of that `Novelty`, shape (n, features).
        limits: Distance from each beyond which a window is unlike it, > 0, shape (n,).
        levels: Level of each, in the contract's unit, shape (n,).
        quietest_rms: Lowest level of a window, in the contract's unit.
        loudest_rms: Highest level of a window, in the contract's unit.
        offset: Mean of each axis, caused by gravity, in the contract's unit, shape (axes,); None: unknown.
        mounting: Relation of the axes, as `drsn_edge.signal.mounting.features`; None: unknown.
    """

    prototypes: FloatArray
    limits: FloatArray
    levels: NDArray[np.float64]
    quietest_rms: float
    loudest_rms: float
    offset: NDArray[np.float64] | None = None
    mounting: FloatArray | None = None


@dataclass(frozen=True)
class Novelty:
    """Description of the training side, which decides whether a window is unknown.

    Attributes:
        lines: Number of bands of each axis.
        whitening: Matrix that makes the scatter within a recording white, shape (features, features).
        prototypes: References: whitened features of each recording, group of recordings or operating point, shape
            (n, features).
        limits: Distance from each reference beyond which a window is unlike it, > 0, shape (n,). A window that is
            unlike every reference is unknown.
        quietest_rms: Lowest level of a trained window, in the contract's unit.
        loudest_rms: Highest level of a trained window, in the contract's unit; infinite if unknown.
        mounting: Relation of the axes; None if the windows do not show it.
        gravity: Length of the mean vector in training, in the contract's unit; None if it was not that of gravity.
        levels: Level of each reference, in the contract's unit, shape (n,); None: unknown.
        offset: Mean of each axis on this machine, in the contract's unit, shape (axes,); None: it was not learned on
            site, and may be different there. A file does not hold it.
    """

    lines: int
    whitening: FloatArray
    prototypes: FloatArray
    limits: FloatArray
    quietest_rms: float
    loudest_rms: float = math.inf
    mounting: Mounting | None = None
    gravity: float | None = None
    levels: NDArray[np.float64] | None = None
    offset: NDArray[np.float64] | None = None

    def with_references(self, more: References) -> Novelty:
        """Return this novelty detection with further references: a window that is like any of them is known."""
        mounting = self.mounting
        if mounting is not None and more.mounting is not None:
            mounting = mounting.with_prototypes(more.mounting)
        return replace(
            self,
            prototypes=np.concatenate([self.prototypes, more.prototypes]),
            limits=np.concatenate([self.limits, more.limits]),
            levels=None if self.levels is None else np.concatenate([self.levels, more.levels]),
            quietest_rms=min(self.quietest_rms, more.quietest_rms),
            loudest_rms=max(self.loudest_rms, more.loudest_rms),
            mounting=mounting,
            offset=more.offset,
        )

    def distances(self, windows: FloatArray) -> FloatArray:
        """Return each window's distance to the nearest reference, shape (n,).

        Args:
            windows: Windows in the contract's unit, shape (n, window, axes).
        """
        return to_nearest(self.whitened(windows), self.prototypes)

    def novelty(self, windows: FloatArray) -> FloatArray:
        """Return the novelty of windows, shape (n,): a window above 1 is unknown.

        It is the larger of two values: the smallest distance to a reference in multiples of its own limit, and the
        level of the window in multiples of `too_loud_rms`.

        Args:
            windows: Windows in the contract's unit, shape (n, window, axes).
        """
        return self.of_centred(centre(windows))

    def of_centred(self, windows: Centred) -> FloatArray:
        """Return the same as `novelty` for windows without their means."""
        near = in_limits(self.whitened_of(windows), self.prototypes, self.limits)
        return np.maximum(near, self.loudness(windows))

    def loudness(self, windows: Centred) -> FloatArray:
        """Return the level of windows in multiples of `too_loud_rms`, shape (n,)."""
        return np.asarray(windows.rms / self.too_loud_rms, np.float32)

    @property
    def too_loud_rms(self) -> float:
        """Level above which a window is unknown, whatever its spectrum, in the contract's unit."""
        return TOO_LOUD * self.loudest_rms

    def is_running(self, level: float) -> bool:
        """Tell whether a machine with this level (see `levels`) is running."""
        return level >= RUNNING_SHARE * self.quietest_rms

    def have_other_unit(self, windows: Centred) -> list[bool]:
        """Tell whether each window's level and its gravity both say that it has another unit than the training data."""
        if self.gravity is None:
            return [False] * len(windows)
        return [*map(self._has_other_unit, windows.rms.tolist(), windows.means)]

    def _has_other_unit(self, level: float, means: NDArray[np.float64]) -> bool:
        if self.is_running(level) and level <= self.too_loud_rms:
            return False
        units = units_by_gravity(length_of(means))
        return bool(units) and not set(units) & set(units_by_gravity(self.gravity or 0.0))

    def are_turned(self, windows: Centred) -> NDArray[np.bool_]:
        """Tell whether the axes of each window are arranged differently than in training, shape (n,)."""
        return np.zeros(len(windows), bool) if self.mounting is None else self.mounting.is_turned(windows)

    def whitened(self, windows: FloatArray) -> FloatArray:
        """Return the whitened features of windows, shape (n, features)."""
        return self.whitened_of(centre(windows))

    def whitened_of(self, windows: Centred) -> FloatArray:
        """Return the same as `whitened` for windows without their means."""
        return products(features_of(windows, self.lines), self.whitening)


def to_nearest(points: FloatArray, prototypes: FloatArray) -> FloatArray:
    """Return each point's distance to the nearest prototype, (n, features) and (m, features) to (n,)."""
    return np.sqrt(np.maximum(_squares(points, prototypes).min(axis=1), 0))


def in_limits(points: FloatArray, prototypes: FloatArray, limits: FloatArray) -> FloatArray:
    """Return each point's smallest distance to a prototype in multiples of that prototype's limit, shape (n,)."""
    squares = _squares(points, prototypes)
    squares /= np.square(limits)
    return np.sqrt(np.maximum(squares.min(axis=1), 0))


def _squares(points: FloatArray, prototypes: FloatArray) -> FloatArray:
    """Return squared distances, (n, features) and (m, features) to (n, m); rounding can make one slightly negative."""
    # |a - b|^2 = |a|^2 - 2 a.b + |b|^2 needs no array of all differences
    squares = products(points, prototypes.T)
    squares *= -2
    squares += np.square(points).sum(axis=1)[:, None] + np.square(prototypes).sum(axis=1)
    return squares


def products(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return points @ matrix, (n, k) and (k, m) to (n, m), each point with the same bits among any others.

    A product of two matrices is computed differently for another number of rows, a stack of products is not.
    """
    return np.asarray(np.matmul(points[:, None], matrix)[:, 0])


def features(windows: FloatArray, lines: int) -> FloatArray:
    """Return log band powers of windows (n, window, axes) relative to their level, shape (n, lines * axes)."""
    return features_of(centre(windows), lines)


def features_of(windows: Centred, lines: int) -> FloatArray:
    """Return the same as `features` for windows without their means; an odd last sample is left out."""
    n, axes, length = windows.by_axis.shape
    found = np.empty((n, lines * axes), np.float32)
    for at, part in windows.parts(_BATCH):
        even = part.transform if length % 2 == 0 else Transform.of(part.by_axis[..., :-1])
        found[at] = log_spectra(even, _bands(lines), 1.0, np.zeros(len(part))).reshape(len(part), -1)
    return found


@lru_cache(maxsize=8)
def _bands(lines: int) -> Spectra:
    return Spectra(("bands",), lines)


def levels(windows: FloatArray) -> FloatArray:
    """Return the RMS of each window (n, window, axes) over its axes without their means, shape (n,)."""
    return centre(windows).rms.astype(np.float32)


def are_references(more: References, size: int, n_axes: int) -> bool:
    """Tell whether references can belong to a novelty detection with so many features and axes."""
    n = len(more.prototypes)
    shapes = more.prototypes.shape == (n, size) and more.limits.shape == more.levels.shape == (n,)
    offset = np.zeros(n_axes) if more.offset is None else more.offset
    shapes = shapes and 0 < n <= MOST_PROTOTYPES and offset.shape == (n_axes,)
    finite = all(np.isfinite(each).all() for each in (more.prototypes, more.limits, more.levels, offset))
    positive = bool((more.limits > 0).all() and (more.levels > 0).all())
    in_order = 0 <= more.quietest_rms <= more.loudest_rms < math.inf
    return shapes and finite and positive and in_order and (more.mounting is None or is_mounting(more.mounting, n_axes))


def is_mounting(prototypes: FloatArray, n_axes: int) -> bool:
    """Tell whether an array can be the prototypes of a mounting for a signal with this number of axes."""
    fits = prototypes.ndim == 3 and prototypes.shape[1:] == (BANDS, n_axes * n_axes)
    return fits and len(prototypes) > 0 and bool(np.isfinite(prototypes).all())


def _has_references(novelty: Novelty, n_axes: int) -> bool:
    size, n = novelty.lines * n_axes, len(novelty.prototypes)
    shapes = novelty.whitening.shape == (size, size) and novelty.prototypes.shape == (n, size)
    shapes = shapes and novelty.limits.shape == (n,) and 0 < n <= MOST_PROTOTYPES and novelty.lines > 0
    finite = all(np.isfinite(each).all() for each in (novelty.whitening, novelty.prototypes, novelty.limits))
    return shapes and finite and bool((novelty.limits > 0).all())


def _is_usable(mounting: Mounting | None, n_axes: int) -> bool:
    if mounting is None:
        return True
    fits = is_mounting(mounting.prototypes, n_axes) and len(mounting.prototypes) <= MOST_PROTOTYPES
    return fits and 0 < mounting.limit <= 1


def _are_levels(novelty: Novelty) -> bool:
    gravity = 1.0 if novelty.gravity is None else novelty.gravity
    own = novelty.levels
    if own is not None and not (own.shape == novelty.limits.shape and ((own > 0) & (own < math.inf)).all()):
        return False
    return 0 <= novelty.quietest_rms <= novelty.loudest_rms and novelty.loudest_rms > 0 and 0 < gravity < math.inf


def novelty_to_bytes(novelty: Novelty) -> bytes:
    """Return the bytes of an .npz file; equal values give equal bytes."""
    values = {name: getattr(novelty, name) for name in _FORMS}
    if novelty.mounting is not None:
        values |= {_MOUNTING: novelty.mounting.prototypes, _MOUNTING_LIMIT: novelty.mounting.limit}
    if novelty.gravity is not None:
        values[_GRAVITY] = novelty.gravity
    if novelty.levels is not None:
        values[_LEVELS] = novelty.levels
    return archive_of(**values)


def novelty_from_bytes(data: bytes, n_axes: int) -> Novelty:
    """Read the bytes of `novelty_to_bytes` for a signal with this number of axes.

    Raises:
        BundleError: If they are damaged, or have other shapes or impossible values.
    """
    try:
        arrays = typed_arrays(data, MAX_ARRAYS_BYTES, _FORMS, _MOUNTING_FORMS, _GRAVITY_FORMS, _LEVELS_FORMS)
    except InvalidValueError as exc:
        words = f"{MEMBER} is damaged: {exc}. Convert the run again with `drsn-edge convert`."
        raise BundleError(words, exc.problem, **{**exc.facts, "member": MEMBER}) from exc
    mounting = Mounting(arrays[_MOUNTING], float(arrays[_MOUNTING_LIMIT])) if _MOUNTING in arrays else None
    novelty = Novelty(
        lines=int(arrays["lines"]),
        whitening=arrays["whitening"],
        prototypes=arrays["prototypes"],
        limits=arrays["limits"],
        quietest_rms=float(arrays["quietest_rms"]),
        loudest_rms=float(arrays["loudest_rms"]),
        mounting=mounting,
        gravity=float(arrays[_GRAVITY]) if _GRAVITY in arrays else None,
        levels=arrays.get(_LEVELS),
    )
    if not (_has_references(novelty, n_axes) and _are_levels(novelty) and _is_usable(mounting, n_axes)):
        raise BundleError(
            f"{MEMBER} holds impossible values, or does not fit a signal with {n_axes} axes. Convert the run again "
            "with `drsn-edge convert`.",
            "wrong_novelty",
            member=MEMBER,
            axes=n_axes,
        )
    return novelty
