"""Novelty: whether a window resembles the training side. NumPy only, because a gateway checks every window.

A network assigns every window to one of its classes. Its confidence says little about signals that it never saw: an
untrained fault may get larger logits than a known one. Therefore novelty is measured on the signal. The features are
log band powers relative to the level of the window, whitened by their scatter within recordings. Novelty is the
distance to the nearest recording of the training side, with the noise of the training. A window beyond a limit is
unknown. The limit is set at conversion, so that a stated share of held-out windows is unknown.

Source for the distance: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples",
arXiv:1807.03888, where it is applied to features of a network. benchmarks/open_set.py compares it with the energy of
the network's logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    "limit": Form(np.float64, 0),
    "quietest_rms": Form(np.float64, 0),
    "loudest_rms": Form(np.float64, 0),
}
_MOUNTING, _MOUNTING_LIMIT = "mounting", "mounting_limit"
_MOUNTING_FORMS = {_MOUNTING: Form(np.float32, 3), _MOUNTING_LIMIT: Form(np.float64, 0)}
"""Further arrays of the file if the axes show how the sensor is mounted."""
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
class Site:
    """Normal vibration of one machine, learned on site; see `drsn_edge.monitor.stages.learned`.

    Attributes:
        prototypes: Whitened features of stretches of time on site, shape (n, features).
        limit: Distance from the prototypes beyond which a window is unlike the site, > 0.
        quietest_rms: Lowest level on site, in the contract's unit.
        loudest_rms: Highest level on site, in the contract's unit.
        mean: Mean of each axis on site, caused by gravity, in the contract's unit, shape (axes,); None: unknown.
        mounting: Relation of the axes on site, as `drsn_edge.signal.mounting.features`; None: unknown.
    """

    prototypes: FloatArray
    limit: float
    quietest_rms: float
    loudest_rms: float = 0.0
    mean: NDArray[np.float64] | None = None
    mounting: FloatArray | None = None


@dataclass(frozen=True)
class Novelty:
    """Description of the training side, which decides whether a window is unknown.

    Attributes:
        lines: Number of bands of each axis.
        whitening: Matrix that makes the scatter within a recording white, shape (features, features).
        prototypes: Whitened features of each recording or group of recordings, shape (n, features).
        limit: Distance beyond which a window is unknown, > 0.
        quietest_rms: Lowest level of a trained window, in the contract's unit.
        loudest_rms: Highest level of a trained window, in the contract's unit; infinite if unknown.
        site: Normal vibration learned on site; None: nothing was learned.
        mounting: Relation of the axes; None if the windows do not show it.
        gravity: Length of the mean vector in training, in the contract's unit; None if it was not that of gravity.
    """

    lines: int
    whitening: FloatArray
    prototypes: FloatArray
    limit: float
    quietest_rms: float
    loudest_rms: float = math.inf
    site: Site | None = None
    mounting: Mounting | None = None
    gravity: float | None = None

    def distances(self, windows: FloatArray) -> FloatArray:
        """Return each window's distance to the nearest recording of the training side, shape (n,).

        Args:
            windows: Windows in the contract's unit, shape (n, window, axes).
        """
        return to_nearest(self.whitened(windows), self.prototypes)

    def novelty(self, windows: FloatArray) -> FloatArray:
        """Return the novelty of windows, shape (n,): a window above 1 is unknown.

        It is the larger of two values: the distance to the training side or the site, whichever is nearer, in multiples
        of its limit, and the level of the window in multiples of `too_loud_rms`.

        Args:
            windows: Windows in the contract's unit, shape (n, window, axes).
        """
        return self.of_centred(centre(windows))

    def of_centred(self, windows: Centred) -> FloatArray:
        """Return the same as `novelty` for windows without their means."""
        return self._or_loud(self._by_distance(windows), windows)

    def of_distances(self, distances: FloatArray, windows: Centred) -> FloatArray:
        """Return the same as `of_centred` without a site for windows with known distances to the training side."""
        return self._or_loud(distances / np.float32(self.limit), windows)

    def _or_loud(self, multiples: FloatArray, windows: Centred) -> FloatArray:
        return np.maximum(multiples, (windows.rms / self.too_loud_rms).astype(np.float32))

    @property
    def too_loud_rms(self) -> float:
        """Level above which a window is unknown, whatever its spectrum, in the contract's unit."""
        return TOO_LOUD * max(self.loudest_rms, 0.0 if self.site is None else self.site.loudest_rms)

    def _by_distance(self, windows: Centred) -> FloatArray:
        whitened = self.whitened_of(windows)
        trained = to_nearest(whitened, self.prototypes) / np.float32(self.limit)
        if self.site is None:
            return trained
        return np.minimum(trained, to_nearest(whitened, self.site.prototypes) / np.float32(self.site.limit))

    def is_running(self, level: float) -> bool:
        """Tell whether a machine with this level (see `levels`) is running."""
        quietest = self.quietest_rms if self.site is None else min(self.quietest_rms, self.site.quietest_rms)
        return level >= RUNNING_SHARE * quietest

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
    # |a - b|^2 = |a|^2 - 2 a.b + |b|^2 needs no array of all differences
    squares = products(points, prototypes.T)
    squares *= -2
    squares += np.square(points).sum(axis=1)[:, None] + np.square(prototypes).sum(axis=1)
    return np.sqrt(np.maximum(squares.min(axis=1), 0))


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


