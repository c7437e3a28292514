from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from drsn_edge.signal import spectra as module
from drsn_edge.signal.spectra import (
    FLOOR,
    REFERENCE_TURNS,
    Spectra,
    Transform,
    band_powers,
    envelopes,
    order_powers,
    power_spectrum,
)

Array = NDArray[Any]
RATE_HZ = 1000.0


def log_spectra(windows: Array, spectra: Spectra, sample_rate_hz: float, speeds_hz: Array) -> Array:
    by_axis = np.ascontiguousarray(windows.transpose(0, 2, 1))
    return module.log_spectra(Transform.of(by_axis), spectra, sample_rate_hz, speeds_hz)


def tone(frequency: float, n: int = 2048, amplitude: float = 1.0) -> Array:
    """Return one window with one axis, at `frequency` cycles per sample."""
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(n)))[None, :, None].astype(np.float32)


def noise(n: int = 3, window: int = 512, axes: int = 2, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, window, axes)).astype(np.float32)


def test_hann_by_neighbouring_lines_is_hann_by_weights() -> None:
    samples = noise()[..., 0]
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    expected = np.abs(np.fft.rfft(samples * weights)) ** 2 / 512
    np.testing.assert_allclose(power_spectrum(np.fft.rfft(samples), 512), expected, rtol=1e-4, atol=1e-6)


def test_bands_are_means_without_the_line_at_zero() -> None:
    power = np.array([[100.0, 1, 3, 5, 7, 50]])
    np.testing.assert_array_equal(band_powers(power, 2), [[2.0, 6.0]])  # the last line fills no band


def test_orders_by_hand() -> None:
    power = np.arange(20.0, dtype=np.float32)[None, None]
    np.testing.assert_array_equal(order_powers(power, np.array([2.0]), 4, 2.0), [[[1, 2, 3, 4]]])
    # Steps of 6 lines: the largest of three lines around each centre on either side; the last step is beyond the end.
    np.testing.assert_array_equal(order_powers(power, np.array([6.0]), 4, 4.0), [[[9, 15, 19, 19]]])


@given(st.integers(1, 6), st.floats(0.5, 30))
def test_every_line_between_the_first_and_the_last_step_is_seen(n_lines: int, per_order: float) -> None:
    """A peak between two steps must not be skipped."""
    steps, highest = 2**n_lines, 4.0
    for line in range(round(per_order * highest / steps), round(per_order * highest) + 1):
        power = np.zeros((1, 1, 200), np.float32)
        power[0, 0, line] = 1.0
        assert order_powers(power, np.array([per_order]), steps, highest).max() == 1.0


def test_windows_of_several_speeds_do_not_touch_each_other() -> None:
    power = np.random.default_rng(0).random((3, 2, 300)).astype(np.float32)
    speeds = np.array([3.0, 11.0, 40.0])
    together = order_powers(power, speeds, 16, 6.0)
    for index in range(3):
        alone = order_powers(power[index : index + 1], speeds[index : index + 1], 16, 6.0)
        np.testing.assert_array_equal(together[index : index + 1], alone)


def test_an_envelope_shows_what_a_carrier_carries() -> None:
    n, carrier, modulation = 4096, 0.2, 16 / 4096
    time = np.arange(n)
    samples = (1 + 0.5 * np.sin(2 * np.pi * modulation * time)) * np.sin(2 * np.pi * carrier * time)
    envelope = envelopes(np.fft.rfft(samples), (0.25, 0.55))
    assert envelope.shape == (1024,)
    assert envelope.mean() == pytest.approx(0, abs=1e-3)
    assert np.sqrt(np.mean(envelope**2)) == pytest.approx(1, rel=1e-3)
    assert np.argmax(np.abs(np.fft.rfft(envelope))) == 16
    outside = envelopes(np.fft.rfft(samples), (0.6, 0.9))
    assert np.argmax(np.abs(np.fft.rfft(outside))) != 16 or np.abs(outside).max() == 0


def test_a_tone_is_in_its_band() -> None:
    logs = log_spectra(tone(0.3), Spectra(("bands",), 64), RATE_HZ, np.array([np.nan]))
    assert logs.shape == (1, 64, 1)
    assert logs[0, :, 0].argmax() == int(0.3 * 2 * 64)


def test_bands_do_not_know_the_level_and_orders_do() -> None:
    spectra = Spectra(("bands", "orders"), 32, 4.0)
    quiet, loud = (log_spectra(tone(0.02) * level, spectra, RATE_HZ, np.array([20.0])) for level in (1, 10))
    np.testing.assert_allclose(quiet[..., 0], loud[..., 0], atol=1e-4)
    assert (loud - quiet)[0, 7, 1] == pytest.approx(2.0, abs=1e-3)  # order 1: 20 dB in power


def test_the_same_displacement_is_the_same_at_every_speed() -> None:
    spectra = Spectra(("orders",), 16, 2.0)
    levels = []
    for turns in (1 / 128, 1 / 64):
        window = tone(turns, amplitude=(turns / REFERENCE_TURNS) ** 2)
        levels.append(log_spectra(window, spectra, RATE_HZ, np.array([turns * RATE_HZ]))[0, 7, 0])
    assert levels[0] == pytest.approx(levels[1], abs=0.01)


def test_channels_come_view_by_view_and_axis_by_axis() -> None:
    spectra = Spectra(lines=32)
    assert spectra.view_channels(2) == (2, 2, 6)
    assert spectra.needs_speed
    assert not Spectra(("bands",)).needs_speed
    logs = log_spectra(noise(), spectra, RATE_HZ, np.full(3, 25.0))
    assert logs.shape == (3, 32, 10)
    for axis in range(2):
        alone = log_spectra(noise()[..., axis : axis + 1], Spectra(("orders",), 32), RATE_HZ, np.full(3, 25.0))
        np.testing.assert_allclose(logs[..., 2 + axis], alone[..., 0], atol=1e-5)


def test_standardising_takes_mean_and_deviation() -> None:
    plain = log_spectra(noise(), Spectra(("bands",), 32), RATE_HZ, np.full(3, np.nan))
    known = Spectra(("bands",), 32, means=(1.0, -2.0), deviations=(0.5, 4.0))
    expected = (plain - [1.0, -2.0]) / [0.5, 4.0]
    np.testing.assert_allclose(log_spectra(noise(), known, RATE_HZ, np.full(3, np.nan)), expected, rtol=1e-5, atol=1e-6)


def test_a_still_window_is_at_the_floor_and_finite() -> None:
    logs = log_spectra(np.zeros((1, 512, 3), np.float32), Spectra(lines=32), RATE_HZ, np.array([25.0]))
    np.testing.assert_allclose(logs, np.log10(FLOOR), atol=1e-5)


def test_one_by_one_and_all_at_once_agree() -> None:
    windows, speeds = noise(130, 256), np.linspace(5, 50, 130)
    together = log_spectra(windows, Spectra(lines=16), RATE_HZ, speeds)
    for index in (0, 63, 64, 129):
        alone = log_spectra(windows[index : index + 1], Spectra(lines=16), RATE_HZ, speeds[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], atol=1e-5)
    assert log_spectra(windows[:0], Spectra(lines=16), RATE_HZ, speeds[:0]).shape == (0, 16, 10)
