from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.looking.measures import BAND_EDGES_HZ, SEGMENT, measure


@given(st.integers(1, 5000), st.integers(1, 700), st.integers(1, 3), st.floats(-1e6, 1e6))
@settings(max_examples=30, deadline=None)
def test_pieces_measure_what_the_whole_does(n: int, piece: int, axes: int, offset: float) -> None:
    samples = offset + np.random.default_rng(n).normal(size=(n, axes))
    found = measure((samples[start : start + piece] for start in range(0, n, piece)), axes, None)
    np.testing.assert_allclose(found.mean, samples.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.level, samples.std(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.lowest, samples.min(axis=0))
    np.testing.assert_array_equal(found.highest, samples.max(axis=0))
    assert (found.n_samples, found.n_wrong) == (n, 0)


def test_a_small_vibration_on_a_large_offset_keeps_its_digits() -> None:
    samples = 1e7 + 1e-3 * np.sin(np.arange(4096))[:, None]
    assert measure([samples], 1, None).level[0] == pytest.approx(1e-3 / np.sqrt(2), rel=0.01)


def test_values_that_are_no_numbers_are_counted_and_left_out() -> None:
    samples = np.random.default_rng(0).normal(size=(4000, 2))
    spoilt = samples.copy()
    spoilt[::7, 0] = np.nan
    spoilt[5, 1] = np.inf
    found = measure([spoilt], 2, 1000.0)
    assert found.n_wrong == len(samples[::7]) + 1
    sound = samples[np.isfinite(spoilt[:, 0]), 0]
    assert found.mean[0] == pytest.approx(sound.mean())
    assert np.isfinite(found.spectrum).any()
    assert found.highest[1] == samples[np.arange(4000) != 5, 1].max()


def test_an_axis_without_a_number_has_no_values() -> None:
    found = measure([np.full((3000, 1), np.nan)], 1, 1000.0)
    assert np.isnan(found.mean).all() and found.n_wrong == 3000


def test_the_spectrum_has_the_power_of_the_signal_in_its_band() -> None:
    rate, n = 8000.0, 40 * SEGMENT
    tone = np.sqrt(2) * 0.5 * np.sin(2 * np.pi * 1000 * np.arange(n) / rate)
    noise = 0.01 * np.random.default_rng(1).normal(size=n)
    spectrum = measure([(tone + noise)[:, None]], 1, rate).spectrum[0]
    loudest = int(np.nanargmax(spectrum))
    assert BAND_EDGES_HZ[loudest] * 0.98 <= 1000 <= BAND_EDGES_HZ[loudest + 1] * 1.02
    quiet = np.nanmedian(spectrum)
    assert quiet == pytest.approx(0.01 / np.sqrt(rate / 2), rel=0.1)


def test_without_a_rate_or_with_few_samples_there_is_no_spectrum() -> None:
    samples = np.random.default_rng(0).normal(size=(SEGMENT, 1))
    assert np.isnan(measure([samples], 1, None).spectrum).all()
    assert np.isnan(measure([samples[:-1]], 1, 100.0).spectrum).all()


def test_no_samples_measure_nothing() -> None:
    found = measure([], 3, 100.0)
    assert found.n_samples == 0 and np.isnan(found.level).all()
