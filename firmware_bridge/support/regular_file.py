"""Files that are read as a whole: regular ones only, of a size that is known before the first byte is read.

A serial port, a pipe, a socket or /dev/zero never ends, and opening one may hang, or restart the board behind it; so a
path is looked at before it is opened. A file of /proc has no size, and counts as empty. What is raised is an OSError,
which whoever reads a file turns into an error of its own with what the user should type.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_TEXT_BYTES = 16 << 20
"""Of settings, catalogues and the like: a table of some 100,000 recordings."""
MAX_FILE_BYTES = 4 << 30
"""Of a recording: days of a fast sensor, which would not fit into memory any more."""

_KINDS = {
    stat.S_IFCHR: "a serial port, a terminal or another device",
    stat.S_IFBLK: "a disk",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


class NotAFileError(OSError):
    """A path that leads to no regular file; `strerror` says what is there."""

    def __str__(self) -> str:
        """Return that alone: the path is in the sentence around it."""
        return str(self.strerror)


class FileTooLargeError(NotAFileError):
    """A regular file that is larger than what is wanted may be."""


def check_regular(path: Path) -> None:
    """Raise OSError unless a path leads to a regular file that can be looked at; nothing is opened.

    Raises:
        NotAFileError: If it is a device, a pipe, a socket or a disk.
        OSError: If there is none, or it is a folder.
    """
    _check(path, os.stat(path))


def read_regular(path: Path, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return a regular file's bytes, as many as it had when it was opened.

    Args:
        path: Of the file; links are followed.
        most_bytes: Of a file that is taken.

    Raises:
        NotAFileError: If it is a device, a pipe, a socket or a disk.
        FileTooLargeError: If it is larger.
        OSError: If it is missing, a folder, or cannot be read.
    """
    check_regular(path)
    # It may be another by now: what was swapped in between is not waited for, nor becomes this process's terminal.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check(path, status)
        if status.st_size > most_bytes:
            raise FileTooLargeError(errno.EFBIG, f"it holds {status.st_size} bytes, at most {most_bytes} are read")
        return file.read(status.st_size)


def read_text_file(path: Path, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a regular file in UTF-8, its lines ending in a line feed.

    Raises:
        ValueError: If it is not UTF-8.
        OSError: As `read_regular`.
    """
    return read_regular(path, most_bytes).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def why_unreadable(exc: Exception) -> str:
    """Return why a file could not be read and what to check, without the system's number and the path once more.

    Args:
        exc: What was raised when it was read, an OSError, or made into what it should be.
    """
    if isinstance(exc, OSError):
        return f"{exc.strerror or exc}. Check the path{' and its rights' if isinstance(exc, PermissionError) else ''}."
    return f"{str(exc).rstrip('.')}. Correct the file."


def _check(path: Path, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind != stat.S_IFREG:
        raise NotAFileError(errno.EINVAL, f"it is {_KINDS.get(kind, 'something else')}, not a regular file")
