"""Files of TOML: the one way to read them, with an error that names the file and the line.

Settings, limits, sensors, gateways, catalogues and configurations come through `read_document`. tomllib came with
Python 3.11; below it is tomli.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.support.text_file import read_text
from drsn_edge.support.typed_table import Reader, typed_values

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


@dataclass(frozen=True)
class Document:
    """What a file of TOML holds, and where in it.

    Attributes:
        source: The file, as errors name it.
        text: Of the whole file.
        values: What the text says, as plain Python values.
        error: What is raised where a value may not be what it is.
    """

    source: str
    text: str
    values: dict[str, Any]
    error: type[DrsnEdgeError]

    def place(self, *path: str | int) -> str:
        """Return the file, and the line of a key in it or of the table where it is missing; `path` as in `line_of`."""
        line = line_of(self.text, path)
        return self.source if line is None else f"{self.source}, line {line}"

    def typed(
        self, kind: type, table: Mapping[str, Any], *path: str | int, own: Mapping[Any, Reader] | None = None
    ) -> dict[str, Any]:
        """Return a table's values in the types of the dataclass `kind`; see `typed_values`.

        Args:
            kind: Its attributes are the keys that may be there.
            table: Of this document.
            path: Where the table stands.
            own: Readers of types beside the usual ones.

        Raises:
            DrsnEdgeError: As `error`, with the line, if a key or the type of a value is not as it may be.
        """
        return typed_values(kind, table, lambda key: self.place(*path, key), self.error, own)


def read_document(path: Path, what: str, error: type[DrsnEdgeError]) -> Document:
    """Read a file of TOML.

    Args:
        path: Of the file.
        what: The file should hold, such as "settings" or "a catalogue".
        error: What is raised.

    Raises:
        DrsnEdgeError: As `error`, if the file is missing, cannot be read, or is no TOML (with its line).
    """
    return parse_document(read_text(path, what, error), str(path), error)


def parse_document(text: str, source: str, error: type[DrsnEdgeError]) -> Document:
    """Parse the text of a file of TOML; `source` names it. Raises `error` as `read_document` does."""
    try:
        return Document(source, text, parse_toml(text), error)
    except ValueError as exc:
        raise error(f"{source}: Expected TOML, got: {exc}. Correct that line.") from exc


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Return the number of the line where a key stands, or else the table or value that it would be in.

    Args:
        text: A document that `parse_toml` takes.
        path: Names from the top down, such as ("alarms", "class", "outer_race", "on"). Behind the name of several
            tables stands which one, from 0: ("sensor", 2, "port").
    """
    best, found = 0, None
    table: list[str | int] = []
    last: dict[tuple[str | int, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            here = table = _header(line, last) or table
        elif "=" in line:
            here = [*table, *_names(line.partition("=")[0] + "= 0")]
        else:
            continue
        if len(here) > best and here == list(path[: len(here)]):
            best, found = len(here), number
    return found


def quoted(text: str) -> str:
    """Return a basic string of TOML, for files and advice that are written by hand.

    They are because tomli_w comes with the extra `train` alone, which a gateway lacks, and writes no comments. A string
    of JSON is not always one of TOML: beyond the first 65,536 characters it holds surrogates.
    """
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'


def _header(line: str, last: dict[tuple[str | int, ...], int]) -> list[str | int]:
    """Return the path of the table that a line begins, empty for none; `last` counts the tables of one name so far."""
    path: list[str | int] = []
    names = _names(line)
    for position, name in enumerate(names, start=1):
        path.append(name)
        if position == len(names) and line.lstrip().startswith("[["):
            last[tuple(path)] = last.get(tuple(path), -1) + 1
        if tuple(path) in last:
            path.append(last[tuple(path)])
    return path


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
