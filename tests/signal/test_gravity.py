"""Gravity tells units apart, in training and for each window of the monitor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drsn_edge.signal.gravity import trained_gravity, units_by_gravity
from drsn_edge.signal.novelty import Novelty, novelty_from_bytes, novelty_to_bytes
from drsn_edge.signal.units import KNOWN_UNITS, gravity_in
from drsn_edge.signal.windows import Centred, centre

TRUE = Novelty(
    2, np.eye(6, dtype=np.float32), np.zeros((1, 6), np.float32), np.ones(1, np.float32), 0.1, 0.3, gravity=1.0
)
AS_G = replace(TRUE, quietest_rms=0.981, loudest_rms=2.94, gravity=9.8)
"""Trained on m/s2 under the name of g."""


def window(rms: float, gravity: float) -> Centred:
    rng = np.random.default_rng(1)
    noise: Any = rms * rng.normal(size=(1, 512, 3))
    return centre((noise + np.array([0.1, 0.2, 0.975]) * gravity).astype(np.float32))


@pytest.mark.parametrize(("length", "unit"), [(1.0, "g"), (1.04, "g"), (9.6, "m/s2"), (980.0, "mg"), (3.0, None)])
def test_the_units_by_the_length_of_gravity(length: float, unit: str | None) -> None:
    found = units_by_gravity(length)
    assert found[:1] == ((unit,) if unit else ())


@pytest.mark.parametrize("unit", KNOWN_UNITS)
def test_each_unit_is_among_those_of_its_own_gravity(unit: str) -> None:
    assert unit in units_by_gravity(gravity_in(unit))


def test_training_shows_gravity_only_if_nearly_all_windows_do() -> None:
    means = np.tile([0.0, 0.1, 1.0], (40, 1))
    assert trained_gravity(means, "g") == pytest.approx(1.005, abs=1e-3)
    assert trained_gravity(9.81 * means, "g") == pytest.approx(9.86, abs=1e-2)
    assert trained_gravity(means, "counts") is None and trained_gravity(0.01 * means, "g") is None
    assert trained_gravity(means * np.where(np.arange(40) < 10, 9.81, 1.0)[:, None], "g") is None


def test_a_level_and_gravity_of_another_unit_are_noticed() -> None:
    assert AS_G.have_other_unit(window(0.2, 1.0)) == [True]  # true g: a machine that runs, and seems to stand still
    assert TRUE.have_other_unit(window(1.96, 9.81)) == [True] and TRUE.have_other_unit(window(200.0, 1000.0)) == [True]
    assert TRUE.have_other_unit(window(0.2, 1.0)) == [False] and AS_G.have_other_unit(window(1.96, 9.81)) == [False]


def test_a_machine_that_stands_still_has_its_unit() -> None:
    assert TRUE.have_other_unit(window(0.001, 1.0)) == [False] and AS_G.have_other_unit(window(0.01, 9.81)) == [False]
    assert replace(TRUE, gravity=None).have_other_unit(window(1.96, 9.81)) == [False]
    assert TRUE.have_other_unit(window(0.001, 0.0)) == [False]  # a sensor without gravity


def test_gravity_is_kept_in_the_file() -> None:
    for gravity in (9.8, None):
        assert novelty_from_bytes(novelty_to_bytes(replace(TRUE, gravity=gravity)), 3).gravity == gravity
