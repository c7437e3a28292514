from __future__ import annotations

import itertools

import pytest
from refusals import refused

from drsn_edge.errors import ContractError
from drsn_edge.signal.units import KNOWN_UNITS, STANDARD_GRAVITY_MPS2, canonical, conversion_factor


@pytest.mark.parametrize(
    ("from_unit", "to_unit", "factor"),
    [
        ("mg", "g", 0.001),
        ("g", "mg", 1000.0),
        ("g", "m/s2", 9.80665),
        ("m/s2", "g", 1 / 9.80665),
        ("mg", "m/s2", 0.00980665),
        ("mm/s2", "m/s2", 0.001),
        ("mm/s2", "g", 0.001 / 9.80665),
        ("ug", "mg", 0.001),
        ("g", "in/s2", 386.08858267716535),
        ("g", "ft/s2", 32.17404855643044),
        ("Gal", "m/s2", 0.01),
        ("mg", "Gal", 0.980665),
        ("um/s2", "ug", 0.10197162129779283),
    ],
)
def test_factors(from_unit: str, to_unit: str, factor: float) -> None:
    assert conversion_factor(from_unit, to_unit) == pytest.approx(factor, rel=1e-12)


def test_standard_gravity_is_exact() -> None:
    assert STANDARD_GRAVITY_MPS2 == 9.80665


@pytest.mark.parametrize(("a", "b"), list(itertools.product(KNOWN_UNITS, repeat=2)))
def test_there_and_back_is_one(a: str, b: str) -> None:
    assert conversion_factor(a, b) * conversion_factor(b, a) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("unit", [*KNOWN_UNITS, "counts", "V"])
def test_a_unit_is_itself(unit: str) -> None:
    assert conversion_factor(unit, unit) == 1.0


@pytest.mark.parametrize(("a", "b"), [("counts", "g"), ("g", "counts"), ("V", "counts"), ("G", "g"), ("mm/s", "m/s2")])
def test_other_units_never_convert(a: str, b: str) -> None:
    with refused(ContractError, "no_conversion", got=a, expected=b) as caught:
        conversion_factor(a, b)
    assert ", ".join(KNOWN_UNITS) in str(caught.value)


@pytest.mark.parametrize("spelling", ["m/s2", "mps2", "m/s^2", "m/s²", "m s⁻²", "m / s2", "m/s**2", "m·s-2", "m/s/s"])
def test_a_unit_may_be_spelled_as_people_do(spelling: str) -> None:
    assert canonical(spelling) == "m/s2" and conversion_factor(spelling, "g") == conversion_factor("m/s2", "g")


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [
        ("mm/s^2", "mm/s2"),
        ("mm/s²", "mm/s2"),
        ("MM/S2", "mm/s2"),
        ("[mm/s^2]", "mm/s2"),
        ("mmps2", "mm/s2"),
        ("µm/s²", "um/s2"),
        ("in/s^2", "in/s2"),
        ("inch/sec^2", "in/s2"),
        ("ft s-2", "ft/s2"),
        ("cm/s/s", "cm/s2"),
        ("m/(s^2)", "m/s2"),
        ("(g)", "g"),
        ("gn", "g"),
        ("µg", "ug"),
        ("gal", "Gal"),
    ],
)
def test_other_units_may_be_spelled_as_people_do(spelling: str, unit: str) -> None:
    assert canonical(spelling) == unit


@pytest.mark.parametrize("unit", ["mG", "mm/s2rms", "km/s2", "in/s", "ips", "m/s3", "()", "(G)", "deg/s2"])
def test_what_is_no_acceleration_or_may_be_something_else_stays(unit: str) -> None:
    assert canonical(unit) == unit


@pytest.mark.parametrize("unit", ["g", "mg", "G", "counts", "V", "mm/s", "m/s", "", "kg"])
def test_what_is_spelled_so_or_unknown_stays(unit: str) -> None:
    assert canonical(unit) == unit
