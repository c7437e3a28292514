"""Is a window like anything that was trained? NumPy only, as the gateway asks it of every window.

A network gives every window to one of its classes; how sure it is says little of what it never saw (a withheld fault
may get larger logits than a known one). So the question is put to the signal: log band powers, relative to the
window's own level, whitened by their scatter within recordings, and the distance to the nearest recording of the
training side, noise included as the network was trained on it. A window that is further off than a limit is unknown.
The limit is set at conversion, so that a stated share of held-out windows is.

Source for the distance: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples",
arXiv:1807.03888, there on a network's features. Against the energy of the network's logits: benchmarks/open_set.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import BundleError
from drsn_edge.signal.mounting import BANDS, Mounting
from drsn_edge.signal.spectra import Spectra, log_spectra
from drsn_edge.signal.windows import Centred, centre
from drsn_edge.support.arrays import MAX_ARRAYS_BYTES, Form, archive_of, typed_arrays
from drsn_edge.support.invalid import InvalidValueError

FloatArray = NDArray[np.float32]

LINES = 24
"""Bands of each axis, or a quarter of the window where that is less."""

MEMBER = "novelty.npz"
"""Of a bundle or a run folder."""

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
"""In the same file where the axes tell how the sensor lies."""

RUNNING_SHARE = 1 / 4
"""Share of the lowest trained level below which a machine stands still: 12 dB."""

MOST_PROTOTYPES = 4096
"""More would cost every window more than its network does."""

TOO_LOUD = 4.0
"""A machine whose level is so much above the highest that was trained is unlike all of it, whatever its spectrum:
12 dB. So is a sensor that says g and sends m/s², 20 dB apart; the other way round it seems to stand still."""


@dataclass(frozen=True)
class Site:
    """What one machine is like where it stands; see `drsn_edge.monitor.stages.learned`.

    Attributes:
        prototypes: Of stretches of time on site, whitened as those of the training side; shape (n, features).
        limit: Distance from them beyond which a window is unlike the site, > 0.
        quietest_rms: Lowest level on site, in the contract's unit.
        loudest_rms: Highest.
        mean: Of each axis on site, as gravity gives it, in the contract's unit, shape (axes,); None: not known.
        mounting: How the axes move together there, as `drsn_edge.signal.mounting.features`; None: not known.
    """

    prototypes: FloatArray
    limit: float
    quietest_rms: float
    loudest_rms: float = 0.0
    mean: NDArray[np.float64] | None = None
    mounting: FloatArray | None = None


@dataclass(frozen=True)
class Novelty:
    """What was trained, as far as telling it from what was not.

    Attributes:
        lines: Bands of each axis.
        whitening: Shape (features, features): makes the scatter within a recording that of white noise.
        prototypes: A row for each recording, or group of them, whitened; shape (n, features).
        limit: Distance beyond which a window is unknown, > 0.
        quietest_rms: Lowest level of a trained window, in the contract's unit.
        loudest_rms: Highest; infinite where it is not known.
        site: What was learned on site; None: nothing was.
        mounting: How the axes moved together; None: nothing can be told of it.
    """

    lines: int
    whitening: FloatArray
    prototypes: FloatArray
    limit: float
    quietest_rms: float
    loudest_rms: float = math.inf
    site: Site | None = None
    mounting: Mounting | None = None

    def distances(self, windows: FloatArray) -> FloatArray:
        """Return each window's distance to the nearest recording of the training side, shape (n,).

        Args:
            windows: Shape (n, window, axes), in the contract's unit.
        """
        return to_nearest(self.whitened(windows), self.prototypes)

    def novelty(self, windows: FloatArray) -> FloatArray:
        """Return how new windows are, shape (n,): what is above 1 is unknown.

        That is the distance in multiples of the limit, to the training side or the site, whichever is nearer, or how
        loud the windows are in multiples of what is too loud, if that is more.

        Args:
            windows: Shape (n, window, axes), in the contract's unit.
        """
        return self.of_centred(centre(windows))

    def of_centred(self, windows: Centred) -> FloatArray:
        """Return what `novelty` does, of windows whose means are gone."""
        return self._or_loud(self._by_distance(windows), windows)

    def of_distances(self, distances: FloatArray, windows: Centred) -> FloatArray:
        """Return what `of_centred` does where nothing was learned on site, of windows whose distances are known."""
        return self._or_loud(distances / np.float32(self.limit), windows)

    def _or_loud(self, multiples: FloatArray, windows: Centred) -> FloatArray:
        return np.maximum(multiples, (windows.rms / self.too_loud_rms).astype(np.float32))

    @property
    def too_loud_rms(self) -> float:
        """The level from which on a window is unknown by it alone, in the contract's unit."""
        return TOO_LOUD * max(self.loudest_rms, 0.0 if self.site is None else self.site.loudest_rms)

    def _by_distance(self, windows: Centred) -> FloatArray:
        whitened = self.whitened_of(windows)
        trained = to_nearest(whitened, self.prototypes) / np.float32(self.limit)
        if self.site is None:
            return trained
        return np.minimum(trained, to_nearest(whitened, self.site.prototypes) / np.float32(self.site.limit))

    def is_running(self, level: float) -> bool:
        """Tell whether a level (see `levels`) is one at which a machine runs."""
        quietest = self.quietest_rms if self.site is None else min(self.quietest_rms, self.site.quietest_rms)
        return level >= RUNNING_SHARE * quietest

    def is_turned(self, windows: Centred) -> bool:
        """Tell whether a window's axes are arranged otherwise than in training."""
        return self.mounting is not None and bool(self.mounting.is_turned(windows)[0])

    def whitened(self, windows: FloatArray) -> FloatArray:
        """Return the whitened features of windows, shape (n, features)."""
        return self.whitened_of(centre(windows))

    def whitened_of(self, windows: Centred) -> FloatArray:
        """Return what `whitened` does, of windows whose means are gone."""
        return features_of(windows, self.lines) @ self.whitening


