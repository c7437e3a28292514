"""Classical diagnosis to compare networks with: features of an engineer, and a classifier of scikit-learn.

forest   random forest on the envelope spectrum, the classical way to find bearing faults.
lda      linear discriminants on log-band energies, which show resonances. Their pooled covariance reduces everything
         that varies within a class, so that they are accurate at other speeds than those of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.spectra import FLOOR, band_powers, envelopes, power_spectrum
from drsn_edge.signal.windows import FloatArray, Scaling, scale_windows

BANDS = 48
"""Number of log-band energies per axis."""

ENVELOPE_BAND = (0.1, 0.6)
"""Band that is demodulated for the forest, as shares of half the sampling rate."""

ENVELOPE_LINES = 256
TREES = 300


def log_band_energies(windows: FloatArray) -> FloatArray:
    """Return log10 of the power in `BANDS` equal bands per axis: (n, window, axes) to (n, BANDS * axes)."""
    bands = band_powers(power_spectrum(np.fft.rfft(_prepared(windows)), windows.shape[1]), BANDS)
    return np.log10(bands + FLOOR).reshape(len(windows), -1)


def envelope_spectrum(windows: FloatArray) -> FloatArray:
    """Return the amplitudes of the first `ENVELOPE_LINES` lines of the envelope per axis, without the line at 0 Hz."""
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


def baseline_features(name: str, windows: FloatArray) -> FloatArray:
    """Return what a baseline sees of windows, (n, window, axes) to (n, features); `window` is a multiple of 4."""
    return _BASELINES[name][0](windows)


def fit_on_features(
    name: str, features: FloatArray, labels: NDArray[np.int64], seed: int
) -> Callable[[FloatArray], NDArray[np.int64]]:
    """Fit a baseline, and return a function from features to classes.

    Args:
        name: One of `BASELINES`.
        features: Result of `baseline_features`, shape (n, features).
        labels: Class of each window, shape (n,).
        seed: Seed of the classifier's random numbers.
    """
    fitted = _BASELINES[name][1](seed).fit(features, labels)
    return lambda others: np.asarray(fitted.predict(others), np.int64)


def fit_baseline(
    name: str, windows: FloatArray, labels: NDArray[np.int64], seed: int
) -> Callable[[FloatArray], NDArray[np.int64]]:
    """Fit a baseline, and return a function from windows to classes.

    Args:
        name: One of `BASELINES`.
        windows: Shape (n, window, axes), in any unit; `window` is a multiple of 4.
        labels: Class of each window, shape (n,).
        seed: Seed of the classifier's random numbers.
    """
    predict = fit_on_features(name, baseline_features(name, windows), labels, seed)
    return lambda others: predict(baseline_features(name, others))
