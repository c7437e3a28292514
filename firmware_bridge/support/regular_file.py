"""Reading of files: only regular ones, whose size is known before the first byte is read.

A serial port, a pipe, a socket or /dev/zero never ends, and opening one may hang or restart the board behind it.
Therefore a path is checked before it is opened. A file in /proc has size 0 and counts as empty. The functions raise
OSError; the caller turns it into an error of its own that says what to type.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_TEXT_BYTES = 16 << 20
"""Limit for settings, catalogues and the like: a table of about 100,000 recordings."""
MAX_FILE_BYTES = 4 << 30
"""Limit for a recording: days of a fast sensor. A longer one would not fit into memory."""

_KINDS = {
    stat.S_IFCHR: ("device", "a serial port, a terminal or another device"),
    stat.S_IFBLK: ("disk", "a disk"),
    stat.S_IFIFO: ("pipe", "a pipe"),
    stat.S_IFSOCK: ("socket", "a socket"),
}


class NotAFileError(OSError):
    """A path that does not lead to a regular file; `strerror` says what is there.

    Attributes:
        kind: "device", "disk", "pipe", "socket" or "other"; "file" for a regular file that is too large.
    """

    def __init__(self, code: int, words: str, kind: str = "other") -> None:
        """Keep the system's error number, the words and the kind."""
        super().__init__(code, words)
        self.kind = kind

    def __str__(self) -> str:
        """Return the words alone, because the sentence around them names the path."""
        return str(self.strerror)


class FileTooLargeError(NotAFileError):
    """A regular file that is larger than the reader accepts.

    Attributes:
        size: Size of the file in bytes.
        limit: Largest size in bytes that is read.
    """

    def __init__(self, code: int, words: str, size: int = 0, limit: int = 0) -> None:
        """Keep the system's error number, the words, the size and the limit."""
        super().__init__(code, words, "file")
        self.size, self.limit = size, limit


def check_regular(path: Path) -> None:
    """Raise OSError unless a path leads to a regular file; nothing is opened.

    Raises:
        NotAFileError: If the path leads to a device, a pipe, a socket or a disk.
        OSError: If there is nothing at the path, or it is a folder.
    """
    _check(path, os.stat(path))


def open_regular(path: Path) -> BinaryIO:
    """Return a regular file, open for reading; the caller closes it.

    Args:
        path: Path of the file; links are followed.

    Raises:
        NotAFileError: If the path leads to a device, a pipe, a socket or a disk.
        OSError: If the file is missing, is a folder, or cannot be opened.
    """
    check_regular(path)
    # The path may lead elsewhere by now. These flags keep a pipe from blocking, and a terminal from becoming ours.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    file = os.fdopen(descriptor, "rb")
    try:
        _check(path, os.fstat(descriptor))
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a regular file, as many as it had when it was opened.

    Args:
        path: Path of the file; links are followed.
        most_bytes: Largest size in bytes that is read.

    Raises:
        NotAFileError: If the path leads to a device, a pipe, a socket or a disk.
        FileTooLargeError: If the file is larger than `most_bytes`.
        OSError: If the file is missing, is a folder, or cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            words = f"it holds {size} bytes, at most {most_bytes} are read"
            raise FileTooLargeError(errno.EFBIG, words, size, most_bytes)
        return file.read(size)


def read_text_file(path: Path, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a regular file in UTF-8; every line ends with a line feed.

    Raises:
        ValueError: If the file is not UTF-8.
        OSError: As in `read_regular`.
    """
    return read_regular(path, most_bytes).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def why_unreadable(exc: Exception) -> str:
    """Return why a file could not be read and what to check, without the system's error number and the path.

    Args:
        exc: The OSError that reading raised, or the error that parsing the content raised.
    """
    if isinstance(exc, OSError):
        return f"{exc.strerror or exc}. Check the path{' and its rights' if isinstance(exc, PermissionError) else ''}."
    return f"{str(exc).rstrip('.')}. Correct the file."


def _check(path: Path, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind != stat.S_IFREG:
        name, words = _KINDS.get(kind, ("other", "something else"))
        raise NotAFileError(errno.EINVAL, f"it is {words}, not a regular file", name)