def to_nearest(points: FloatArray, prototypes: FloatArray) -> FloatArray:
    """Return each point's distance to the nearest prototype, (n, features) and (m, features) to (n,)."""
    # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, which needs no array of all differences
    squares = np.square(points).sum(axis=1)[:, None] + np.square(prototypes).sum(axis=1)
    return np.sqrt(np.maximum(squares - 2 * points @ prototypes.T, 0).min(axis=1))


def features(windows: FloatArray, lines: int) -> FloatArray:
    """Return log band powers of windows (n, window, axes), relative to their level, shape (n, lines * axes)."""
    return features_of(centre(windows), lines)


def features_of(windows: Centred, lines: int) -> FloatArray:
    """Return what `features` does, of windows whose means are gone; an odd last sample is left out."""
    n = windows.samples.shape[1]
    even = windows.samples[:, : n // 2 * 2]
    known = windows.spectrum if len(even) == 1 and n % 2 == 0 else None  # on a gateway others ask for it, too
    logs = log_spectra(even, _bands(lines), 1.0, np.zeros(len(even)), known)
    return logs.reshape(len(even), -1)


@lru_cache(maxsize=8)
def _bands(lines: int) -> Spectra:
    return Spectra(("bands",), lines)


def levels(windows: FloatArray) -> FloatArray:
    """Return the RMS of each window (n, window, axes) over its axes, without their means, shape (n,)."""
    return centre(windows).rms.astype(np.float32)


def is_mounting(prototypes: FloatArray, n_axes: int) -> bool:
    """Tell whether arrays that were read can be a mounting's, for a signal of so many axes."""
    fits = prototypes.ndim == 3 and prototypes.shape[1:] == (BANDS, n_axes * n_axes)
    return fits and len(prototypes) > 0 and bool(np.isfinite(prototypes).all())


def _is_usable(mounting: Mounting, n_axes: int) -> bool:
    fits = is_mounting(mounting.prototypes, n_axes) and len(mounting.prototypes) <= MOST_PROTOTYPES
    return fits and 0 < mounting.limit <= 1


def _are_levels(novelty: Novelty) -> bool:
    return 0 <= novelty.quietest_rms <= novelty.loudest_rms and novelty.loudest_rms > 0


def novelty_to_bytes(novelty: Novelty) -> bytes:
    """Return the bytes of an .npz; the same values give the same bytes."""
    values = {name: getattr(novelty, name) for name in _FORMS}
    if novelty.mounting is not None:
        values |= {_MOUNTING: novelty.mounting.prototypes, _MOUNTING_LIMIT: novelty.mounting.limit}
    return archive_of(**values)


def novelty_from_bytes(data: bytes, n_axes: int) -> Novelty:
    """Read what `novelty_to_bytes` wrote, for a signal of so many axes.

    Raises:
        BundleError: If it is damaged or of other shapes.
    """
    try:
        arrays = typed_arrays(data, MAX_ARRAYS_BYTES, _FORMS, _MOUNTING_FORMS)
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
