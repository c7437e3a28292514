from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_folds import folds_archive, made_folds
from refusals import refused

from drsn_edge.support.invalid import InvalidValueError
from drsn_edge.training.inner_folds import folded_from_bytes


def test_a_file_gives_its_arrays_back() -> None:
    found, made = folded_from_bytes(folds_archive(), n_classes=2), made_folds(n_classes=2)
    for name, array in vars(made).items():
        np.testing.assert_array_equal(getattr(found, name), array)
    assert len(found) == len(made.labels)


def test_picked_windows_keep_the_names_of_their_folds() -> None:
    made = made_folds()
    picked = made.pick(made.fold == 1)
    assert set(picked.fold) == {1} and list(picked.fold_names) == list(made.fold_names)
    np.testing.assert_array_equal(picked.logits, made.logits[made.fold == 1])


def empty() -> dict[str, Any]:
    made = made_folds(n_classes=2)
    rows = np.full(len(made), False)
    return vars(made.pick(rows))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"noisy_logits": None}, "missing_array"),
        ({"recordings": None}, "missing_array"),
        ({"labels": np.zeros(3, np.int64)}, "wrong_shapes"),
        ({"noisy_logits": np.zeros((3, 2), np.float32)}, "wrong_shapes"),
        ({"labels": np.zeros((3, 2), np.int64)}, "wrong_ndim"),
        (empty(), "wrong_shapes"),
        ({"labels": np.full(240, 2)}, "out_of_range"),
        ({"fold": np.full(240, -1)}, "out_of_range"),
        ({"fold": np.full(240, 3)}, "out_of_range"),
        ({"logits": np.full((240, 2), np.nan, np.float32)}, "not_finite"),
        ({"logits": np.full((240, 2), "x")}, "no_numbers"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(changes: dict[str, Any], problem: str) -> None:
    with refused(InvalidValueError, problem):
        folded_from_bytes(folds_archive(**changes))


def test_another_number_of_classes_is_refused() -> None:
    with refused(InvalidValueError, "other_classes", got=2, expected=3):
        folded_from_bytes(folds_archive(), n_classes=3)
