"""The promise of inner folds: its temperature, and the caution of its curve."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_folds import HELD_OUT, made_folds

from drsn_edge.bundle.promise import MOST_POINTS, RiskPoint
from drsn_edge.conversion.promise import WRONG_BESIDE, falling, promise_of, temperature_of, unpromised_field
from drsn_edge.runtime.classifier import softmax

FOLDS = made_folds()
FEW = st.lists(st.floats(0, 3), min_size=1, max_size=4)


def test_a_promise_names_its_folds() -> None:
    promise = promise_of(FOLDS)
    assert (promise.held_out, promise.folds, promise.windows) == (HELD_OUT, 3, len(FOLDS))
    assert promise_of(FOLDS.pick(FOLDS.fold > 0)).folds == 2


@given(factor=st.floats(0.05, 20))
def test_the_temperature_scales_with_the_logits(factor: float) -> None:
    scaled = replace(FOLDS, logits=FOLDS.logits * np.float32(factor))
    assert temperature_of(scaled) == pytest.approx(factor * temperature_of(FOLDS), rel=1e-2)


def test_the_temperature_fits_probabilities_to_the_share_that_is_right() -> None:
    folds = made_folds((1.0,), recordings=400)
    probabilities = softmax(folds.logits, temperature_of(folds)).max(axis=1)
    right = folds.logits.argmax(axis=1) == folds.labels
    assert probabilities.mean() == pytest.approx(right.mean(), abs=0.02)


def test_each_fold_and_class_has_the_same_weight_in_the_temperature() -> None:
    first = (FOLDS.fold == 0) & (FOLDS.labels == 0)
    more = FOLDS.pick(np.repeat(np.arange(len(FOLDS)), np.where(first, 20, 1)))
    assert temperature_of(more) == pytest.approx(temperature_of(FOLDS), rel=0.05)


def test_folds_without_an_error_leave_probabilities_below_one() -> None:
    folds = made_folds((0.0, 0.0, 0.0))
    promise = promise_of(folds)
    assert promise.temperature > 0.1 and softmax(folds.logits, promise.temperature).max() < 1
    assert [(point.limit, point.least_named, point.most_named) for point in promise.curve] == [(0.0, 1.0, 1.0)]
    assert promise.least_wrong == pytest.approx(WRONG_BESIDE / (3 * 3 * 8 + 1))


@given(spreads=FEW, seed=st.integers(0, 99), unknown=st.floats(0, 1))
def test_a_higher_limit_never_promises_more_wrong(spreads: list[float], seed: int, unknown: float) -> None:
    folds = made_folds(spreads, recordings=2, windows=3, seed=seed)
    novelty = np.where(np.random.default_rng(seed).random(len(folds)) < unknown, 1.5, 0.5).astype(np.float32)
    promise = promise_of(replace(folds, novelty=novelty))
    assert 1 <= len(promise.curve) <= MOST_POINTS
    for before, after in pairwise(promise.curve):
        assert before.limit < after.limit and before.wrong >= after.wrong
        assert before.least_named >= after.least_named and before.most_named >= after.most_named


@given(spreads=FEW, seed=st.integers(0, 99))
def test_the_promise_covers_the_worst_fold_as_recorded_and_in_noise(spreads: list[float], seed: int) -> None:
    folds = made_folds(spreads, recordings=2, windows=3, seed=seed)
    promise = promise_of(folds)
    for point in promise.curve:
        for logits in (folds.logits, folds.noisy_logits):
            named = softmax(logits, promise.temperature).max(axis=1) >= point.limit
            for fold in np.unique(folds.fold[named]):
                inside = named & (folds.fold == fold)
                wrong = np.mean(logits[inside].argmax(axis=1) != folds.labels[inside])
                assert min(1.0, wrong) <= point.wrong


@pytest.mark.parametrize(
    ("rule", "names", "field"),
    [
        ("rpm=600", ["rpm=1200", "rpm=1800"], None),
        ("load_lb=11", ["rpm=1200", "rpm=1800"], "load_lb"),
        ("fault_size_in=0.021,time=0.5", ["fault_size_in=0.007", "fault_size_in=0.014"], None),
        ("rpm=600", ["rpm part 1 of 5", "rpm part 2 of 5"], None),
        ("time=0.3", ["time part 1 of 3"], None),
        ("fold=1/3", ["group part 1 of 3"], None),
    ],
)
def test_a_field_that_only_the_hold_out_set_varies_is_promised_nothing(
    rule: str, names: list[str], field: str | None
) -> None:
    assert unpromised_field(replace(FOLDS, fold_names=np.array(names)), rule) == field


def test_one_bad_fold_among_good_ones_sets_the_promise() -> None:
    good, bad = promise_of(made_folds((0.3, 0.3, 0.3))), promise_of(made_folds((0.3, 0.3, 2.0)))
    assert bad.curve[0].wrong > good.curve[0].wrong + 0.3


def test_unknown_windows_are_not_named_and_windows_of_no_known_novelty_are() -> None:
    novelty = np.where(FOLDS.fold == 1, 2.0, np.nan).astype(np.float32)
    first = promise_of(replace(FOLDS, novelty=novelty)).curve[0]
    assert (first.limit, first.least_named, first.most_named) == (0.0, 0.0, 1.0)


def test_folds_of_unknown_windows_alone_promise_nothing_better_than_their_noise() -> None:
    promise = promise_of(replace(FOLDS, novelty=np.full(len(FOLDS), 2.0, np.float32)))
    assert [(point.limit, point.most_named) for point in promise.curve] == [(0.0, 0.0)]


def test_fewer_recordings_promise_less() -> None:
    one = replace(FOLDS, recordings=np.full(len(FOLDS), "the only one"))
    assert promise_of(one).least_wrong > promise_of(FOLDS).least_wrong
    assert promise_of(one).least_wrong >= WRONG_BESIDE / 4


def test_a_curve_ends_at_its_lowest_point_and_never_rises() -> None:
    points = [RiskPoint(limit, wrong, 0, 1) for limit, wrong in ((0, 0.2), (0.3, 0.1), (0.5, 0.15), (0.7, 0.05))]
    found = falling([*points, RiskPoint(0.9, 0.5, 0, 0)])
    assert [(point.limit, point.wrong) for point in found] == [(0, 0.2), (0.3, 0.15), (0.5, 0.15), (0.7, 0.05)]
