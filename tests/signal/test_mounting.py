"""Inverted and exchanged axes are found by the relation of the axes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.errors import BundleError
from drsn_edge.signal.mounting import (
    BANDS,
    LIMIT,
    Arrangement,
    Mounting,
    arranged,
    arrangements,
    can_tell,
    features,
    features_of,
)
from drsn_edge.signal.novelty import Novelty, novelty_from_bytes, novelty_to_bytes
from drsn_edge.signal.windows import centre

WINDOW = 512
WAYS = arrangements(3)
RIGHT, OTHERS = WAYS[0], WAYS[1:]


def machine(n: int, seed: int, gains: tuple[float, float, float] = (1.0, 0.6, 0.35)) -> NDArray[np.float32]:
    """Return windows of a machine whose impacts push all axes at once, with some noise on each axis."""
    rng = np.random.default_rng(seed)
    hits = (rng.random((n, WINDOW + 64)) < 0.03) * rng.normal(1, 0.3, (n, WINDOW + 64))
    ring = np.exp(-np.arange(64) / 12) * np.sin(0.9 * np.arange(64))
    rings = np.stack([np.convolve(each, ring)[64 : 64 + WINDOW] for each in hits])
    turn = np.exp(1j * (0.12 * np.arange(WINDOW) + rng.uniform(0, 6.28, (n, 1))))  # a heavy spot
    spot = np.stack([turn.real, turn.imag, 0 * turn.real], axis=2) * 0.2
    return (rings[..., None] * gains + spot + rng.normal(size=(n, WINDOW, 3)) * 0.02).astype(np.float32)


def as_seen(windows: NDArray[np.float32], way: Arrangement) -> NDArray[np.float32]:
    order, signs = way
    return (windows[..., list(order)] * np.array(signs, np.float32)).astype(np.float32)


@pytest.fixture(scope="module")
def mounting() -> Mounting:
    gains = ((1.0, 0.6, 0.35), (1.0, 0.8, 0.3), (0.9, 0.5, 0.4))
    return Mounting(np.stack([features(machine(50, seed, each)).mean(axis=0) for seed, each in enumerate(gains)]))


@pytest.mark.parametrize("way", WAYS)
def test_features_of_arranged_axes_are_the_arranged_features(way: Arrangement) -> None:
    windows = machine(3, 5)
    np.testing.assert_allclose(features(as_seen(windows, way)), arranged(features(windows), way), atol=1e-4)


def test_there_are_as_many_arrangements_as_can_be_told_apart() -> None:
    assert len(WAYS) == 24 and RIGHT == ((0, 1, 2), (1, 1, 1))
    assert arrangements(2) == [((0, 1), (1, 1)), ((0, 1), (1, -1)), ((1, 0), (1, 1)), ((1, 0), (1, -1))]
    assert len(arrangements(6)) == 1 + 6 + 15
    points = np.unique(np.stack([arranged(features(machine(1, 0)), way) for way in WAYS]).round(3), axis=0)
    assert len(points) == 24
    assert can_tell(1024, 2) and not can_tell(1024, 1) and not can_tell(128, 3)


def test_features_do_not_depend_on_the_unit_and_are_finite_for_axes_that_are_still() -> None:
    windows = machine(3, 5)
    for gain in (1e-6, 1e6):
        np.testing.assert_allclose(features(windows * np.float32(gain)), features(windows), atol=1e-3)
    windows[0, :, 2] = 0
    windows[1] = 0
    assert np.isfinite(features(windows)).all() and features(windows).shape == (3, BANDS, 9)


def test_axes_that_lie_as_in_training_are_not_turned_with_noise_or_without(mounting: Mounting) -> None:
    windows = machine(200, 9, (1.0, 0.7, 0.33))
    assert not mounting.is_turned(centre(windows)).any()
    noise = np.random.default_rng(1).normal(size=windows.shape) * windows.std()
    for level in (0.5, 1.0, 1.6, 100.0):
        assert not mounting.is_turned(centre((windows + level * noise).astype(np.float32))).any()


@pytest.mark.parametrize("way", OTHERS)
def test_every_other_arrangement_of_axes_is_told(mounting: Mounting, way: Arrangement) -> None:
    windows = as_seen(machine(100, 9, (1.0, 0.7, 0.33)), way)
    assert mounting.is_turned(centre(windows)).mean() > 0.95


def test_what_was_taught_on_site_counts_as_trained(mounting: Mounting) -> None:
    other = as_seen(machine(50, 3), ((1, 0, 2), (1, -1, 1)))
    taught = mounting.with_prototypes(features(other).mean(axis=0)[None])
    assert mounting.is_turned(centre(other)).all() and not taught.is_turned(centre(other)).any()


def test_one_window_is_judged_as_many_are(mounting: Mounting) -> None:
    windows = machine(5, 1)
    each = [features_of(centre(window[None]))[0] for window in windows]
    np.testing.assert_allclose(each, features(windows), atol=1e-5)
    ratios = [mounting.ratios(centre(window[None]))[0] for window in windows]
    np.testing.assert_allclose(ratios, mounting.ratios(centre(windows)), rtol=1e-3)


def novelty_with(mounting: Mounting | None) -> Novelty:
    return Novelty(
        2,
        np.eye(6, dtype=np.float32),
        np.zeros((1, 6), np.float32),
        np.ones(1, np.float32),
        0.1,
        1.0,
        mounting=mounting,
    )


def test_a_bundle_keeps_it_beside_what_is_known(mounting: Mounting) -> None:
    again = novelty_from_bytes(novelty_to_bytes(novelty_with(replace(mounting, limit=0.5))), 3).mounting
    assert again is not None and again.limit == 0.5
    np.testing.assert_array_equal(again.prototypes, mounting.prototypes)
    assert novelty_from_bytes(novelty_to_bytes(novelty_with(None)), 3).mounting is None
    assert novelty_with(None).are_turned(centre(machine(1, 0))).tolist() == [False]


@pytest.mark.parametrize(
    "changes",
    [
        {"mounting": np.zeros((0, BANDS, 9))},
        {"mounting": np.zeros((1, BANDS, 4))},
        {"mounting": np.zeros((1, BANDS + 1, 9))},
        {"mounting": np.float32(1)},
        {"mounting": np.full((1, BANDS, 9), np.nan)},
        {"mounting_limit": np.float64(np.nan)},
        {"mounting_limit": np.float64(2)},
        {"mounting_limit": np.zeros(3)},
        {"mounting_limit": None},
    ],
)
def test_what_cannot_be_a_mounting_is_no_bundle(mounting: Mounting, changes: dict[str, Any]) -> None:
    with np.load(io.BytesIO(novelty_to_bytes(novelty_with(mounting)))) as file:
        values = {**file, **changes}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in values.items() if value is not None})
    with pytest.raises(BundleError):
        novelty_from_bytes(buffer.getvalue(), 3)


def test_the_limit_of_a_bundle_that_knows_no_better_is_stated() -> None:
    assert Mounting(np.zeros((1, BANDS, 9), np.float32)).limit == LIMIT
