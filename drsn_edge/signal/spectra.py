"""Log spectra of windows: inputs of networks and features of baselines. NumPy only, because a gateway uses them.

A window has these views, each with the same number of lines, so that they can be channels of one input:

bands       mean power in equal bands from 0 to half the sampling rate, relative to the window's own mean square or,
            with `absolute_bands`, to that of the training side. Resonances stay in place when the shaft speed changes.
orders      power at multiples of the shaft speed, divided by the 4th power of the speed. For the same displacement
            acceleration grows with the square of the speed, so that an imbalance looks the same at every speed.
envelopes   power at multiples of the shaft speed in the envelope of each demodulation band: the impacts of a bearing
            fault repeat at fixed multiples.

Orders and envelopes need the shaft speed. Bands need it only if their trend with the speed is known: the logarithm of
the power in a band grows about linearly with that of the speed, so that a straight line carries over to other speeds.

Source: Randall & Antoni 2011, "Rolling element bearing diagnostics - a tutorial", doi:10.1016/j.ymssp.2010.07.017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

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


@dataclass(frozen=True)
class Spectra:
    """The views in the input of a network, and their standardisation.

    Attributes:
        views: Views of a window: `bands`, `orders`, `envelopes`.
        lines: Number of lines of each view.
        highest_order: Multiple of the shaft speed at the last line of orders and envelopes.
        means: Mean log10 power of each channel on the training side; empty until it is known.
        deviations: Standard deviation of each channel on the training side; empty until it is known.
        absolute_bands: Whether the bands keep the level of a window.
        slopes: Change of each band's log10 power with log10 of the shaft speed, line by line and in each line axis by
            axis; it is taken away before the standardisation. Empty: no trend is taken away.
    """

    views: tuple[str, ...] = VIEWS
    lines: int = 128
    highest_order: float = 16.0
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    absolute_bands: bool = False
    slopes: tuple[float, ...] = ()

    @property
    def needs_speed(self) -> bool:
        """Whether the shaft speed must be known."""
        return self.views != ("bands",) or bool(self.slopes)

    def view_channels(self, n_axes: int) -> tuple[int, ...]:
        """Return the number of channels of each view, in the order of the input's channels, for `n_axes` axes."""
        return tuple(n_axes * (len(DEMODULATION_BANDS) if view == "envelopes" else 1) for view in self.views)

    def channels_of(self, view: str, n_axes: int) -> slice:
        """Return the channels of one of the views in the input of a network."""
        counts, at = self.view_channels(n_axes), self.views.index(view)
        return slice(sum(counts[:at]), sum(counts[: at + 1]))


@dataclass(frozen=True)
class Transform:
    """Fourier transforms of windows without their means, from which all views follow.

    Attributes:
        spectrum: `np.fft.rfft` of each axis, shape (n, axes, n_samples // 2 + 1).
        n_samples: Number of samples of a window.
        mean_square: Mean square of each window over its axes, shape (n,).
    """

    spectrum: ComplexArray
    n_samples: int
    mean_square: NDArray[np.floating]

    @classmethod
    def of(cls, by_axis: FloatArray) -> Transform:
        """Transform samples, shape (n, axes, n_samples)."""
        n, axes, n_samples = by_axis.shape
        squares = np.square(by_axis, dtype=np.float64).reshape(n, axes * n_samples)
        return cls(np.fft.rfft(by_axis), n_samples, np.add.reduce(squares, axis=1) / (axes * n_samples))

    @cached_property
    def power(self) -> FloatArray:
        """`power_spectrum` of the windows, shape (n, axes, n_samples // 2 + 1)."""
        return power_spectrum(self.spectrum, self.n_samples)


def log_spectra(
    windows: Transform,
    spectra: Spectra,
    sample_rate_hz: float,
    speeds_hz: NDArray[np.float64],
    divisors: NDArray[np.floating] | None = None,
) -> FloatArray:
    """Return the views of windows, standardised if means are known, shape (n, lines, channels).

    Args:
        windows: Transforms of n windows. Only orders depend on their absolute level.
        spectra: Views and their standardisation.
        sample_rate_hz: Sampling rate of the windows in Hz.
        speeds_hz: Shaft speed of each window in turns per second, shape (n,); any number if `needs_speed` is False.
        divisors: Numbers by which the samples of each window are to be divided, shape (n,); None: as they are.
    """
    batch = _Batch(windows, speeds_hz / sample_rate_hz, divisors)
    power = np.concatenate([_VIEW_MAKERS[view](batch, spectra) for view in spectra.views], axis=1)
    power += np.float32(FLOOR)
    views = np.log10(power, dtype=np.float32).transpose(0, 2, 1)
    if spectra.slopes:
        own = spectra.channels_of("bands", windows.spectrum.shape[1])
        views[..., own] -= speed_trend(np.asarray(spectra.slopes).reshape(spectra.lines, -1), speeds_hz)
    if spectra.means:
        views = (views - np.asarray(spectra.means)) / np.asarray(spectra.deviations)
    return np.ascontiguousarray(views, np.float32)


