"""Shares that people give in percent: 2 in a file or an option is the share 0.02."""

from __future__ import annotations

import math
from typing import NewType

from drsn_edge.support.typed_table import Reader, number

Share = NewType("Share", float)
"""A share above 0 and below 1 that files and options give in percent."""

LEAST_PERCENT = 0.01


def _share(value: object) -> float | None:
    percent = number(value)
    return percent / 100 if percent is not None and LEAST_PERCENT <= percent < 100 else None


SHARE_IN_PERCENT = Reader(
    lambda value, _: _share(value), f"a number of percent, at least {LEAST_PERCENT} and below 100"
)


def in_percent(share: float) -> str:
    """Return a share as text in percent, such as `2 %`."""
    return f"{100 * share:.3g} %"


def least_in_percent(share: float) -> str:
    """Return a share as text in percent, rounded up to two decimals, so that the text is at least the share."""
    return f"{math.ceil(round(share * 1e4, 6)) / 100:g} %"
