"""A gateway transforms a window once, with the same result as training for many windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import input_of, network_input
from drsn_edge.signal.noise_alone import chances
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.spectra import Spectra, Transform, log_spectra
from drsn_edge.signal.windows import Scaling, centre, scaled

WINDOW = 1024
LINES = 32
SPECTRA = Spectra(("bands", "orders"), LINES, 8.0, (0.0,) * 4, (1.0,) * 4)


@pytest.fixture(params=["rms", "fixed"])
def contract(request: Any) -> SignalContract:
    scaling = Scaling(request.param, 0.3)
    return SignalContract(4000.0, ("x", "y"), "g", WINDOW, WINDOW // 2, scaling, spectra=SPECTRA)


@pytest.fixture
def windows() -> Any:
    rng, time_s = np.random.default_rng(0), np.arange(WINDOW) / 4000
    lines = np.sin(2 * np.pi * 83.0 * time_s)[None, :, None] * [1.0, 0.2]
    return (lines + rng.normal(size=(8, WINDOW, 2)) * 0.3 + [0.0, 1.0]).astype(np.float32)


@pytest.fixture
def transforms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return the shapes of all that is transformed by `np.fft.rfft` from now on."""
    seen, rfft = list[tuple[int, ...]](), np.fft.rfft

    def counted(values: Any, *arguments: Any, **named: Any) -> Any:
        seen.append(values.shape)
        return rfft(values, *arguments, **named)

    monkeypatch.setattr(np.fft, "rfft", counted)
    return seen


def test_a_window_is_transformed_once_for_network_noise_and_novelty(
    contract: SignalContract, windows: Any, transforms: list[tuple[int, ...]]
) -> None:
    novelty = Novelty(
        LINES, np.eye(2 * LINES, dtype=np.float32), np.zeros((1, 2 * LINES), np.float32), np.ones(1, np.float32), 0.0
    )
    window = centre(windows[:1])
    chances(window)
    input_of(window, contract, 25.0)
    novelty.of_centred(window)
    assert transforms == [(1, 2, WINDOW)]


def test_the_network_sees_the_views_of_the_scaled_window(contract: SignalContract, windows: Any) -> None:
    by_axis = scaled(centre(windows), contract.scaling).transpose(0, 2, 1)
    expected = log_spectra(Transform.of(by_axis), SPECTRA, contract.sample_rate_hz, np.full(len(windows), 25.0))
    found = network_input(windows, contract, 25.0)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)  # of 4 decades; a step of int8 is 0.03


@pytest.mark.parametrize("kind", ["rms", "fixed"])
def test_a_window_of_nothing_stays_nothing(contract: SignalContract, kind: str) -> None:
    silent = np.ones((1, WINDOW, 2), np.float32)
    scaling = replace(contract.scaling, kind=kind)
    assert not scaled(centre(silent), scaling).any()
    assert np.isfinite(network_input(silent, contract, 25.0)).all()


def test_the_means_that_are_taken_away_are_kept(windows: Any) -> None:
    window = centre(windows)
    np.testing.assert_allclose(window.means, windows.mean(axis=1, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(window.samples + window.means[:, None], windows, atol=1e-6)
