"""Values out of JSON that anybody may have written: of the right type and finite, or refused."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

LONGEST_TEXT, MOST_ITEMS = 1000, 4096


def text(values: Mapping[str, Any], key: str) -> str:
    """Return a text that is not empty, has at most `LONGEST_TEXT` characters, and can be printed.

    Raises:
        KeyError: If it is missing; so for all functions here.
        ValueError: If it is something else; so for all functions here.
    """
    return _text(key, values[key])


def texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts."""
    return tuple(_text(key, item) for item in items(values, key))


def items(values: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list of anything, at most `MOST_ITEMS` long."""
    found = values[key]
    if not isinstance(found, list):
        raise ValueError(f"{key} is no list: {reprlib.repr(found)}")
    if len(found) > MOST_ITEMS:
        raise ValueError(f"{key} is a list of {len(found)}, at most {MOST_ITEMS} are taken")
    return found


def number(values: Mapping[str, Any], key: str) -> float:
    """Return a finite number."""
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is no number: {reprlib.repr(value)}")
    try:
        result = float(value)
    except OverflowError as exc:
        raise ValueError(f"{key} is too large") from exc
    if not math.isfinite(result):
        raise ValueError(f"{key} is {value}")
    return result


def whole(values: Mapping[str, Any], key: str) -> int:
    """Return a whole number."""
    return _whole(key, values[key])


def wholes(values: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Return a list of whole numbers."""
    return tuple(_whole(key, item) for item in items(values, key))


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{key} is no text: {reprlib.repr(value)}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{key} has {len(value)} characters, at most {LONGEST_TEXT} are taken")
    return value


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key} is no whole number: {reprlib.repr(value)}")
    return value
