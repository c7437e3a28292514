"""Units of acceleration and their conversion."""

from __future__ import annotations

import re
import unicodedata

from drsn_edge.errors import ContractError

STANDARD_GRAVITY_MPS2 = 9.80665
"""Standard acceleration of free fall, m/s² (CODATA; exact by definition)."""

_UNIT_IN_G = {"g": 1.0, "mg": 1e-3, "m/s2": 1.0 / STANDARD_GRAVITY_MPS2, "ug": 1e-6}
_UNIT_IN_MPS2 = {
    "m/s2": 1.0,
    "mm/s2": 1e-3,
    "cm/s2": 1e-2,
    "um/s2": 1e-6,
    "in/s2": 0.0254,
    "ft/s2": 0.3048,
    "Gal": 1e-2,
    "mGal": 1e-5,
}
"""Inch and foot are exact by the agreement of 1959; a gal is a centimetre per second squared."""

_SPELLINGS = {
    **{unit: unit for unit in (*_UNIT_IN_G, *_UNIT_IN_MPS2)},
    **dict.fromkeys(("g0", "gn", "g_n", "g-force", "gforce"), "g"),
    **dict.fromkeys(("milli-g", "millig", "mgn"), "mg"),
    **dict.fromkeys(("micro-g", "microg", "ugn", "\N{GREEK SMALL LETTER MU}g"), "ug"),
    "gal": "Gal",
    "mgal": "mGal",
}
"""Case counts: G is also gauss, and mG is milligauss."""

_LENGTHS = {
    "m": "m",
    "mm": "mm",
    "cm": "cm",
    "um": "um",
    "\N{GREEK SMALL LETTER MU}m": "um",
    "in": "in",
    "inch": "in",
    "ft": "ft",
}
_PER_SECOND_SQUARED = re.compile(
    r"([a-z\N{GREEK SMALL LETTER MU}]{1,4}?)"
    r"(?:/s(?:ec)?(?:\^|\*\*)?2|/\(s(?:ec)?(?:\^|\*\*)?2\)|/s/s|/sec/sec|\*?s(?:\^|\*\*)?\(?-2\)?|ps2|pss)"
)
_BRACKETS = {"(": ")", "[": "]"}

KNOWN_UNITS = tuple(dict.fromkeys((*_UNIT_IN_G, *_UNIT_IN_MPS2)))
"""Units that convert into each other. Any other unit ("counts", "V", "mm/s") is never converted."""


def canonical(unit: str) -> str:
    """Return the standard spelling of a unit: `m/s2` for `mps2`, `m/s^2` and `m/s²`. An unknown unit is unchanged."""
    plain = unicodedata.normalize("NFKC", unit).replace("\N{MINUS SIGN}", "-")
    plain = "".join(plain.replace("\N{MIDDLE DOT}", "*").replace("\N{DOT OPERATOR}", "*").split())
    if len(plain) > 2 and _BRACKETS.get(plain[0]) == plain[-1]:
        plain = plain[1:-1]
    length = _PER_SECOND_SQUARED.fullmatch(plain.casefold())
    if length is not None and length[1] in _LENGTHS:
        return f"{_LENGTHS[length[1]]}/s2"
    return _SPELLINGS.get(plain, unit)


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
    return conversion_factor("g", unit)


def conversion_factor(from_unit: str, to_unit: str) -> float:
    """Return the factor that turns values in `from_unit` into values in `to_unit`.

    Raises:
        ContractError: If the units differ and either is not in `KNOWN_UNITS`.
    """
    from_unit, to_unit = canonical(from_unit), canonical(to_unit)
    if from_unit == to_unit:
        return 1.0
    for table in (_UNIT_IN_G, _UNIT_IN_MPS2):
        if from_unit in table and to_unit in table:
            return table[from_unit] / table[to_unit]
    if from_unit in KNOWN_UNITS and to_unit in KNOWN_UNITS:
        return conversion_factor(from_unit, "m/s2") * conversion_factor("m/s2", to_unit)
    raise ContractError(
        f"Values must be in {to_unit!r}, got {from_unit!r}, and no conversion is known: only {', '.join(KNOWN_UNITS)} "
        "convert into each other. Use one of these units, or the same unit on both sides.",
        "no_conversion",
        got=from_unit,
        expected=to_unit,
    )
