"""Values of untrusted JSON: each has the right type and is finite, or it is refused."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from typing import Any

from drsn_edge.support.invalid import InvalidValueError
from drsn_edge.verdicts import NO_CLASS

LONGEST_TEXT, MOST_ITEMS = 1000, 4096
_LARGEST = 2**63


def is_label(text: str) -> bool:
    """Tell whether a class may have this name: printable, without outer spaces, not the name of a verdict."""
    return bool(text) and text.isprintable() and text == text.strip() and text not in NO_CLASS


def parsed(data: bytes) -> Any:
    """Return the values in JSON whose whole numbers lie within 64 bits.

    Raises:
        ValueError: If it is not JSON, is nested too deeply, or holds a larger whole number.
    """
    try:
        return json.loads(data, parse_int=_bounded)
    except RecursionError as exc:
        raise InvalidValueError("its values are nested too deeply", "nested_too_deeply") from exc


def text(values: Mapping[str, Any], key: str) -> str:
    """Return a printable text of 1 to `LONGEST_TEXT` characters.

    Raises:
        KeyError: If it is missing, here and in the functions below.
        InvalidValueError: If the value is anything else, here and in the functions below.
    """
    return _text(key, values[key])


def texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts."""
    return tuple(_text(key, item) for item in items(values, key))


def items(values: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list of at most `MOST_ITEMS` items of any type."""
    found = values[key]
    if not isinstance(found, list):
        raise _not_of_type(key, found, "not_a_list", "a list")
    if len(found) > MOST_ITEMS:
        words = f"{key} has {len(found)} items; at most {MOST_ITEMS} are allowed"
        raise InvalidValueError(words, "too_many_items", field=key, got=len(found), limit=MOST_ITEMS)
    return found


def flag(values: Mapping[str, Any], key: str) -> bool:
    """Return true or false; raises as for `text`."""
    value = values[key]
    if not isinstance(value, bool):
        raise _not_of_type(key, value, "not_a_flag", "true or false")
    return value


def number(values: Mapping[str, Any], key: str) -> float:
    """Return a finite number."""
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _not_of_type(key, value, "not_a_number", "a number")
    try:
        result = float(value)
    except OverflowError as exc:
        raise InvalidValueError(f"{key} is too large", "too_large", field=key) from exc
    if not math.isfinite(result):
        raise InvalidValueError(f"{key} is {value}, not a finite number", "not_finite", field=key, got=value)
    return result


def whole(values: Mapping[str, Any], key: str) -> int:
    """Return a whole number."""
    return _whole(key, values[key])


def wholes(values: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Return a list of whole numbers."""
    return tuple(_whole(key, item) for item in items(values, key))


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise _not_of_type(key, value, "not_a_text", "a printable text")
    if len(value) > LONGEST_TEXT:
        words = f"{key} has {len(value)} characters; at most {LONGEST_TEXT} are allowed"
        raise InvalidValueError(words, "too_long", field=key, got=len(value), limit=LONGEST_TEXT)
    return value


def _bounded(digits: str) -> int:
    value = int(digits) if len(digits) <= len(str(-_LARGEST)) else _LARGEST
    if abs(value) >= _LARGEST:
        raise InvalidValueError(f"a whole number of {len(digits)} digits is too large", "too_large")
    return value


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _not_of_type(key, value, "not_whole", "a whole number")
    return value


def _not_of_type(key: str, value: object, problem: str, wanted: str) -> InvalidValueError:
    got = reprlib.repr(value)
    return InvalidValueError(f"{key} is not {wanted}: {got}", problem, field=key, got=got)
