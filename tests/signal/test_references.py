from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.errors import LearningError
from drsn_edge.signal import references
from drsn_edge.signal.novelty import LINES, Novelty, in_limits, novelty_from_bytes, novelty_to_bytes, products
from drsn_edge.signal.references import (
    LEAST_WINDOWS,
    Heard,
    further_references,
    hear,
    joined,
    learn_references,
    operating_points,
    shrunk_scatter,
)
from drsn_edge.signal.windows import centre

WINDOW, AXES, EACH = 1024, 2, 60


def machine(poles: tuple[float, ...], n: int = EACH, seed: int = 0) -> NDArray[np.float32]:
    """Return windows of noise whose spectrum falls the more the larger the pole, n for each pole."""
    noise = np.random.default_rng(seed).normal(size=(n * len(poles), WINDOW, AXES))
    pole = np.repeat(poles, n)[:, None]
    for at in range(1, WINDOW):
        noise[:, at] += pole * noise[:, at - 1]
    return noise.astype(np.float32)


def stretches(n_points: int, n: int = EACH) -> NDArray[np.intp]:
    return np.repeat(np.arange(n_points), n)


LOADS = (0.2, 0.45, 0.65)
HEARD = hear(machine(LOADS), stretches(3))
KNOWN = learn_references(HEARD, 0.01)


def drawn(rng: np.random.Generator, points: int, n: int = 80, spread: float = 0.3) -> tuple[Heard, NDArray[np.float32]]:
    """Return windows of operating points drawn at random, and windows of one more: features alone, one axis."""
    means = spread * rng.normal(size=(points + 1, 1, LINES))
    logs = (means + 0.1 * rng.normal(size=(points + 1, n, LINES))).astype(np.float32)
    return of_features(logs[:-1].reshape(-1, LINES), stretches(points, n)), logs[-1]


def of_features(logs: NDArray[np.float32], numbers: NDArray[np.intp]) -> Heard:
    n = len(logs)
    nothing = np.empty((n, 0, 1), np.float32)
    return Heard(LINES, logs, np.ones(n), numbers, np.full(n, np.nan), np.zeros((n, 1)), nothing)


def multiples(novelty: Novelty, logs: NDArray[np.float32]) -> NDArray[np.float32]:
    return in_limits(products(logs, novelty.whitening), novelty.prototypes, novelty.limits)


def test_a_load_is_an_operating_point_with_a_reference_of_its_own() -> None:
    points = operating_points(HEARD)
    assert all(len(set(points[HEARD.stretches == load])) == 1 for load in range(3)) and len(set(points)) == 3
    assert KNOWN.prototypes.shape == (3, LINES * AXES) and KNOWN.limits.shape == (3,)
    for point in range(3):
        own = HEARD.features[points == point].mean(axis=0) @ KNOWN.whitening
        np.testing.assert_allclose(KNOWN.prototypes[point], own, rtol=1e-3, atol=1e-2)


def test_a_load_that_was_never_learned_is_known_and_a_fault_is_not() -> None:
    assert (KNOWN.novelty(machine((0.55,), seed=1)) < 1).all() and (KNOWN.novelty(machine(LOADS, seed=2)) < 1).all()
    fault = machine((0.4,), seed=3)
    fault += 5 * np.sin(2.4 * np.arange(WINDOW, dtype=np.float32))[:, None]
    assert (KNOWN.novelty(fault) > 1).all()


@pytest.mark.parametrize("asked", [0.01, 0.05])
@pytest.mark.parametrize("points", [2, 3, 6])
def test_windows_at_an_operating_point_never_learned_are_unknown_no_more_often_than_asked(
    asked: float, points: int
) -> None:
    rng = np.random.default_rng(points)
    shares = []
    for _ in range(60):
        heard, new = drawn(rng, points)
        shares.append(np.mean(multiples(learn_references(heard, asked), new) > 1))
    assert np.mean(shares) <= asked + 3 * np.std(shares) / np.sqrt(60) + 1e-9
    assert np.mean(shares) < 2 * asked


def test_with_one_operating_point_so_many_later_windows_are_unknown_as_asked_and_any_other_point_is() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(20):
        logs = 0.1 * rng.normal(size=(500, LINES)).astype(np.float32)
        known = learn_references(of_features(logs[:300], stretches(1, 300)), 0.05)
        shares.append(np.mean(multiples(known, logs[300:]) > 1))
        assert (multiples(known, logs[300:] + np.float32(0.4)) > 1).all()
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)


