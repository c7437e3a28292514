"""One JSON object per line, for programs: to a pipe, or to files that are rotated.

RotatingFileHandler of logging is not used: it loses a line that it cannot write and prints a traceback, and two sensors
that write one file would each rotate it.
"""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TextIO

from drsn_edge.errors import OutputError
from drsn_edge.monitor.stages.results import Result, to_json
from drsn_edge.support.files import expect_no_pipe
from drsn_edge.support.wall_time import iso_time
from drsn_edge.support.wording import counted

ROTATE_BYTES = 10_000_000
KEPT_FILES = 5
MOST_WAITING = 10_000
"""Limit of lines that wait in memory while they cannot be written, some MB; beyond it the oldest are lost."""


class JsonLinesSink:
    """Writes every result as one line and flushes, so that the reader of a pipe gets it at once."""

    def __init__(self, stream: TextIO, machine: str | None = None, now_s: Callable[[], float] | None = None) -> None:
        """Write to `stream`; each line has the machine and the time of `now_s` (seconds since 1970), if given."""
        self._stream, self._machine, self._now_s = stream, machine, now_s

    def take(self, result: Result) -> None:
        """Write one result."""
        time = None if self._now_s is None else iso_time(self._now_s())
        self._stream.write(line_of(result, machine=self._machine, time=time))
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: nothing waits."""


class JsonFilesSink:
    """Appends every result with time and machine to a file; a full file becomes FILE.1, FILE.1 becomes FILE.2, ..."""

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
            path: The newest file.
            machine: Name of the machine.
            now_s: Clock in seconds since 1970.
            rotate_bytes: Size in bytes at which a file is rotated.
            kept_files: Number of old files to keep beside the newest.

        Raises:
            OutputError: If the file cannot be opened, or is a pipe.
        """
        self._path, self._machine, self._now_s = path, machine, now_s
        self._rotate_bytes, self._kept_files = rotate_bytes, kept_files
        self._file: FileIO | None = None
        self._waiting: deque[bytes] = deque()
        self.lost = 0
        """Number of lines that did not fit into memory while they could not be written."""
        expect_no_pipe(path)
        self._open()

    def take(self, result: Result) -> None:
        """Write one result.

        Raises:
            OutputError: If it cannot be written now; it waits, and is tried again with the next result.
        """
        now_s = self._now_s()
        line = line_of(result, machine=self._machine, time_s=round(now_s, 3), time=iso_time(now_s))
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(line.encode(errors="replace"))
        self._write()

    def close(self) -> None:
        """Write the waiting lines and close the file; further calls do nothing.

        Raises:
            OutputError: If they cannot be written; the message tells how many are lost.
        """
        try:
            if self._waiting:
                self._write()
        except OutputError as exc:
            lost, self.lost = self.lost + len(self._waiting), 0
            self._waiting.clear()
            raise OutputError(
                f"{counted(lost, 'line')} could not be written to {self._path} at the end, and "
                f"{'is' if lost == 1 else 'are'} lost.",
                "lost",
                path=self._path,
                lines=lost,
            ) from exc
        finally:
            self._drop()

    def _write(self) -> None:
        try:
            while self._waiting:
                if self._file is None or self._has_moved(self._file):
                    self._drop()
                    self._open()
                assert self._file is not None
                line = self._waiting[0]
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._waiting.popleft()
                if self._file.tell() >= self._rotate_bytes:
                    self._rotate()
        except OSError as exc:
            self._drop()
            raise OutputError(
                f"Could not write {self._path}: {exc.strerror}. Up to {MOST_WAITING} lines wait in memory.",
                "cannot_write",
                path=self._path,
                reason=exc.strerror,
            ) from exc

    def _has_moved(self, file: FileIO) -> bool:
        """Tell whether the file was replaced, by another sensor that writes it or by logrotate."""
        try:
            return not os.path.samestat(os.fstat(file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return True

    def _open(self) -> None:
        try:
            if self._path.is_fifo():  # opening or writing it would wait for a reader
                raise OSError(errno.ENXIO, "it is a pipe")
            self._file = FileIO(self._path, "a")
            if self._file.tell():
                self._end_broken_line()
        except OSError as exc:
            self._drop()
            words = f"Could not open {self._path}: {exc.strerror}. Choose another file."
            raise OutputError(words, "cannot_open", path=self._path, reason=exc.strerror) from exc

    def _end_broken_line(self) -> None:
        """End a line that a kill or a full disk has left incomplete, so that the next line is valid."""
        with self._path.open("rb") as file:
            file.seek(-1, 2)
            if file.read(1) != b"\n" and self._file is not None:
                self._file.write(b"\n")

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


def line_of(result: Result, *, machine: str | None = None, time_s: float | None = None, time: str | None = None) -> str:
    """Return a result as one line of JSON, with the machine and the time (as number and as text) if given."""
    more = {"machine": machine, "time_s": time_s, "time": time}
    extra = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in more.items() if value is not None)
    return f"{_LINES.of(result)[:-1]}{extra}}}\n"


class _Lines:
    """The last result as JSON, kept since several sinks write the same result one after the other."""

    def __init__(self) -> None:
        self._last: tuple[Result | None, str] = (None, "")

    def of(self, result: Result) -> str:
        known, text = self._last  # one read, since threads of other sensors write it as well
        if known is not result:
            text = json.dumps(to_json(result), allow_nan=False)
            self._last = result, text
        return text


_LINES = _Lines()
