"""Parts of sentences that every output needs."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 window`, `0 windows`, `2 axes`.

    Args:
        number: The count.
        noun: Singular of the noun.
        plural: Plural of the noun; None: the singular with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def plain(value: float, _: object = None) -> str:
    """Return a number with three digits and no exponent: 4020, 0.25. It also serves as the formatter of an axis."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if abs(rounded) >= 1000 else f"{rounded:.3g}"