def test_without_an_allowance_only_what_was_learned_is_known() -> None:
    strict = learn_references(HEARD, 0.01, new_points=False)
    np.testing.assert_array_equal(strict.prototypes, KNOWN.prototypes)
    assert (strict.limits < KNOWN.limits).all()
    assert np.mean(strict.novelty(machine(LOADS, seed=2)) > 1) < 0.1
    assert (strict.novelty(machine((0.9,), seed=1)) > 1).all()


def test_an_operating_point_with_more_scatter_has_a_wider_limit() -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(2, 200, LINES)) * np.array([0.05, 0.1])[:, None, None] + np.array([0, 0.3])[:, None, None]
    heard = of_features(logs.reshape(-1, LINES).astype(np.float32), stretches(2, 200))
    known = learn_references(heard, 0.01)
    steady, loose = (operating_points(heard)[at] for at in (0, -1))
    assert known.limits[loose] > known.limits[steady]


@given(order=st.permutations(range(3)), names=st.lists(st.integers(0, 99), min_size=3, max_size=3, unique=True))
@settings(max_examples=20, deadline=None)
def test_the_order_and_the_numbers_of_the_stretches_make_no_difference(order: list[int], names: list[int]) -> None:
    at = np.concatenate([np.flatnonzero(HEARD.stretches == load) for load in order])
    kept = {name: value[at] for name, value in vars(HEARD).items() if name != "lines"}
    moved = replace(HEARD, **{**kept, "stretches": np.array(names)[HEARD.stretches[at]]})
    assert novelty_to_bytes(learn_references(moved, 0.01)) == novelty_to_bytes(KNOWN)


@given(exponent=st.integers(-20, 20))
@settings(max_examples=20, deadline=None)
def test_another_unit_makes_no_difference_but_to_levels(exponent: int) -> None:
    gain = 2.0**exponent
    other = learn_references(hear(machine(LOADS) * np.float32(gain), stretches(3)), 0.01)
    for name in ("whitening", "prototypes", "limits"):
        np.testing.assert_allclose(getattr(other, name), getattr(KNOWN, name), rtol=1e-4, atol=1e-4)
    assert other.levels is not None and KNOWN.levels is not None
    for name in ("levels", "quietest_rms", "loudest_rms"):
        np.testing.assert_allclose(getattr(other, name), gain * np.asarray(getattr(KNOWN, name)), rtol=1e-6)


def test_windows_heard_in_pieces_are_the_same_as_windows_heard_at_once() -> None:
    windows, numbers = machine(LOADS), stretches(3)
    cuts = [slice(0, 1), slice(1, 77), slice(77, None)]
    together = joined([hear(windows[at], numbers[at]) for at in cuts])
    assert novelty_to_bytes(learn_references(together, 0.01)) == novelty_to_bytes(KNOWN)


def test_the_same_spectrum_at_another_speed_or_level_is_another_operating_point() -> None:
    windows, numbers = machine((0.4, 0.4)), stretches(2)
    assert len(set(operating_points(hear(windows, numbers)))) == 1
    assert len(set(operating_points(hear(windows, numbers, np.repeat([20.0, 25.0], EACH))))) == 2
    assert len(set(operating_points(hear(windows * np.repeat([1, 2], EACH)[:, None, None], numbers)))) == 2


def test_more_operating_points_than_may_be_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_REFERENCES", 2)
    assert len(learn_references(HEARD, 0.01).prototypes) == 2


def test_a_level_belongs_to_each_reference_and_is_read_back() -> None:
    points, again = operating_points(HEARD), novelty_from_bytes(novelty_to_bytes(KNOWN), AXES)
    assert KNOWN.levels is not None and again.levels is not None
    for point in range(3):
        assert KNOWN.levels[point] == pytest.approx(HEARD.levels[points == point].mean(), rel=0.02)
    np.testing.assert_array_equal(again.levels, KNOWN.levels)
    np.testing.assert_array_equal(again.limits, KNOWN.limits)


def test_a_band_without_scatter_leaves_everything_finite() -> None:
    rng = np.random.default_rng(0)
    logs = 0.1 * rng.normal(size=(100, LINES)).astype(np.float32)
    logs[:, -3:] = -5
    known = learn_references(of_features(logs, stretches(1, 100)), 0.01)
    assert np.isfinite(known.whitening).all() and np.isfinite(known.limits).all()
    same = learn_references(of_features(np.full((60, LINES), -1, np.float32), stretches(1)), 0.01)
    assert np.isfinite(same.limits).all() and (same.limits > 0).all()


