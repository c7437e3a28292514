"""One line and its cells: where a line is cut, and what a cell is."""

from __future__ import annotations

import csv
import re

COMMENTS = ("#", "%", "//", "*", "'", "!", ";", "REM ", "rem ")
"""What a comment line begins with; `;` only where it separates no columns."""

LONGEST_NUMBER = 400
"""Longest number in characters; 1e308 in digits has 309."""

_EXPONENT = r"(?:[eEdD][+-]?[0-9]{1,3})?"
_WORD = r"[+-]?(?:nan|inf|infinity)"
_NUMBERS = {
    ".": re.compile(rf"[+\-\u2212]?(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}|{_WORD}", re.IGNORECASE),
    ",": re.compile(rf"[+\-\u2212]?(?:[0-9]+(?:,[0-9]+)?|,[0-9]+){_EXPONENT}|{_WORD}", re.IGNORECASE),
}
_THOUSANDS = re.compile(
    r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:\.[0-9]{3})+,[0-9]+|([.,'])[0-9]{3}(?:\1[0-9]{3})+)"
)


def split(line: str, separator: str | None) -> list[str]:
    """Return the cells of a line without quotes and without spaces around them.

    Args:
        line: One line without its end.
        separator: A character, or None for runs of spaces and tabs.
    """
    if '"' in line and separator is not None:
        rows = list(csv.reader([line], delimiter=separator, skipinitialspace=True))
        return [cell.strip() for cell in rows[0]] if rows else [""]
    if '"' in line:
        rows = list(csv.reader([" ".join(line.split())], delimiter=" "))
        return [cell.strip() for cell in rows[0]] if rows else []
    return line.split() if separator is None else [cell.strip() for cell in line.split(separator)]


def is_number(cell: str, decimal: str) -> bool:
    """Tell whether a cell is a number with this decimal sign; it has no thousands separators."""
    return len(cell) <= LONGEST_NUMBER and _NUMBERS[decimal].fullmatch(cell) is not None


def has_thousands(cell: str) -> bool:
    """Tell whether a cell is a number with thousands separators for certain: `1,234.5`, `1.234,5`, `1.234.567`."""
    return len(cell) <= LONGEST_NUMBER and _THOUSANDS.fullmatch(cell) is not None


def to_float(cell: bytes, decimal: str) -> float:
    """Return the number of a cell.

    Raises:
        ValueError: If the cell is no number.
    """
    text = cell.decode("utf-8", "replace").strip().strip('"').strip().replace("\u2212", "-")
    if not is_number(text, decimal):
        raise ValueError(text)
    return float(text.replace(decimal, ".").replace("D", "e").replace("d", "e"))


def uncommented(line: str) -> str:
    """Return a line without the sign that makes it a comment."""
    text = line.strip()
    for sign in COMMENTS:
        if text.startswith(sign):
            return text.lstrip(sign[0]).strip() if len(sign) == 1 else text[len(sign) :].strip()
    return text


def is_comment(line: str) -> bool:
    """Tell whether a line begins with the sign of a comment that no number or name begins with."""
    return line.lstrip().startswith(("#", "%", "//"))
