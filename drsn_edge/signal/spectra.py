"""Log spectra of windows: a network's input, the baselines' features. NumPy only, as the gateway computes them too.

Views of a window, each with the same number of lines, so that they can be channels of one input:

bands       mean power in equal bands from 0 to half the sample rate. Resonances stay where they are when the machine
            changes its speed.
orders      power at multiples of the shaft speed, over the speed to the 4th power: for the same displacement
            acceleration grows with the square of the speed, so that an imbalance looks alike at every speed.
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
"""Bands whose envelopes are taken, as shares of half the sample rate."""

REFERENCE_TURNS = 1 / 400
"""Shaft speed, in turns per sample, at which the orders' power is that of the acceleration."""

FLOOR = 1e-5
"""Added to powers before the logarithm; 1 is the samples' mean square, or for orders the training side's."""

_BATCH = 64


@dataclass(frozen=True)
class Spectra:
    """Which views a network sees, and how they are standardised.

    Attributes:
        views: Some of `VIEWS`.
        lines: Of each view.
        highest_order: Multiple of the shaft speed at the last line of orders and envelopes.
        means: Of each channel on the training side, log10 of power; one 0 for each channel until they are known.
        deviations: Of each channel on the training side.
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
        """Return the channels of each view, in the order of the input's channels, for so many axes."""
        return tuple(n_axes * (len(DEMODULATION_BANDS) if view == "envelopes" else 1) for view in self.views)


def log_spectra(
    windows: FloatArray,
    spectra: Spectra,
    sample_rate_hz: float,
    speeds_hz: NDArray[np.float64],
    known: ComplexArray | None = None,
) -> FloatArray:
    """Return the views of windows, standardised where means are known, shape (n, lines, channels).

    Args:
        windows: Shape (n, window, axes), without their mean. Their absolute size matters to the orders only.
        spectra: Views and their standardisation.
        sample_rate_hz: Of the windows.
        speeds_hz: Shaft speed of each window, shape (n,); any number where `needs_speed` is False.
        known: `Centred.spectrum` of these windows, where it was asked for before; it is the same with and without.
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
    """Windows with what the views share. Channels come before time here: FFTs want their axis contiguous."""

    def __init__(self, windows: FloatArray, speeds: NDArray[np.float64], spectrum: ComplexArray | None) -> None:
        """Take windows, (n, window, axes), their shaft speeds in turns per sample, (n,), and spectra that are known."""
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

    A Hann window is a constant and a cosine, so that it takes a line and its two neighbours, and no second transform.

    Args:
        spectrum: `np.fft.rfft` of n_samples real samples, shape (..., n_samples // 2 + 1), n_samples even.
        n_samples: Of the samples.
    """
    padded = np.concatenate([spectrum[..., 1:2].conj(), spectrum, spectrum[..., -2:-1].conj()], axis=-1)
    weighted = padded[..., 1:-1] / 2 - (padded[..., :-2] + padded[..., 2:]) / 4
    return np.asarray((weighted.real**2 + weighted.imag**2) / n_samples, np.float32)


def band_powers(power: FloatArray, lines: int) -> FloatArray:
    """Return the mean power in `lines` equal bands of a spectrum, (..., spectral lines) -> (..., lines).

    Without the line at 0 Hz, and without a rest above the last whole band.
    """
    per_band = (power.shape[-1] - 1) // lines
    return power[..., 1 : 1 + lines * per_band].reshape(*power.shape[:-1], lines, per_band).mean(axis=-1)


def order_powers(power: FloatArray, lines_per_order: NDArray[np.float64], lines: int, highest: float) -> FloatArray:
    """Return the power at `lines` equal steps of shaft orders, (n, channels, lines): the largest line of each step.

    Args:
        power: Shape (n, channels, spectral lines).
        lines_per_order: Spectral lines from one multiple of the shaft speed to the next, shape (n,).
        lines: Steps. Those beyond the spectrum get its last line.
        highest: Multiple of the shaft speed at the last step.
    """
    steps = lines_per_order * (highest / lines)
    centres = np.rint(np.arange(1, lines + 1) * steps[:, None]).astype(np.int64)
    reach = np.maximum(0, np.ceil(steps)).astype(np.int64) // 2  # no line between two steps falls through
    offsets = np.arange(-reach.max(initial=0), reach.max(initial=0) + 1)
    offsets = np.clip(offsets[None], -reach[:, None], reach[:, None])
    wanted = np.clip(centres[:, None] + offsets[..., None], 0, power.shape[-1] - 1)
    found = np.take_along_axis(power, wanted.reshape(len(power), 1, -1), axis=2)
    return found.reshape(*power.shape[:2], *wanted.shape[1:]).max(axis=2)


def envelopes(spectrum: ComplexArray, band: tuple[float, float]) -> FloatArray:
    """Return the envelope in one band of the samples whose spectrum is given: a quarter as long, mean 0, RMS 1.

    The band is moved to 0 Hz, which gives the analytic signal at the lower rate at once.

    Args:
        spectrum: `np.fft.rfft` of the samples, shape (..., n_samples // 2 + 1), n_samples a multiple of 4.
        band: From and to, as shares of half the sample rate; at most half of it wide.
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
