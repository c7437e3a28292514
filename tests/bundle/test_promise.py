"""The promise of a bundle: its limits, what it refuses, and that a manifest gives it back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import manifest_from_bytes, manifest_to_bytes
from drsn_edge.bundle.promise import MOST_POINTS, Promise, RiskPoint
from drsn_edge.errors import BundleError

CURVE = (
    RiskPoint(0.0, 0.2, 1.0, 1.0),
    RiskPoint(0.5, 0.04, 0.9, 0.97),
    RiskPoint(0.6, 0.06, 0.8, 0.9),
    RiskPoint(0.7, 0.03, 0.7, 0.8),
    RiskPoint(0.9, 0.01, 0.4, 0.6),
)
PROMISE = Promise(1.5, "another rpm of these machines", 3, 900, CURVE)

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("at_most_wrong", "limit"),
    [(0.2, 0.0), (0.1, 0.5), (0.06, 0.5), (0.05, 0.7), (0.02, 0.9), (0.01, 0.9)],
)
def test_the_limit_is_the_lowest_from_which_on_the_share_holds(at_most_wrong: float, limit: float) -> None:
    point = PROMISE.limit_for(at_most_wrong)
    assert point is not None
    assert point.limit == limit


def test_a_share_that_no_limit_keeps_cannot_be_promised() -> None:
    assert PROMISE.least_wrong == 0.01
    assert PROMISE.limit_for(0.0099) is None


@given(st.lists(shares, min_size=1, max_size=20, unique=True), st.data())
def test_from_the_limit_on_every_point_keeps_the_share(limits: list[float], data: st.DataObject) -> None:
    curve = tuple(RiskPoint(limit, data.draw(shares), 0.1, 0.2) for limit in sorted(limits))
    asked = data.draw(shares)
    found = Promise(1.0, "another load", 3, 3, curve).limit_for(asked)
    if found is None:
        assert curve[-1].wrong > asked
        return
    assert all(point.wrong <= asked for point in curve if point.limit >= found.limit)
    assert not curve.index(found) or curve[curve.index(found) - 1].wrong > asked


def test_people_are_told_the_coverage_at_the_least_share_and_at_some_others() -> None:
    assert replace(PROMISE, curve=(*CURVE[:-1], RiskPoint(0.9, 0.01234, 0.4, 0.6))).in_words == [
        "on another rpm of these machines:",
        "at most 1.24 % wrong, 40 % to 60 % of windows named",
        "at most 2 % wrong, 40 % to 60 % of windows named",
        "at most 5 % wrong, 70 % to 80 % of windows named",
        "at most 10 % wrong, 90 % to 97 % of windows named",
        "by 3 folds of 900 windows; temperature 1.5",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.0),
        ("temperature", 101.0),
        ("temperature", math.nan),
        ("held_out", ""),
        ("held_out", "a\nb"),
        ("held_out", "x" * 201),
        ("folds", 0),
        ("windows", 2),
        ("curve", ()),
        ("curve", tuple(RiskPoint(n / 1000, 0.1, 0.1, 0.2) for n in range(MOST_POINTS + 1))),
        ("curve", (CURVE[1], CURVE[0])),
        ("curve", (CURVE[1], CURVE[1])),
        ("curve", (RiskPoint(1.1, 0.1, 0.1, 0.2),)),
        ("curve", (RiskPoint(0.5, -0.1, 0.1, 0.2),)),
        ("curve", (RiskPoint(0.5, 0.1, 0.3, 0.2),)),
        ("curve", (RiskPoint(0.5, math.nan, 0.1, 0.2),)),
    ],
)
def test_impossible_promises_are_refused(field: str, value: Any) -> None:
    changes = {field: value}
    with refused(BundleError, "invalid_field", field=field):
        replace(PROMISE, **changes)


def test_a_manifest_gives_its_promise_back(bundle: Bundle) -> None:
    manifest = replace(bundle.manifest, promise=PROMISE)
    assert manifest_from_bytes(manifest_to_bytes(manifest)).promise == PROMISE
    assert manifest.temperature == 1.5
    assert replace(manifest, promise=None).temperature == 1.0


def test_two_folds_promise_nothing() -> None:
    few = replace(PROMISE, folds=2)
    assert PROMISE.limit_for(0.5) is not None and few.limit_for(0.5) is None
    assert few.least_wrong == 1 and not few.is_made
    assert "nothing is promised, which takes at least 3 folds" in few.in_words
    assert not any("at most" in line for line in few.in_words)
