"""Promises of folds on the fold that was left out."""

from __future__ import annotations

import pytest
from made_folds import made_folds
from promise_folds import outcomes, summary


def test_a_fold_like_the_others_keeps_their_promise() -> None:
    found = list(outcomes(made_folds((0.5, 0.5, 0.5, 0.5), recordings=20), (0.05,)))
    assert [each.fold for each in found] == ["rpm=600", "rpm=1200", "rpm=1800", "rpm=2400"]
    assert all(each.is_kept and each.named > 0.5 for each in found)
    assert summary(found, 0.05).startswith("5%: 4 folds, promised 4, kept 4;")


def test_a_fold_unlike_the_others_breaks_it() -> None:
    *_, last = outcomes(made_folds((0.3, 0.3, 0.3, 3.0), recordings=20), (0.05,))
    assert not last.is_kept and last.wrong is not None and last.wrong > 0.05


def test_what_cannot_be_promised_is_counted_apart() -> None:
    found = list(outcomes(made_folds((0.5, 0.5, 0.5, 0.5), recordings=2), (0.01,)))
    assert [(each.wrong, each.named) for each in found] == [(None, pytest.approx(0))] * 4
    assert summary(found, 0.01).startswith("1%: 4 folds, promised 0, kept 0;")


def test_two_folds_that_remain_promise_nothing() -> None:
    found = list(outcomes(made_folds((0.5, 0.5, 0.5), recordings=20), (0.05,)))
    assert [each.wrong for each in found] == [None] * 3
