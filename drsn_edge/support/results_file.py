"""A file of results, one JSON object a line, that grows while a long command runs and survives its stop."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from drsn_edge.errors import OutputError
from firmware_bridge.support.regular_file import MAX_FILE_BYTES, read_regular, read_text_file

T = TypeVar("T")


def read_lines(path: Path, parse: Callable[[Any], T], refuse: Callable[[int, Exception], Exception]) -> list[T]:
    """Return what `parse` makes of each line of a results file; nothing if the file does not exist.

    A last line that is cut off, for example by a power cut, is ignored.

    Args:
        path: The file.
        parse: Function of the plain JSON values of a line; raises KeyError, TypeError or ValueError if they are wrong.
        refuse: Returns the error to raise for a line that is wrong, by its number from 1 and what was raised.
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(read_text_file(path, MAX_FILE_BYTES).split("\n")[:-1], start=1):
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, KeyError, TypeError) as exc:
            raise refuse(number, exc) from exc
    return found


def append_line(path: Path, text: str) -> None:
    """Append a line and wait until it is on the disk.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise OutputError(
            f"Could not write {path}: {exc.strerror}. Its earlier results are kept.",
            "cannot_write",
            path=path,
            reason=exc.strerror,
        ) from exc


def drop_cut_line(path: Path) -> None:
    """Remove an incomplete last line from the file, so that the next result starts on a new line."""
    if not path.exists():
        return
    data = read_regular(path)
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
