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
from drsn_edge.monitor.stages.results import Result, to_text
from drsn_edge.support.files import expect_no_pipe
from drsn_edge.support.wall_time import IsoTimes
from drsn_edge.support.wording import counted

ROTATE_BYTES = 10_000_000
KEPT_FILES = 5
MOST_WAITING = 10_000
"""Limit of lines that wait in memory while they cannot be written, some MB; beyond it the oldest are lost."""

_MOST_TOGETHER = 1000
"""Lines that are written together at most, however long a slice of time is."""


class JsonLinesSink:
    """Writes results as lines, those of a slice of time together, so that the reader of a pipe gets them at once."""

    def __init__(self, stream: TextIO, machine: str | None = None, now_s: Callable[[], float] | None = None) -> None:
        """Write to `stream`; each line has the machine and the time of `now_s` (seconds since 1970), if given."""
        self._stream, self._now_s = stream, now_s
        self._machine, self._times = _machine_member(machine), IsoTimes()
        self._waiting: list[str] = []

    def take(self, result: Result) -> None:
        """Take one result."""
        time = "" if self._now_s is None else _time_member(self._times.of(self._now_s()))
        self._waiting.append(_line(result, self._machine, time))
        if len(self._waiting) >= _MOST_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write the lines; those that cannot be written are lost."""
        if self._waiting:
            text = "".join(self._waiting)
            self._waiting.clear()
            self._stream.write(text)
            self._stream.flush()

    def close(self) -> None:
        """Write the lines of a slice that has not ended."""
        self.flush()


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
        self._path, self._now_s = path, now_s
        self._machine, self._times = _machine_member(machine), IsoTimes()
        self._rotate_bytes, self._kept_files = rotate_bytes, kept_files
        self._file: FileIO | None = None
        self._waiting: deque[bytes] = deque()
        self._taken = 0
        self.lost = 0
        """Number of lines that did not fit into memory while they could not be written."""
        expect_no_pipe(path)
        try:
            self._open()
        except OSError as exc:
            self._drop()
            words = f"Could not open {path}: {exc.strerror}. Choose another file."
            raise OutputError(words, "cannot_open", path=path, reason=exc.strerror) from exc

    def take(self, result: Result) -> None:
        """Take one result; its line is written by `flush`, or when very many wait.

        Raises:
            OutputError: As `flush` does, when very many wait.
        """
        now_s = self._now_s()
        time = f', "time_s": {round(now_s, 3)!r}{_time_member(self._times.of(now_s))}'
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(_line(result, self._machine, time).encode())
        self._taken += 1
        if self._taken >= _MOST_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait.

        Raises:
            OutputError: If they cannot be written now; they wait, and are tried again with the next slice.
        """
        self._taken = 0
        try:
            while self._waiting:
                self._append()
        except OSError as exc:
            self._drop()
            raise OutputError(
                f"Could not write {self._path}: {exc.strerror}. Up to {MOST_WAITING} lines wait in memory.",
                "cannot_write",
                path=self._path,
                reason=exc.strerror,
            ) from exc

    def close(self) -> None:
        """Write the waiting lines and close the file; further calls do nothing.

        Raises:
            OutputError: If they cannot be written; the message tells how many are lost.
        """
        try:
            self.flush()
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

    def _append(self) -> None:
        """Write the lines up to the one that fills the file, by one write, and rotate a full file.

        Raises:
            OSError: If not all of them could be written; those that were written do not wait any more.
        """
        file, size = self._present()
        lines: list[bytes] = []
        for line in self._waiting:
            lines.append(line)
            size += len(line)
            if size >= self._rotate_bytes:
                break
        left = file.write(b"".join(lines))
        for line in lines:
            left -= len(line)
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._waiting.popleft()
        if file.tell() >= self._rotate_bytes:
            self._rotate()

    def _present(self) -> tuple[FileIO, int]:
        """Return the file and its size in bytes; open it if it is not open, or was replaced.

        Another sensor that writes the file replaces it when it is full, and so does logrotate.
        """
        if self._file is not None:
            found = os.fstat(self._file.fileno())
            with suppress(FileNotFoundError):
                if os.path.samestat(found, os.stat(self._path)):
                    return self._file, found.st_size
        self._drop()
        self._open()
        assert self._file is not None
        return self._file, self._file.tell()

    def _open(self) -> None:
        if self._path.is_fifo():  # opening or writing it would wait for a reader
            raise OSError(errno.ENXIO, "it is a pipe")
        self._file = FileIO(self._path, "a")
        if self._file.tell():
            self._end_broken_line()

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


def _line(result: Result, machine: str, time: str) -> str:
    """Return a result as one line of JSON with further members, each with a comma before it or empty."""
    return f"{_TEXTS.of(result)[:-1]}{machine}{time}}}\n"


def _machine_member(machine: str | None) -> str:
    return "" if machine is None else f', "machine": {json.dumps(machine)}'


def _time_member(time: str | None) -> str:
    return "" if time is None else f', "time": "{time}"'


class _Texts:
    """The last result as JSON, kept since several sinks write the same result one after the other."""

    def __init__(self) -> None:
        self._last: tuple[Result | None, str] = (None, "")

    def of(self, result: Result) -> str:
        known, text = self._last  # one read, since threads of other sensors write it as well
        if known is not result:
            text = to_text(result)
            self._last = result, text
        return text


_TEXTS = _Texts()
