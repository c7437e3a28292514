"""Log spectra of windows: inputs of networks and features of baselines. NumPy only, because a gateway uses them.

A window has these views, each with the same number of lines, so that they can be channels of one input:

bands       mean power in equal bands from 0 to half the sampling rate. Resonances stay in place when the shaft speed
            changes.
orders      power at multiples of the shaft speed, divided by the 4th power of the speed. For the same displacement
            acceleration grows with the square of the speed, so that an imbalance looks the same at every speed.
envelopes   power at multiples of the shaft speed in the envelope of each demodulation band: the impacts of a bearing
            fault repeat at fixed multiples.

Orders and envelopes need the shaft speed; bands do not.

Source: Randall & Antoni 2011, "Rolling element bearing diagnostics - a tutorial", doi:10.1016/j.ymssp.2010.07.017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ComplexArray = NDArray[np.complexfloating]

VIEWS = ("bands", "orders", "envelopes")

DEMODULATION_BANDS = ((0.05, 0.25), (0.25, 0.55), (0.55, 0.95))
"""Bands whose envelopes are used, as shares of half the sampling rate."""

REFERENCE_TURNS = 1 / 400
"""Shaft speed, in turns per sample, at which the power of the orders equals the power of the acceleration."""

FLOOR = 1e-5
"""Constant added to powers before the logarithm. A power of 1 is the mean square of the samples, or for orders that of
the training side."""

_BATCH = 64


@dataclass(frozen=True)
class Spectra:
    """The views in the input of a network, and their standardisation.

    Attributes:
        views: Views of a window: `bands`, `orders`, `envelopes`.
        lines: Number of lines of each view.
        highest_order: Multiple of the shaft speed at the last line of orders and envelopes.
        means: Mean log10 power of each channel on the training side; empty until it is known.
        deviations: Standard deviation of each channel on the training side; empty until it is known.
    """

    views: tuple[str, ...] = VIEWS
    lines: int = 128
    highest_order: float = 16.0
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    @property
    def needs_speed(self) -> bool:
        """Whether the shaft speed must be known."""
        return self.views != ("bands",)

    def view_channels(self, n_axes: int) -> tuple[int, ...]:
        """Return the number of channels of each view, in the order of the input's channels, for `n_axes` axes."""
        return tuple(n_axes * (len(DEMODULATION_BANDS) if view == "envelopes" else 1) for view in self.views)


def log_spectra(
    windows: FloatArray,
    spectra: Spectra,
    sample_rate_hz: float,
    speeds_hz: NDArray[np.float64],
    known: ComplexArray | None = None,
) -> FloatArray:
    """Return the views of windows, standardised if means are known, shape (n, lines, channels).

    Args:
        windows: Windows without their means, shape (n, window, axes). Only orders depend on their absolute level.
        spectra: Views and their standardisation.
        sample_rate_hz: Sampling rate of the windows in Hz.
        speeds_hz: Shaft speed of each window in turns per second, shape (n,); any number if `needs_speed` is False.
        known: `Centred.spectrum` of these windows, if it is known; it saves a transform and does not change the result.
    """
    parts = [slice(first, first + _BATCH) for first in range(0, len(windows), _BATCH)]
    batches = (
        _Batch(windows[part], speeds_hz[part] / sample_rate_hz, None if known is None else known[part])
        for part in parts
    )
    logs = [_log_powers(batch, spectra) for batch in batches]
    views = np.concatenate(logs) if logs else np.empty((0, spectra.lines, sum(spectra.view_channels(windows.shape[2]))))
    if spectra.means:
        views = (views - np.asarray(spectra.means)) / np.asarray(spectra.deviations)
    return views.astype(np.float32)


class _Batch:
    """Windows with the spectra that the views share. Channels precede time here, so that FFTs are contiguous."""

    def __init__(self, windows: FloatArray, speeds: NDArray[np.float64], spectrum: ComplexArray | None) -> None:
        """Take windows, (n, window, axes), shaft speeds in turns per sample, (n,), and spectra or None."""
        samples = np.ascontiguousarray(windows.transpose(0, 2, 1), np.float32)
        self.speeds = speeds
        self.lines_per_order = speeds * windows.shape[1]
        self.spectrum = np.fft.rfft(samples) if spectrum is None else spectrum
        self.power = power_spectrum(self.spectrum, windows.shape[1])
        self.mean_square = np.mean(np.square(samples), axis=(1, 2))[:, None, None]


def _log_powers(batch: _Batch, spectra: Spectra) -> FloatArray:
    power = np.concatenate([_VIEW_MAKERS[view](batch, spectra) for view in spectra.views], axis=1)
    return np.log10(power + FLOOR, dtype=np.float32).transpose(0, 2, 1)


