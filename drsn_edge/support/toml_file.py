"""The one reader of TOML files; an error names the file and the line.

Settings, limits, sensors, gateways, catalogues and configurations are read by `read_document`. Python 3.10 has no
tomllib and uses tomli.
"""

from __future__ import annotations

import re
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

_LINE = re.compile(r"\(at line (\d+), column \d+\)")
"""Where an error of tomllib says that the text is wrong; it has no attribute for it before Python 3.14."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the document as plain Python values.

    Raises:
        ValueError: If the text is not TOML, is nested too deeply, or holds a number that is too long.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise ValueError("too many nested brackets") from exc


@dataclass(frozen=True)
class Document:
    """The content of a TOML file, and the place of each value in it.

    Attributes:
        source: Name of the file in errors.
        text: The whole file.
        values: The parsed text as plain Python values.
        error: Class that is raised for an invalid value.
    """

    source: str
    text: str
    values: dict[str, Any]
    error: type[DrsnEdgeError]

    def place(self, *path: str | int) -> str:
        """Return the file and the line of a key, or of its table if the key is missing; `path` as in `line_of`."""
        line = line_of(self.text, path)
        return self.source if line is None else f"{self.source}, line {line}"

    def typed(
        self, kind: type, table: Mapping[str, Any], *path: str | int, own: Mapping[Any, Reader] | None = None
    ) -> dict[str, Any]:
        """Return a table's values in the types of the dataclass `kind`; see `typed_values`.

        Args:
            kind: Dataclass whose attributes are the allowed keys.
            table: A table of this document.
            path: Position of the table in the document.
            own: Readers of further types.

        Raises:
            DrsnEdgeError: As `error`, with the line, for an unknown key or a value of the wrong type.
        """
        return typed_values(kind, table, lambda key: self.place(*path, key), self.error, own)


def read_document(path: Path, what: str, error: type[DrsnEdgeError]) -> Document:
    """Read a TOML file.

    Args:
        path: The file.
        what: Content that the file should have, such as "settings" or "a catalogue".
        error: Class that is raised.

    Raises:
        DrsnEdgeError: As `error`, if the file is missing, cannot be read, or is not TOML (with the line).
    """
    return parse_document(read_text(path, what, error), str(path), error)


def parse_document(text: str, source: str, error: type[DrsnEdgeError]) -> Document:
    """Parse the text of a TOML file named `source`. Raises `error` as `read_document` does."""
    try:
        return Document(source, text, parse_toml(text), error)
    except ValueError as exc:
        found = _LINE.search(str(exc))
        line, where = (None, "the file") if found is None else (int(found[1]), "that line")
        raise error(f"{source} is not valid TOML: {exc}. Correct {where}.", "not_toml", path=source, line=line) from exc


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Return the line number of a key, or of the table or value around it if the key is missing; None for neither.

    Args:
        text: A document that `parse_toml` takes.
        path: Names from the top down, such as ("alarms", "class", "outer_race", "on"). The name of an array of tables
            is followed by an index from 0: ("sensor", 2, "port").
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
    """Return text as a basic string of TOML.

    tomli_w is no substitute: only the extra `train` installs it, which a gateway lacks, and it writes no comments.
    Neither is json.dumps: JSON writes characters above U+FFFF as surrogates, which TOML forbids.
    """
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'


def _header(line: str, last: dict[tuple[str | int, ...], int]) -> list[str | int]:
    """Return the path of the table that a line opens, empty for none; `last` holds the last index of each array."""
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
    """Return the names in a header or a key; empty for any other line, such as one inside a list over several lines."""
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