def is_mounting(prototypes: FloatArray, n_axes: int) -> bool:
    """Tell whether an array can be the prototypes of a mounting for a signal with this number of axes."""
    fits = prototypes.ndim == 3 and prototypes.shape[1:] == (BANDS, n_axes * n_axes)
    return fits and len(prototypes) > 0 and bool(np.isfinite(prototypes).all())


def _is_usable(mounting: Mounting, n_axes: int) -> bool:
    fits = is_mounting(mounting.prototypes, n_axes) and len(mounting.prototypes) <= MOST_PROTOTYPES
    return fits and 0 < mounting.limit <= 1


def _are_levels(novelty: Novelty) -> bool:
    gravity = 1.0 if novelty.gravity is None else novelty.gravity
    return 0 <= novelty.quietest_rms <= novelty.loudest_rms and novelty.loudest_rms > 0 and 0 < gravity < math.inf


def novelty_to_bytes(novelty: Novelty) -> bytes:
    """Return the bytes of an .npz file; equal values give equal bytes."""
    values = {name: getattr(novelty, name) for name in _FORMS}
    if novelty.mounting is not None:
        values |= {_MOUNTING: novelty.mounting.prototypes, _MOUNTING_LIMIT: novelty.mounting.limit}
    if novelty.gravity is not None:
        values[_GRAVITY] = novelty.gravity
    return archive_of(**values)


def novelty_from_bytes(data: bytes, n_axes: int) -> Novelty:
    """Read the bytes of `novelty_to_bytes` for a signal with this number of axes.

    Raises:
        BundleError: If they are damaged, or have other shapes or impossible values.
    """
    try:
        arrays = typed_arrays(data, MAX_ARRAYS_BYTES, _FORMS, _MOUNTING_FORMS, _GRAVITY_FORMS)
    except InvalidValueError as exc:
        words = f"{MEMBER} is damaged: {exc}. Convert the run again with `drsn-edge convert`."
        raise BundleError(words, exc.problem, **{**exc.facts, "member": MEMBER}) from exc
    mounting = Mounting(arrays[_MOUNTING], float(arrays[_MOUNTING_LIMIT])) if _MOUNTING in arrays else None
    novelty = Novelty(
        lines=int(arrays["lines"]),
        whitening=arrays["whitening"],
        prototypes=arrays["prototypes"],
        limit=float(arrays["limit"]),
        quietest_rms=float(arrays["quietest_rms"]),
        loudest_rms=float(arrays["loudest_rms"]),
        mounting=mounting,
        gravity=float(arrays[_GRAVITY]) if _GRAVITY in arrays else None,
    )
    size = novelty.lines * n_axes
    shapes = novelty.whitening.shape == (size, size) and novelty.prototypes.shape[1:] == (size,)
    finite = np.isfinite(novelty.whitening).all() and np.isfinite(novelty.prototypes).all()
    few = 0 < len(novelty.prototypes) <= MOST_PROTOTYPES and novelty.lines > 0
    usable = shapes and finite and few and 0 < novelty.limit < math.inf and _are_levels(novelty)
    if not (usable and (mounting is None or _is_usable(mounting, n_axes))):
        raise BundleError(
            f"{MEMBER} holds impossible values, or does not fit a signal with {n_axes} axes. Convert the run again "
            "with `drsn-edge convert`.",
            "wrong_novelty",
            member=MEMBER,
            axes=n_axes,
        )
    return novelty
