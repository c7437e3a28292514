"""Tables of TOML or JSON as the values of a dataclass, each checked for its type and named where it is wrong."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_type_hints

from drsn_edge.errors import DrsnEdgeError


class Reader(NamedTuple):
    """How a type is read.

    Attributes:
        read: From a value, and where it stands, to one of the type; None: it is of another.
        wanted: The type in words.
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
        kind: Its attributes are the keys that may be there.
        table: What was read.
        where: From a key to the place that an error names.
        error: What is raised.
        own: Readers of types beside the usual ones.

    Raises:
        DrsnEdgeError: As `error`, if a key or the type of a value is not as it may be.
    """
    hints = get_type_hints(kind)
    readers = {**_READERS, **(own or {})}
    values = {}
    for key, value in table.items():
        if key not in hints:
            raise error(f"{where(key)}: Expected keys among {', '.join(hints)}, got {key!r}. Correct it there.")
        reader = readers[hints[key]]
        values[key] = reader.read(value, where(key))
        if values[key] is None:
            raise error(
                f"{where(key)}: Expected {key} to be {reader.wanted}, got {reprlib.repr(value)}. Correct it there."
            )
    return values


def whole(value: object) -> int | None:
    """Return a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a number."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a text."""
    return value if isinstance(value, str) else None


def list_of(read: Callable[[object], Any], length: int | None = None) -> Callable[[object], tuple[Any, ...] | None]:
    """Return what reads lists of what `read` reads, of any length or this one."""

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