def power_spectrum(spectrum: ComplexArray, n_samples: int) -> FloatArray:
    """Return the power at each line of the Hann-weighted samples whose unweighted spectrum is given.

    A Hann window is a constant plus a cosine. Therefore each weighted line follows from a line and its two neighbours,
    without a second transform.

    Args:
        spectrum: `np.fft.rfft` of n_samples real samples, shape (..., n_samples // 2 + 1), n_samples even.
        n_samples: Number of samples.
    """
    padded = np.concatenate([spectrum[..., 1:2].conj(), spectrum, spectrum[..., -2:-1].conj()], axis=-1)
    weighted = padded[..., 1:-1] / 2 - (padded[..., :-2] + padded[..., 2:]) / 4
    return np.asarray((weighted.real**2 + weighted.imag**2) / n_samples, np.float32)


def band_powers(power: FloatArray, lines: int) -> FloatArray:
    """Return the mean power in `lines` equal bands of a spectrum, (..., spectral lines) -> (..., lines).

    The line at 0 Hz and the lines above the last whole band are left out.
    """
    per_band = (power.shape[-1] - 1) // lines
    return power[..., 1 : 1 + lines * per_band].reshape(*power.shape[:-1], lines, per_band).mean(axis=-1)


def order_powers(power: FloatArray, lines_per_order: NDArray[np.float64], lines: int, highest: float) -> FloatArray:
    """Return the power at `lines` equal steps of shaft orders, (n, channels, lines): the largest line of each step.

    Args:
        power: Power spectra, shape (n, channels, spectral lines).
        lines_per_order: Spectral lines from one multiple of the shaft speed to the next, shape (n,).
        lines: Number of steps. Steps beyond the spectrum get its last line.
        highest: Multiple of the shaft speed at the last step.
    """
    steps = lines_per_order * (highest / lines)
    centres = np.rint(np.arange(1, lines + 1) * steps[:, None]).astype(np.int64)
    reach = np.maximum(0, np.ceil(steps)).astype(np.int64) // 2  # no line between two steps is skipped
    offsets = np.arange(-reach.max(initial=0), reach.max(initial=0) + 1)
    offsets = np.clip(offsets[None], -reach[:, None], reach[:, None])
    wanted = np.clip(centres[:, None] + offsets[..., None], 0, power.shape[-1] - 1)
    found = np.take_along_axis(power, wanted.reshape(len(power), 1, -1), axis=2)
    return found.reshape(*power.shape[:2], *wanted.shape[1:]).max(axis=2)


def envelopes(spectrum: ComplexArray, band: tuple[float, float]) -> FloatArray:
    """Return the envelope in one band of the samples whose spectrum is given: a quarter as long, mean 0, RMS 1.

    The band is shifted to 0 Hz, which yields the analytic signal directly at the lower rate.

    Args:
        spectrum: `np.fft.rfft` of the samples, shape (..., n_samples // 2 + 1), n_samples a multiple of 4.
        band: Lower and upper edge as shares of half the sampling rate, at most 0.5 apart.
    """
    half = spectrum.shape[-1] - 1
    first, last = (int(share * half) for share in band)
    moved = np.zeros((*spectrum.shape[:-1], half // 2), np.complex64)
    moved[..., : last - first] = spectrum[..., first:last]
    envelope = np.abs(np.fft.ifft(moved)).astype(np.float32)
    envelope -= envelope.mean(axis=-1, keepdims=True)
    rms = np.sqrt(np.mean(np.square(envelope), axis=-1, keepdims=True))
    return np.divide(envelope, rms, out=np.zeros_like(envelope), where=rms > 0)


def _bands(batch: _Batch, spectra: Spectra) -> FloatArray:
    power, mean_square = band_powers(batch.power, spectra.lines), batch.mean_square
    return np.divide(power, mean_square, out=np.zeros_like(power), where=mean_square > 0)


def _orders(batch: _Batch, spectra: Spectra) -> FloatArray:
    power = order_powers(batch.power, batch.lines_per_order, spectra.lines, spectra.highest_order)
    return np.asarray(power / (batch.speeds[:, None, None] / REFERENCE_TURNS) ** 4, np.float32)


def _envelopes(batch: _Batch, spectra: Spectra) -> FloatArray:
    found = [envelopes(batch.spectrum, band) for band in DEMODULATION_BANDS]
    powers = [power_spectrum(np.fft.rfft(envelope), envelope.shape[-1]) for envelope in found]
    return order_powers(np.concatenate(powers, axis=1), batch.lines_per_order, spectra.lines, spectra.highest_order)


_VIEW_MAKERS: Mapping[str, Callable[[_Batch, Spectra], FloatArray]] = {
    "bands": _bands,
    "orders": _orders,
    "envelopes": _envelopes,
}
