"""Units of acceleration and their conversion."""

from __future__ import annotations

import unicodedata

from drsn_edge.errors import ContractError

STANDARD_GRAVITY_MPS2 = 9.80665
"""Standard acceleration of free fall, m/s² (CODATA; exact by definition)."""

_UNIT_IN_G = {"g": 1.0, "mg": 1e-3, "m/s2": 1.0 / STANDARD_GRAVITY_MPS2, "mm/s2": 1e-3 / STANDARD_GRAVITY_MPS2}

_SPELLINGS = {
    **{unit: unit for unit in _UNIT_IN_G},
    **dict.fromkeys(("mps2", "m/s^2", "m/s**2", "m/s/s", "ms-2", "ms^-2", "m*s-2", "m*s^-2", "mpss"), "m/s2"),
    **dict.fromkeys(("mmps2", "mm/s^2", "mm/s**2", "mm/s/s"), "mm/s2"),
    **dict.fromkeys(("g0", "gn", "g_n"), "g"),
    **dict.fromkeys(("milli-g", "millig", "mgn"), "mg"),
}

KNOWN_UNITS = tuple(_UNIT_IN_G)
"""Units that convert into each other. Any other unit ("counts", "V") is never converted."""


def canonical(unit: str) -> str:
    """Return the standard spelling of a unit: `m/s2` for `mps2`, `m/s^2` and `m/s²`. An unknown unit is unchanged."""
    plain = unicodedata.normalize("NFKC", unit).replace("−", "-").replace("·", "*")
    return _SPELLINGS.get("".join(plain.split()), unit)


def expect_known(unit: str) -> str:
    """Return a unit of acceleration unchanged.

    Raises:
        ContractError: If the unit is unknown.
    """
    if canonical(unit) not in KNOWN_UNITS:
        words = f"{unit!r} is not a known unit of acceleration. Choose one of {', '.join(KNOWN_UNITS)} (or mps2)."
        raise ContractError(words, "unknown_unit", got=unit, known=KNOWN_UNITS)
    return unit


def gravity_in(unit: str) -> float:
    """Return the acceleration of free fall in one of `KNOWN_UNITS`."""
    return 1.0 / _UNIT_IN_G[unit]


def conversion_factor(from_unit: str, to_unit: str) -> float:
    """Return the factor that turns values in `from_unit` into values in `to_unit`.

    Raises:
        ContractError: If the units differ and either is not in `KNOWN_UNITS`.
    """
    from_unit, to_unit = canonical(from_unit), canonical(to_unit)
    if from_unit == to_unit:
        return 1.0
    if from_unit in _UNIT_IN_G and to_unit in _UNIT_IN_G:
        return _UNIT_IN_G[from_unit] / _UNIT_IN_G[to_unit]
    raise ContractError(
        f"Values must be in {to_unit!r}, got {from_unit!r}, and no conversion is known: only {', '.join(KNOWN_UNITS)} "
        "convert into each other. Use one of these units, or the same unit on both sides.",
        "no_conversion",
        got=from_unit,
        expected=to_unit,
    )
