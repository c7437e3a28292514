"""A lock file that names the writer of a file, and ends with that process however it ends."""

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
"""System errors after which no file can be made, whatever the free space."""


class InUseError(OutputError):
    """Another process writes the file; the message has its process id."""


class OneWriter:
    """Holds the lock of one machine's rows in a file until it is closed."""

    def __init__(self, path: Path, machine: str) -> None:
        """Take the lock.

        Args:
            path: The file, which may be missing. The lock file lies beside it, after links are resolved.
            machine: Machine whose rows are locked.

        Raises:
            InUseError: If another process, or another sensor of this process, holds the lock.
        """
        path = Path(os.path.realpath(path))
        digest = hashlib.sha256(machine.encode(errors="surrogateescape")).hexdigest()[:8]
        self._path = path.with_name(f"{path.name}.{digest}.lock")
        self._descriptor: int | None = None
        self.trouble: str | None = None
        """Why there is no lock, such as a file system without locks or a full one; None if it is held."""
        self.is_barred = False
        """Whether no file can be made there, for another reason than a full or read-only disk."""
        try:
            while self._descriptor is None:
                self._descriptor = self._taken()
        except BlockingIOError:
            raise InUseError(
                f"The history {path} of {machine} is already written by {self._holder()}. Choose another --machine or "
                "another --history, or stop that process.",
                "in_use",
                path=path,
                machine=machine,
                holder=self._holder(),
            ) from None
        except OSError as exc:
            self.trouble = exc.strerror or str(exc)
            self.is_barred = exc.errno in _NO_FILE and not os.path.lexists(self._path)

    def close(self) -> None:
        """Release the lock; further calls do nothing."""
        if self._descriptor is not None:
            with suppress(OSError):
                self._path.unlink()  # first, so that a process that opens the old file notices that it has no name
            os.close(self._descriptor)
        self._descriptor = None

    def _taken(self) -> int | None:
        """Return the descriptor of the locked file; None if another file has taken its name meanwhile.

        Raises:
            BlockingIOError: If it is locked.
            OSError: If it cannot be locked.
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
                with suppress(OSError):  # on a full disk the lock works without the process id
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
