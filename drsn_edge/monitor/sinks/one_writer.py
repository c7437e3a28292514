"""A lock beside a file that says who writes it, and that ends with the process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from drsn_edge.errors import OutputError

_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})
"""What the system says where no file can be made, however much room there is."""


class InUseError(OutputError):
    """Another process writes the file; the message has its id."""


class OneWriter:
    """Holds the right to write what one machine has in a file, until it is closed."""

    def __init__(self, path: Path, machine: str) -> None:
        """Take it.

        Args:
            path: Of the file, which need not be there. The lock lies beside it, by the file's true name.
            machine: Whose part of the file it is.

        Raises:
            InUseError: If another process, or another sensor of this one, has it.
        """
        path = Path(os.path.realpath(path))
        digest = hashlib.sha256(machine.encode(errors="surrogateescape")).hexdigest()[:8]
        self._path = path.with_name(f"{path.name}.{digest}.lock")
        self._descriptor: int | None = None
        self.trouble: str | None = None
        """Why there is no lock, on a file system that has none or is full; None where it is held."""
        self.is_barred = False
        """Whether no file can be made beside that one, for another reason than a disk that is full or read-only."""
        try:
            while self._descriptor is None:
                self._descriptor = self._taken()
        except BlockingIOError:
            raise InUseError(
                f"The history {path} of {machine} is written by {self._holder()} already. Choose another --machine or "
                "another --history, or stop that process."
            ) from None
        except OSError as exc:
            self.trouble = exc.strerror or str(exc)
            self.is_barred = exc.errno in _NO_FILE and not os.path.lexists(self._path)

    def close(self) -> None:
        """Give it up; harmless when repeated."""
        if self._descriptor is not None:
            with suppress(OSError):
                self._path.unlink()  # first: who opens the file after this finds that it is not the one of that name
            os.close(self._descriptor)
        self._descriptor = None

    def _taken(self) -> int | None:
        """Return the descriptor of the locked file, None if another one has taken its name meanwhile.

        Raises:
            BlockingIOError: If it is locked.
            OSError: If there can be no lock.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if not _is_at(found, self._path):
                os.close(descriptor)
                return None
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                with suppress(OSError):  # on a full disk the lock holds without a name
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor

    def _holder(self) -> str:
        try:
            pid = int(self._path.read_bytes()[:20])
        except (OSError, ValueError):
            return "another process"
        return f"process {pid}" if pid != os.getpid() else f"another sensor of this process ({pid})"


def _is_at(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