def test_a_stretch_of_one_window_is_an_operating_point_too() -> None:
    heard = joined([HEARD, hear(machine((0.9,), n=1), np.array([7]))])
    assert len(learn_references(heard, 0.01).prototypes) == 4


def test_further_references_are_known_besides_and_in_their_own_limits() -> None:
    strict, site = learn_references(HEARD, 0.01, new_points=False), machine((0.85,), seed=5)
    assert (strict.novelty(site) > 1).all()
    more = further_references(hear(site, stretches(1)), strict, 0.01)
    both = strict.with_references(more)
    assert len(more.prototypes) == 1 and len(both.prototypes) == len(both.limits) == 4
    assert both.levels is not None and both.levels.shape == (4,) and both.offset is not None
    assert np.mean(both.novelty(machine((0.85,), seed=6)) > 1) < 0.1
    later = machine(LOADS, seed=2)
    np.testing.assert_array_equal(both.novelty(later) > 1, strict.novelty(later) > 1)
    assert (both.novelty(machine((0.95,), seed=7)) > 1).all()
    assert both.loudest_rms == max(strict.loudest_rms, more.loudest_rms)
    with refused(LearningError, "too_few_windows", got=20, limit=LEAST_WINDOWS):
        further_references(hear(site[:20], stretches(1, 20)), strict, 0.01)


def test_it_learns_which_way_the_sensor_lies_and_gravity() -> None:
    rng = np.random.default_rng(0)
    pushed = rng.normal(size=(2 * EACH, WINDOW, 1)) * (1.0, 0.6) + rng.normal(size=(2 * EACH, WINDOW, 2)) * 0.05
    windows = (pushed + np.array([0, 9.81])).astype(np.float32)
    known = learn_references(hear(windows[:EACH], stretches(1)), 0.01, unit="m/s2")
    assert known.mounting is not None and known.gravity == pytest.approx(9.81, abs=0.01)
    later = windows[EACH:]
    assert not known.are_turned(centre(later)).any() and known.are_turned(centre(later * np.array([1, -1]))).all()
    assert learn_references(hear(windows, stretches(2)), 0.01).gravity is None
    assert learn_references(hear(windows[..., :1], stretches(2)), 0.01).mounting is None
    again = novelty_from_bytes(novelty_to_bytes(known), AXES)
    assert again.mounting is not None and again.mounting.limit == known.mounting.limit


def test_the_scatter_is_that_of_ledoit_and_wolf() -> None:
    covariance = pytest.importorskip("sklearn.covariance", reason="the reference is scikit-learn's")
    values = np.random.default_rng(0).normal(size=(40, 8)) @ np.random.default_rng(1).normal(size=(8, 8))
    expected = covariance.LedoitWolf(assume_centered=True).fit(values).covariance_
    np.testing.assert_allclose(shrunk_scatter(values), expected, rtol=1e-9)
    np.testing.assert_array_equal(shrunk_scatter(np.zeros((5, 3))), np.zeros((3, 3)))


@pytest.mark.parametrize("share", [0.0, -0.1, 0.6, np.nan])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with refused(LearningError, "out_of_range", setting="false_unknown_share", got=share):
        learn_references(HEARD, share)


def test_too_few_windows_are_refused() -> None:
    with refused(LearningError, "too_few_windows", got=LEAST_WINDOWS - 1, limit=LEAST_WINDOWS):
        learn_references(hear(machine((0.4,), n=LEAST_WINDOWS - 1), stretches(1, LEAST_WINDOWS - 1)), 0.01)


def test_windows_without_vibration_are_refused() -> None:
    windows = machine((0.4,))
    windows[3] = 1.0
    windows[5, 0] = np.nan
    with refused(LearningError, "no_vibration", got=2, windows=EACH):
        learn_references(hear(windows[..., :1], stretches(1)), 0.01)


def test_a_stream_in_too_many_pieces_is_refused() -> None:
    n = references.MOST_STRETCHES + 1
    with refused(LearningError, "too_many_stretches", got=n, limit=n - 1):
        learn_references(of_features(np.ones((n, LINES), np.float32), np.arange(n)), 0.01)
