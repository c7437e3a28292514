from __future__ import annotations

import json

import numpy as np
import pytest

from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.evaluation.kept_promise import kept_by, kept_from_json, kept_to_json

CURVE = (RiskPoint(0.0, 0.2, 1.0, 1.0), RiskPoint(0.9, 0.04, 0.6, 0.8))
PROMISE = Promise(1.0, "another load", 3, 300, CURVE)
LOGITS = np.array([[9, 0], [9, 0], [0, 9], [1, 0], [9, 0]], np.float32)
LABELS = np.array([0, 1, 1, 0, 0])
UNKNOWN = np.array([False, False, False, False, True])


def test_windows_below_the_limit_and_unknown_ones_are_not_named() -> None:
    kept = kept_by(PROMISE, 0.05, LOGITS, LABELS, UNKNOWN)
    assert (kept.windows, kept.named, kept.wrong) == (5, 3, 1)
    assert kept.in_words == (
        "at most 5 % wrong: 60 % to 80 % of windows named; hold-out set: 60 % named, 33.3 % of them wrong"
    )


def test_a_share_that_cannot_be_promised_names_the_least_that_can() -> None:
    kept = kept_by(PROMISE, 0.02, LOGITS, LABELS, UNKNOWN)
    assert (kept.named, kept.wrong, kept.least_named) == (None, None, None)
    assert kept.in_words == "at most 2 % wrong: cannot be promised, at least 4 %"


def test_no_named_window_has_no_share_of_wrong_ones() -> None:
    kept = kept_by(PROMISE, 0.05, LOGITS, LABELS, np.full(5, True))
    assert kept.in_words.endswith("hold-out set: 0 % named")


@pytest.mark.parametrize("asked", [0.02, 0.05, 0.5])
def test_json_gives_outcomes_back(asked: float) -> None:
    kept = [kept_by(PROMISE, asked, LOGITS, LABELS, UNKNOWN)]
    assert kept_from_json(json.loads(json.dumps(kept_to_json(kept)))) == kept


@pytest.mark.parametrize("values", [None, {}, "x", [None], [{}], [{"named": 1}], [{"named": None, "windows": "x"}]])
def test_other_values_are_no_outcomes(values: object) -> None:
    assert kept_from_json(values) == []
