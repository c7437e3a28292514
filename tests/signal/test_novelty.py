from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.errors import BundleError
from drsn_edge.signal.novelty import MEMBER, Novelty, References, features, levels, novelty_from_bytes, novelty_to_bytes

LINES, AXES = 8, 2


def windows(n: int, gain: float = 1.0, seed: int = 0, slope: float = 0.0) -> NDArray[np.float32]:
    """White noise, or with a slope noise whose spectrum falls."""
    noise = np.random.default_rng(seed).normal(size=(n, 64, AXES))
    for at in range(1, 64):
        noise[:, at] += slope * noise[:, at - 1]
    return (gain * noise).astype(np.float32)


@pytest.fixture
def novelty() -> Novelty:
    logs = features(windows(400), LINES)
    centre = logs.mean(axis=0)
    whitening = np.linalg.cholesky(np.linalg.inv(np.cov(logs.T))).astype(np.float32)
    far = centre @ whitening + 100
    return Novelty(
        LINES, whitening, np.stack([far, centre @ whitening]).astype(np.float32), np.full(2, 6, np.float32), 0.9
    )


def test_the_distance_is_that_of_mahalanobis_to_the_nearest(novelty: Novelty) -> None:
    logs = features(windows(400), LINES).astype(np.float64)
    precision, centre = np.linalg.inv(np.cov(logs.T)), logs.mean(axis=0)
    new = features(windows(30, seed=1, slope=0.3), LINES) - centre
    expected = np.sqrt(np.einsum("ij,jk,ik->i", new, precision, new))
    np.testing.assert_allclose(novelty.distances(windows(30, seed=1, slope=0.3)), expected, rtol=1e-3)
    np.testing.assert_allclose(novelty.novelty(windows(30, seed=1, slope=0.3)), expected / 6, rtol=1e-3)


def test_another_spectrum_is_further_off_than_another_draw(novelty: Novelty) -> None:
    assert novelty.novelty(windows(50, seed=2)).max() < 1 < novelty.novelty(windows(50, seed=2, slope=0.9)).min()


@pytest.mark.parametrize("gain", [1e-3, 1e3])
def test_gain_and_offset_make_no_difference(novelty: Novelty, gain: float) -> None:
    np.testing.assert_allclose(
        novelty.distances(windows(9, gain) + np.float32(5 * gain)), novelty.distances(windows(9)), rtol=1e-3, atol=1e-2
    )


def test_a_machine_runs_at_the_level_of_training_and_not_far_below_it(novelty: Novelty) -> None:
    assert levels(windows(2000)).mean() == pytest.approx(1.0, abs=0.01)
    assert all(novelty.is_running(level) for level in levels(windows(5, 0.3)))
    assert not any(novelty.is_running(level) for level in levels(windows(5, 0.1)))
    assert not novelty.is_running(levels(np.ones((1, 64, AXES), np.float32))[0])


def test_odd_and_silent_windows_have_a_distance(novelty: Novelty) -> None:
    assert np.isfinite(novelty.distances(windows(3)[:, :63])).all()
    assert np.isfinite(novelty.distances(np.zeros((1, 64, AXES), np.float32))).all()


def test_what_is_far_louder_than_anything_trained_is_new_whatever_its_spectrum(novelty: Novelty) -> None:
    known = windows(20)
    novelty = replace(
        novelty, limits=np.full(2, 2 * novelty.distances(known).max()), loudest_rms=float(levels(known).max())
    )
    assert (novelty.novelty(known) < 1).all() and (novelty.novelty(3.9 * known) < 1).all()
    as_mps2 = novelty.novelty(9.80665 * known)  # from a sensor that says g
    assert (as_mps2 > 1).all()
    np.testing.assert_allclose(as_mps2, levels(9.80665 * known) / novelty.too_loud_rms, rtol=1e-5)
    more = References(novelty.prototypes, novelty.limits, np.ones(2), 0.0, 10 * novelty.loudest_rms)
    on_site = novelty.with_references(more)
    assert (on_site.novelty(9.80665 * known) < 1).all()


def test_one_that_lacks_an_array_is_refused(novelty: Novelty) -> None:
    with np.load(io.BytesIO(novelty_to_bytes(novelty))) as file:
        values = {name: file[name] for name in file}
    for missing in values:
        buffer = io.BytesIO()
        np.savez(buffer, **{name: value for name, value in values.items() if name != missing})
        with refused(BundleError, "missing_array", member=MEMBER, array=missing):
            novelty_from_bytes(buffer.getvalue(), AXES)


def test_it_is_read_back_as_it_was_written(novelty: Novelty) -> None:
    data = novelty_to_bytes(novelty)
    assert data == novelty_to_bytes(novelty)
    again = novelty_from_bytes(data, AXES)
    for name, value in vars(novelty).items():
        np.testing.assert_array_equal(getattr(again, name), value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limits": np.zeros(2, np.float32)},
        {"limits": np.ones(3, np.float32)},
        {"levels": np.ones(3)},
        {"levels": np.zeros(2)},
        {"lines": 4},
        {"prototypes": np.zeros((0, LINES * AXES), np.float32)},
        {"prototypes": np.full((1, LINES * AXES), np.nan, np.float32)},
        {"whitening": np.zeros((3, 3), np.float32)},
        {"quietest_rms": -1.0},
        {"loudest_rms": 0.0},
        {"loudest_rms": np.nan},
    ],
)
def test_values_that_cannot_be_are_refused(novelty: Novelty, wrong: dict[str, Any]) -> None:
    with refused(BundleError, "wrong_novelty", member=MEMBER, axes=AXES):
        novelty_from_bytes(novelty_to_bytes(replace(novelty, **wrong)), AXES)


def test_damaged_bytes_are_refused(novelty: Novelty) -> None:
    data = novelty_to_bytes(novelty)
    for wrong in (b"", b"rubbish", data[:100], data[: len(data) // 2], b"PK\x03\x04" + bytes(50)):
        with pytest.raises(BundleError) as caught:
            novelty_from_bytes(wrong, AXES)
        assert caught.value.facts["member"] == MEMBER and str(caught.value).startswith(MEMBER)
    with refused(BundleError, "wrong_novelty", member=MEMBER, axes=3):
        novelty_from_bytes(data, 3)


@pytest.mark.parametrize("kind", ["complex64", "U32", "bool", "S32", "datetime64[s]"])
def test_arrays_of_anything_but_plain_numbers_are_refused(novelty: Novelty, kind: str) -> None:
    with np.load(io.BytesIO(novelty_to_bytes(novelty))) as file:
        values = {name: file[name] for name in file}
    for name in ("whitening", "prototypes", "limits"):
        buffer = io.BytesIO()
        other = values[name].astype(np.int64) if "date" in kind else values[name]
        np.savez(buffer, **{**values, name: other.astype(kind)})
        with refused(BundleError, "no_numbers", member=MEMBER, array=name):
            novelty_from_bytes(buffer.getvalue(), AXES)
