"""Values out of JSON that anybody may have written: of the right type and finite, or refused."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from typing import Any

from drsn_edge.verdicts import NO_CLASS

LONGEST_TEXT, MOST_ITEMS = 1000, 4096
_LARGEST = 2**63


def is_label(text: str) -> bool:
    """Tell whether a class may be called so: nobody takes it for another class, or for a verdict that is no class."""
    return bool(text) and text.isprintable() and text == text.strip() and text not in NO_CLASS


def parsed(data: bytes) -> Any:
    """Return what JSON says; no number is so large that nothing can be reckoned or written with it.

    Raises:
        ValueError: If it is no such JSON.
    """
    try:
        return json.loads(data, parse_int=_bounded)
    except RecursionError as exc:
        raise ValueError("its values lie too deep in each other") from exc


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


def _bounded(digits: str) -> int:
    value = int(digits) if len(digits) <= len(str(-_LARGEST)) else _LARGEST
    if abs(value) >= _LARGEST:
        raise ValueError(f"a whole number of {len(digits)} digits is too large")
    return value


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key} is no whole number: {reprlib.repr(value)}")
    return value
