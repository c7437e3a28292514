"""Tables of TOML or JSON as the values of a dataclass: each value is checked for its type."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_type_hints

from drsn_edge.errors import DrsnEdgeError


class Reader(NamedTuple):
    """How a type is read.

    Attributes:
        read: Given a value and its place in the file, returns the value in the type; None for another type.
        wanted: The type in words, such as "a whole number".
    """

    read: Callable[[Any, str], Any]
    wanted: str


def typed_values(
    kind: type,
    table: Mapping[str, Any],
    where: Callable[[str], str],
    error: type[DrsnEdgeError],
    own: Mapping[Any, Reader] | None = None,
) -> dict[str, Any]:
    """Return the table's values in the types of the dataclass `kind`.

    Args:
        kind: Dataclass whose attributes are the allowed keys.
        table: The table as it was read.
        where: Given a key, returns the place that an error names.
        error: Class that is raised.
        own: Readers of further types.

    Raises:
        DrsnEdgeError: As `error`, for an unknown key or a value of the wrong type.
    """
    hints = get_type_hints(kind)
    readers = {**_READERS, **(own or {})}
    values = {}
    for key, value in table.items():
        if key not in hints:
            known = ", ".join(hints)
            words = f"{where(key)}: unknown key {key!r}. Correct or remove it; the keys of this table are {known}."
            raise error(words, "unknown_key", place=where(key), key=key)
        reader = readers[hints[key]]
        values[key] = reader.read(value, where(key))
        if values[key] is None:
            got = reprlib.repr(value)
            words = f"{where(key)}: {key} must be {reader.wanted}, got {got}. Correct it there."
            raise error(words, "wrong_type", place=where(key), key=key, expected=reader.wanted, got=got)
    return values


def whole(value: object) -> int | None:
    """Return a whole number; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a number; None for anything else."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a text; None for anything else."""
    return value if isinstance(value, str) else None


def list_of(read: Callable[[object], Any], length: int | None = None) -> Callable[[object], tuple[Any, ...] | None]:
    """Return a reader of lists: each item is read by `read`; `length` is the only length allowed, None allows any."""

    def read_list(value: object) -> tuple[Any, ...] | None:
        if not isinstance(value, list) or length not in (None, len(value)):
            return None
        taken = tuple(read(each) for each in value)
        return None if None in taken else taken

    return read_list


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _plainly(read: Callable[[object], Any], wanted: str) -> Reader:
    return Reader(lambda value, _: read(value), wanted)


_READERS: Mapping[Any, Reader] = {
    int: _plainly(whole, "a whole number"),
    float: _plainly(number, "a number"),
    bool: _plainly(_flag, "true or false"),
    str: _plainly(text, "text"),
    float | None: _plainly(number, "a number"),
    tuple[str, ...]: _plainly(list_of(text), 'a list of texts such as ["a", "b"]'),
    tuple[float, ...]: _plainly(list_of(number), "a list of numbers"),
    tuple[float, float]: _plainly(list_of(number, 2), "two numbers such as [-6, 12]"),
}
