from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.evaluation.classical import (
    BANDS,
    BASELINES,
    ENVELOPE_LINES,
    envelope_spectrum,
    fit_baseline,
    log_band_energies,
)

Array = NDArray[Any]


def tones(frequencies: list[float], n: int = 1024, axes: int = 2) -> Array:
    """Return a window per frequency, in cycles per sample, with a little noise."""
    noise = 0.1 * np.random.default_rng(0).normal(size=(len(frequencies), n, axes))
    wave = np.sin(2 * np.pi * np.array(frequencies)[:, None] * np.arange(n))
    return (wave[..., None] + noise).astype(np.float32)


def test_a_tone_is_in_its_band_on_each_axis() -> None:
    features = log_band_energies(tones([0.1, 0.4]))
    assert features.shape == (2, 2 * BANDS)
    per_axis = features.reshape(2, 2, BANDS).argmax(axis=2)
    width = (1024 // 2 // BANDS) / 1024
    assert per_axis.tolist() == [[int(0.1 / width)] * 2, [int(0.4 / width)] * 2]


def test_features_do_not_know_level_or_offset() -> None:
    windows = tones([0.1, 0.3])
    for features in (log_band_energies, envelope_spectrum):
        np.testing.assert_allclose(features(windows), features(5 * windows + 3), rtol=1e-2, atol=1e-2)


def test_the_envelope_spectrum_shows_the_modulation() -> None:
    n, line = 4096, 37
    time = np.arange(n)
    carried = (1 + 0.8 * np.sin(2 * np.pi * line / n * time)) * np.sin(2 * np.pi * 0.15 * time)
    features = envelope_spectrum(carried[None, :, None].astype(np.float32))
    assert features.shape == (1, ENVELOPE_LINES)
    assert features[0].argmax() + 1 == line


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_tell_what_differs_in_their_features(name: str) -> None:
    rng = np.random.default_rng(0)
    time, labels = np.arange(2048), np.repeat([0, 1], 60)
    modulation = np.where(labels == 0, 20, 50)[:, None] / 2048
    carrier = np.where(labels == 0, 0.12, 0.2)[:, None]
    waves = (1 + np.sin(2 * np.pi * modulation * time)) * np.sin(2 * np.pi * carrier * time + rng.random((120, 1)))
    windows = (waves + 0.5 * rng.normal(size=waves.shape))[..., None].astype(np.float32)
    classify = fit_baseline(name, windows[::2], labels[::2], 0)
    assert np.mean(classify(windows[1::2]) == labels[1::2]) > 0.95


def test_the_forest_repeats_with_its_seed() -> None:
    rng = np.random.default_rng(0)
    windows, labels = rng.normal(size=(60, 256, 1)).astype(np.float32), rng.integers(0, 3, 60)
    predicted = [fit_baseline("forest", windows[:40], labels[:40], seed)(windows[40:]).tolist() for seed in (0, 0, 1)]
    assert predicted[0] == predicted[1]
