"""The log of a serial monitor, as the Arduino IDE writes it: `14:03:01.000 -> 0.01,-0.02,0.98`."""

from __future__ import annotations

import re
from collections.abc import Sequence

ARROW = " -> "
"""What stands between the time of a line and the line itself."""
_STAMPED = re.compile(r"\s{0,8}[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})? -> ?")
_MOST = 0.6
"""Share of lines with a time from which they are such a log."""


def is_stamped(lines: Sequence[str]) -> bool:
    """Tell whether most lines begin with a time of day and an arrow."""
    return sum(_STAMPED.match(line) is not None for line in lines) > _MOST * len(lines)


def without_stamps(lines: Sequence[str]) -> list[str]:
    """Return lines without the time and the arrow."""
    return [_STAMPED.sub("", line, count=1) for line in lines]


def cut(line: str, separator: str | None) -> str:
    """Return a line with the table's separator in place of the arrow; None stands for spaces."""
    return line.replace(ARROW, separator or " ", 1)


def cut_all(block: bytes, separator: str | None) -> bytes:
    """Return lines with the table's separator in place of every arrow; None stands for spaces."""
    return block.replace(ARROW.encode(), (separator or " ").encode())
