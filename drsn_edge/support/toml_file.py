"""TOML on every Python that the project runs on: tomllib came with 3.11."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(text: str) -> dict[str, Any]:
    """Return the document as plain Python values.

    Raises:
        ValueError: If the text is no TOML, is nested too deeply or holds a number that is too long.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise ValueError("too many nested brackets") from exc


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the number of the line where a key stands, or else the table or value that it would be in.

    Args:
        text: A document that `parse_toml` takes.
        path: Names from the top down, such as ("alarms", "class", "outer_race", "on").
    """
    best, found = 0, None
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            here = table = _names(line) or table
        elif "=" in line:
            here = table + _names(line.partition("=")[0] + "= 0")
        else:
            continue
        if len(here) > best and here == list(path[: len(here)]):
            best, found = len(here), number
    return found


def _names(line: str) -> list[str]:
    """Return the names in a header or a key, empty for a line that is neither, as inside a list over several lines."""
    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return []
    names = []
    while value and isinstance(value, dict | list):
        if isinstance(value, list):
            value = value[0]
            continue
        names.append(next(iter(value)))
        value = value[names[-1]]
    return names
