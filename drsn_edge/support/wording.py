"""Small pieces of sentences that every output needs."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 window`, `0 windows`, `2 axes`.

    Args:
        number: How many.
        noun: Of one.
        plural: Of others; None: the noun and an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def plain(value: float, _: object = None) -> str:
    """Return a number to three digits without an exponent of ten: 4020, 0.25. It fits as a formatter of an axis."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if abs(rounded) >= 1000 else f"{rounded:.3g}"
