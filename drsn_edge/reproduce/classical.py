"""Classical diagnosis to compare networks with: features that an engineer would take, and a classifier of scikit-learn.

forest   random forest on the envelope spectrum: what finds bearing faults without a network.
lda      linear discriminants on log-band energies: resonances, and a pooled covariance against everything that varies
         within a class. Hard to beat across speeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.spectra import FLOOR, band_powers, envelopes, power_spectrum
from drsn_edge.signal.windows import FloatArray, Scaling, scale_windows

BANDS = 48
"""Log-band energies per axis."""

ENVELOPE_BAND = (0.1, 0.6)
"""Demodulated for the forest, as shares of half the sample rate."""

ENVELOPE_LINES = 256
TREES = 300


def log_band_energies(windows: FloatArray) -> FloatArray:
    """Return log10 of the power in `BANDS` equal bands per axis, (n, window, axes) -> (n, BANDS * axes)."""
    bands = band_powers(power_spectrum(np.fft.rfft(_prepared(windows)), windows.shape[1]), BANDS)
    return np.log10(bands + FLOOR).reshape(len(windows), -1)


def envelope_spectrum(windows: FloatArray) -> FloatArray:
    """Return the amplitudes of the first `ENVELOPE_LINES` lines of the envelope per axis, without the one at 0 Hz."""
    envelope = envelopes(np.fft.rfft(_prepared(windows)), ENVELOPE_BAND)
    power = power_spectrum(np.fft.rfft(envelope), envelope.shape[-1])
    return np.sqrt(power[..., 1 : 1 + ENVELOPE_LINES]).reshape(len(windows), -1)


def _prepared(windows: FloatArray) -> FloatArray:
    """Return z-scored windows with channels before time."""
    return np.ascontiguousarray(scale_windows(windows, Scaling("rms")).transpose(0, 2, 1))


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=seed)


def _lda(seed: int) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis()


_BASELINES: Mapping[str, tuple[Callable[[FloatArray], FloatArray], Callable[[int], Any]]] = {
    "forest": (envelope_spectrum, _forest),
    "lda": (log_band_energies, _lda),
}

BASELINES = tuple(_BASELINES)


def fit_baseline(
    name: str, windows: FloatArray, labels: NDArray[np.int64], seed: int
) -> Callable[[FloatArray], NDArray[np.int64]]:
    """Fit a baseline and return what gives the class of windows.

    Args:
        name: One of `BASELINES`.
        windows: Shape (n, window, axes), in any unit; window a multiple of 4.
        labels: Class of each, shape (n,).
        seed: Of what the classifier draws at random.
    """
    features, make = _BASELINES[name]
    fitted = make(seed).fit(features(windows), labels)
    return lambda others: np.asarray(fitted.predict(features(others)), np.int64)
