"""Votes: how many windows must agree before the decision changes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VOTES = re.compile(r"([0-9]{1,3})/([0-9]{1,3})")


@dataclass(frozen=True)
class Votes:
    """`needed` of the last `window_count` windows must agree before the decision changes.

    Raises:
        ValueError: Unless more than half are needed; otherwise two verdicts could hold at once.
    """

    needed: int = 4
    window_count: int = 5

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.window_count / 2 < self.needed <= self.window_count:
            raise ValueError(
                f"More than half of the {self.window_count} windows must agree, and at most all; got {self.needed}."
            )


def parse_votes(text: str) -> Votes:
    """Return K/N as votes.

    Raises:
        ValueError: If the text is not K/N, or K is not more than half of N.
    """
    match = _VOTES.fullmatch(text)
    if match is None:
        raise ValueError("It is not two whole numbers with a slash between them.")
    return Votes(int(match[1]), int(match[2]))
