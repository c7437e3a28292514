"""One JSON object per line, for machines: to a pipe, or to files that take turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Result, to_json

ROTATE_BYTES = 10_000_000
KEPT_FILES = 5


class JsonLinesSink:
    """Writes every result as one line and flushes, so that a pipe sees it at once."""

    def __init__(self, stream: TextIO, machine: str | None = None) -> None:
        """Write to `stream`; with a machine, each line names it."""
        self._stream, self._machine = stream, machine

    def take(self, result: Result) -> None:
        """Write one result."""
        self._stream.write(line_of(result, self._machine))
        self._stream.flush()

    def close(self) -> None:
        """Nothing waits."""


class JsonFilesSink:
    """Appends every result to a file, with the time and the machine; a full one becomes FILE.1, that one FILE.2, ..."""

    def __init__(
        self,
        path: Path,
        machine: str,
        now_s: Callable[[], float],
        rotate_bytes: int = ROTATE_BYTES,
        kept_files: int = KEPT_FILES,
    ) -> None:
        """Open the file.

        Args:
            path: Of the newest file.
            machine: What the sensor watches.
            now_s: Seconds since 1970.
            rotate_bytes: Begin another file when one has so many bytes.
            kept_files: Beside the newest.

        Raises:
            OutputError: If it cannot be opened.
        """
        self._path, self._machine, self._now_s = path, machine, now_s
        self._rotate_bytes, self._kept_files = rotate_bytes, kept_files
        self._file: TextIO | None = None
        self._open()

    def take(self, result: Result) -> None:
        """Write one result.

        Raises:
            OutputError: If it cannot be written; it is lost, the next is tried again.
        """
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            self._file.write(line_of(result, self._machine, self._now_s()))
            self._file.flush()
            if self._file.tell() >= self._rotate_bytes:
                self._rotate()
        except OSError as exc:
            self._drop()
            raise OutputError(f"Could not write {self._path}: {exc.strerror}. Lines are lost until it works.") from exc

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._drop()

    def _open(self) -> None:
        try:
            self._file = self._path.open("a", encoding="utf-8")
            if self._file.tell():
                self._end_broken_line()
        except OSError as exc:
            raise OutputError(f"Could not open {self._path}: {exc.strerror}. Choose another file.") from exc

    def _end_broken_line(self) -> None:
        """A kill, or a full disk, may have left half a line: the next one begins on its own."""
        with self._path.open("rb") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n" and self._file is not None:
                self._file.write("\n")

    def _rotate(self) -> None:
        self._drop()
        for number in range(self._kept_files, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
            with suppress(FileNotFoundError):
                newer.replace(older)
        self._open()

    def _drop(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._file = None


def line_of(result: Result, machine: str | None = None, time_s: float | None = None) -> str:
    """Return a result as one line of JSON, with the machine and the time where they are given."""
    more = {"machine": machine, "time_s": None if time_s is None else round(time_s, 3)}
    extra = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in more.items() if value is not None)
    return f"{_LINES.of(result)[:-1]}{extra}}}\n"


class _Lines:
    """The last result as JSON: several sinks write the same one behind each other."""

    def __init__(self) -> None:
        self._last: tuple[Result | None, str] = (None, "")

    def of(self, result: Result) -> str:
        known, text = self._last  # at once, as other sensors' threads write it, too
        if known is not result:
            text = json.dumps(to_json(result))
            self._last = result, text
        return text


_LINES = _Lines()
