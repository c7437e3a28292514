"""What a bundle names changes by: limits of the speed at hand, and a file that holds nothing impossible."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.errors import BundleError
from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.signal.naming import NAMES, Level, Look, look
from drsn_edge.signal.resemblance import Naming, learn_naming, naming_from_bytes, naming_to_bytes, stretch_samples
from drsn_edge.signal.shaft_lines import ORDERS
from drsn_edge.support.arrays import archive_of, read_arrays

RATE_HZ, SHAFT_HZ = 12000.0, 29.5


def seen(level_db: float, power: float = 1.0) -> Look:
    return Look(dict.fromkeys(NAMES, Level(level_db, 1.0)), power, 0.0, np.full(len(ORDERS), power / 10))


@pytest.fixture
def naming() -> Naming:
    return learn_naming({20.0: [seen(9.0), seen(12.0)], 20.1: [seen(15.0)], 30.0: [seen(9.0, 4.0)]}, SKF_6205, 1)


def test_speeds_within_a_percent_are_one(naming: Naming) -> None:
    assert naming.shafts_hz == (pytest.approx(20.05), 30.0)
    assert [each.limits_db["ball"] for each in naming.usual] == [15.0, 9.0]


def test_a_learned_speed_has_its_own_limits_and_another_one_the_most_of_all(naming: Naming) -> None:
    assert naming.usual_at(20.5).limits_db["ball"] == 15.0 and naming.usual_at(20.5).power == 1.0
    assert naming.usual_at(29.5).limits_db["ball"] == 9.0 and naming.usual_at(29.5).power == 4.0
    between = naming.usual_at(25.0)
    assert (between.limits_db["ball"], between.power) == (15.0, 4.0)
    np.testing.assert_allclose(between.shaft_powers, 0.4)


def struck(order: float) -> NDArray[np.float32]:
    """Return a second of impacts that ring at 3100 Hz, in noise."""
    rng = np.random.default_rng(0)
    impacts = np.zeros(12000)
    impacts[(np.arange(1, 11000 / RATE_HZ * SHAFT_HZ * order) / order * RATE_HZ / SHAFT_HZ).astype(int)] = 1
    t = np.arange(200) / RATE_HZ
    ringing = np.convolve(impacts, np.exp(-600 * t) * np.sin(2 * np.pi * 3100 * t))[:12000]
    return (ringing[:, None] / ringing.std() + rng.standard_normal((12000, 1))).astype(np.float32)


def test_a_stretch_gets_a_label_or_none() -> None:
    calm = np.random.default_rng(1).standard_normal((12000, 1)).astype(np.float32)
    naming = learn_naming({SHAFT_HZ: [look(calm, RATE_HZ, SHAFT_HZ, SKF_6205)]}, SKF_6205, 1)
    assert naming.label_of(struck(SKF_6205.bpfo), RATE_HZ, SHAFT_HZ) == "like outer_race"
    assert naming.label_of(struck(SKF_6205.bpfo * 1.2), RATE_HZ, SHAFT_HZ) == "not located"
    assert naming.label_of(calm, RATE_HZ, SHAFT_HZ) == "not located"


@pytest.mark.parametrize(
    ("rate_hz", "shaft_hz", "samples"), [(12000.0, 29.5, 12000), (12000.0, 5.0, 24024), (500.0, 25.0, 1024)]
)
def test_a_name_needs_a_second_ten_turns_and_1024_samples(rate_hz: float, shaft_hz: float, samples: int) -> None:
    n = stretch_samples(rate_hz, shaft_hz)
    assert n == samples
    look(np.random.default_rng(0).standard_normal((n, 1)).astype(np.float32), rate_hz, shaft_hz, SKF_6205)


def test_it_comes_back_as_it_was_written(naming: Naming) -> None:
    data = naming_to_bytes(naming)
    back = naming_from_bytes(data)
    assert (back.bearing, back.shafts_hz) == (naming.bearing, naming.shafts_hz)
    assert naming_to_bytes(back) == data == naming_to_bytes(replace(naming))
    assert back.usual_at(25.0).limits_db == naming.usual_at(25.0).limits_db


@pytest.mark.parametrize(
    "changes",
    [
        {"powers": np.array([1.0])},
        {"powers": np.array([1.0, math.nan])},
        {"limits_db": np.array([[1.0] * len(NAMES)] * 3)},
        {"shafts_hz": np.array([30.0, 20.0])},
        {"shafts_hz": np.array([0.0, 20.0])},
        {"shaft_powers": np.full((2, len(ORDERS)), -1.0)},
        {"bearing": np.array([9.0, 50.0, 39.0, 0.0])},
        {"bearing": np.array([9.0, 7.9])},
        {"bearing": None},
    ],
)
def test_impossible_values_are_refused(naming: Naming, changes: dict[str, Any]) -> None:
    arrays = {**read_arrays(naming_to_bytes(naming), 1 << 20), **changes}
    data = archive_of(**{name: values for name, values in arrays.items() if values is not None})
    with refused(BundleError, "damaged_naming", member="naming.npz"):
        naming_from_bytes(data)


def test_bytes_that_are_no_archive_are_refused() -> None:
    with refused(BundleError, "damaged_naming"):
        naming_from_bytes(b"PK\3\4 not really")
