"""One JSON object per line, for machines: to a pipe, or to files that take turns.

Not the RotatingFileHandler of logging: a line that it cannot write is lost with a traceback on stderr, and two sensors
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
"""Lines that wait in memory while they cannot be written, some megabytes; beyond them the oldest are lost."""


class JsonLinesSink:
    """Writes every result as one line and flushes, so that a pipe sees it at once."""

    def __init__(self, stream: TextIO, machine: str | None = None, now_s: Callable[[], float] | None = None) -> None:
        """Write to `stream`; each line names the machine and the time of `now_s` (seconds since 1970), if given."""
        self._stream, self._machine, self._now_s = stream, machine, now_s

    def take(self, result: Result) -> None:
        """Write one result."""
        time = None if self._now_s is None else iso_time(self._now_s())
        self._stream.write(line_of(result, machine=self._machine, time=time))
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
            OutputError: If it cannot be opened, or is a pipe.
        """
        self._path, self._machine, self._now_s = path, machine, now_s
        self._rotate_bytes, self._kept_files = rotate_bytes, kept_files
        self._file: FileIO | None = None
        self._waiting: deque[bytes] = deque()
        self.lost = 0
        """Lines that did not fit into memory while they could not be written."""
        expect_no_pipe(path)
        self._open()

    def take(self, result: Result) -> None:
        """Write one result.

        Raises:
            OutputError: If it cannot be written now. It waits, and is tried again with the next.
        """
        now_s = self._now_s()
        line = line_of(result, machine=self._machine, time_s=round(now_s, 3), time=iso_time(now_s))
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(line.encode(errors="replace"))
        self._write()

    def close(self) -> None:
        """Write what waits and close the file; harmless when repeated.

        Raises:
            OutputError: If it cannot be written; the message says how much is lost.
        """
        try:
            if self._waiting:
                self._write()
        except OutputError as exc:
            lost, self.lost = self.lost + len(self._waiting), 0
            self._waiting.clear()
            raise OutputError(
                f"Lost at the end: {counted(lost, 'line')} that could not be written to {self._path}."
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
                f"Could not write {self._path}: {exc.strerror}. {MOST_WAITING} lines wait in memory at most."
            ) from exc

    def _has_moved(self, file: FileIO) -> bool:
        """Tell whether somebody else has begun another file: a sensor that writes the same one, or logrotate."""
        try:
            return not os.path.samestat(os.fstat(file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return True

    def _open(self) -> None:
        try:
            if self._path.is_fifo():  # to open it would be to wait for its reader, and so would be to write
                raise OSError(errno.ENXIO, "It is a pipe")
            self._file = FileIO(self._path, "a")
            if self._file.tell():
                self._end_broken_line()
        except OSError as exc:
            self._drop()
            raise OutputError(f"Could not open {self._path}: {exc.strerror}. Choose another file.") from exc

    def _end_broken_line(self) -> None:
        """A kill, or a full disk, may have left half a line: the next one begins on its own."""
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
    """Return a result as one line of JSON, with the machine and the time (a number, a text) where they are given."""
    more = {"machine": machine, "time_s": time_s, "time": time}
    extra = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in more.items() if value is not None)
    return f"{_LINES.of(result)[:-1]}{extra}}}\n"


class _Lines:
    """The last result as JSON: several sinks write the same one behind each other."""

    def __init__(self) -> None:
        self._last: tuple[Result | None, str] = (None, "")

    def of(self, result: Result) -> str:
        known, text = self._last  # at once, as other sensors' threads write it, too
        if known is not result:
            text = json.dumps(to_json(result), allow_nan=False)
            self._last = result, text
        return text


_LINES = _Lines()