def speed_trend(slopes: NDArray[np.floating], speeds_hz: NDArray[np.float64]) -> FloatArray:
    """Return what the shaft speed adds to log band powers, shape (n, lines, axes).

    Args:
        slopes: Change of log10 power with log10 of the speed, shape (lines, axes).
        speeds_hz: Shaft speed of each window in turns per second, shape (n,).
    """
    return np.asarray(np.log10(speeds_hz)[:, None, None] * slopes, np.float32)


@dataclass(frozen=True)
class _Batch:
    """Windows, their shaft speeds in turns per sample, (n,), and the divisors of `log_spectra`."""

    windows: Transform
    speeds: NDArray[np.float64]
    divisors: NDArray[np.floating] | None

    @property
    def lines_per_order(self) -> NDArray[np.float64]:
        """Spectral lines from one multiple of the shaft speed to the next, shape (n,)."""
        return self.speeds * self.windows.n_samples


def power_spectrum(spectrum: ComplexArray, n_samples: int) -> FloatArray:
    """Return the power at each line of the Hann-weighted samples whose unweighted spectrum is given.

    A Hann window is a constant plus a cosine. Therefore each weighted line follows from a line and its two neighbours,
    without a second transform.

    Args:
        spectrum: `np.fft.rfft` of n_samples real samples, shape (..., n_samples // 2 + 1), n_samples even.
        n_samples: Number of samples.
    """
    parts = np.ascontiguousarray(spectrum).view(spectrum.real.dtype)  # real and imaginary parts in turns
    weighted = np.empty_like(parts)
    np.add(parts[..., :-4], parts[..., 4:], out=weighted[..., 2:-2])
    weighted[..., 0], weighted[..., -2] = 2 * parts[..., 2], 2 * parts[..., -4]  # their other neighbours are conjugate
    weighted[..., 1] = weighted[..., -1] = 0
    weighted *= -0.5
    weighted += parts
    np.square(weighted, out=weighted)
    power = weighted[..., ::2] + weighted[..., 1::2]
    power /= 4 * n_samples
    return np.asarray(power, np.float32)


def band_powers(power: FloatArray, lines: int) -> FloatArray:
    """Return the mean power in `lines` equal bands of a spectrum, (..., spectral lines) -> (..., lines).

    The line at 0 Hz and the lines above the last whole band are left out.
    """
    per_band = (power.shape[-1] - 1) // lines
    bands = power[..., 1 : 1 + lines * per_band].reshape(*power.shape[:-1], lines, per_band)
    return np.asarray(np.add.reduce(bands, axis=-1) / np.float32(per_band))


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
    each = wanted.shape[1]
    found = np.take_along_axis(power, wanted.reshape(len(power), 1, each * lines), axis=2)
    return found.reshape(*power.shape[:2], each, lines).max(axis=2)


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
    power, mean_square = band_powers(batch.windows.power, spectra.lines), batch.windows.mean_square
    if spectra.absolute_bands:
        return (
            power
            if batch.divisors is None
            else np.asarray(power / np.square(batch.divisors[:, None, None]), np.float32)
        )
    power /= np.where(mean_square > 0, mean_square, np.inf).astype(np.float32)[:, None, None]
    return power


def _orders(batch: _Batch, spectra: Spectra) -> FloatArray:
    power = order_powers(batch.windows.power, batch.lines_per_order, spectra.lines, spectra.highest_order)
    if batch.divisors is not None:
        power = power / np.square(batch.divisors[:, None, None])
    return np.asarray(power / (batch.speeds[:, None, None] / REFERENCE_TURNS) ** 4, np.float32)


def _envelopes(batch: _Batch, spectra: Spectra) -> FloatArray:
    found = [envelopes(batch.windows.spectrum, band) for band in DEMODULATION_BANDS]
    powers = [power_spectrum(np.fft.rfft(envelope), envelope.shape[-1]) for envelope in found]
    return order_powers(np.concatenate(powers, axis=1), batch.lines_per_order, spectra.lines, spectra.highest_order)


_VIEW_MAKERS: Mapping[str, Callable[[_Batch, Spectra], FloatArray]] = {
    "bands": _bands,
    "orders": _orders,
    "envelopes": _envelopes,
}
