"""One folder, and each system call by which the slot store changes it, so that tests can cut the power between any two.

Names are relative to the open folder, and links are not followed: a user who may write next to the folder cannot lead
the store elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from firmware_bridge.errors import StoreBusyError, StoreError
from firmware_bridge.support.ownership import make_folder, why_not_ours_alone
from firmware_bridge.support.shown import printable

_FILE_MODE = 0o644
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_STRICT = 2
"""Folders that only their owner may write: the folder of the bundles, and the state folder above it."""

_LOCK = "lock"
_PAUSE_S = 0.05


class UnsafeFileError(OSError):
    """A file in the store that another user may have put there or changed.

    Attributes:
        problem: "not_a_file" or "writable_by_others".
        path: Path of the file.
    """

    def __init__(self, message: str, problem: str, path: Path) -> None:
        """Keep the sentence, the name of the problem and the path."""
        super().__init__(message)
        self.problem, self.path = problem, path


class Disk(AbstractContextManager["Disk"]):
    """A folder that only its owner may write. Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        """Open the folder, and create it if it is missing.

        Raises:
            StoreError: If the folder cannot be opened or created, is a link, or other users may write it.
        """
        self._path = path
        try:
            make_folder(path)
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as exc:
            raise StoreError(
                f"Could not use {path} for this gateway's bundles: {exc.strerror}. Run the command as the owner of the "
                "folder, or name another state folder with DRSN_EDGE_STATE.",
                "unusable_folder",
                path=path,
                reason=exc.strerror,
            ) from exc
        self._close = weakref.finalize(self, os.close, self._folder)  # an agent opens a store for each request
        found = os.fstat(self._folder)
        self._owner = (found.st_uid, found.st_gid)
        if why := why_not_ours_alone(path, _STRICT):
            self._close()
            raise StoreError(
                f"{path} must be writable by its owner alone, but {why}", why.problem, path=path, place=why.path
            )

    def __exit__(self, *exc: object) -> None:
        self._close()

    def names(self) -> list[str]:
        """Return the names of the files in the folder."""
        return os.listdir(self._folder)

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a file; of a longer one only the first `limit` + 1 bytes.

        Raises:
            UnsafeFileError: If the file is not a regular one, has a second name, or other users may write it.
            OSError: If the file is missing, is a link, or cannot be read.
        """
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._folder)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise UnsafeFileError(
                    f"{self.path(name)} is not a file, or has a second name.", "not_a_file", self.path(name)
                )
            if found.st_mode & _OTHERS_WRITE:
                raise UnsafeFileError(
                    f"other users may write {self.path(name)}. Check its content, then type: "
                    f"chmod go-w {self.path(name)}",
                    "writable_by_others",
                    self.path(name),
                )
            return file.read(limit + 1)

    def free_bytes(self) -> int:
        """Return the free space in bytes."""
        found = os.fstatvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def create(self, name: str) -> int:
        """Create a file and return its descriptor; the name must be free."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, _FILE_MODE, dir_fd=self._folder)
        _give(descriptor, self._owner)
        return descriptor

    def open_end(self, name: str) -> int:
        """Open a file to append to it, and return its descriptor."""
        return os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Flush the content of a file to the disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Rename a file; it replaces a file that has the new name."""
        os.rename(old, new, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._folder)

    def sync_folder(self) -> None:
        """Flush the names in the folder to the disk."""
        os.fsync(self._folder)

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self._path / name

    @contextmanager
    def locked(self, holder: str, patience_s: float, name: str = _LOCK) -> Iterator[None]:
        """Hold a lock while the block runs.

        Args:
            holder: Name of the holder, shown to a process that finds the lock taken.
            patience_s: Seconds to wait for the lock.
            name: Name of the lock.

        Raises:
            StoreBusyError: If another process still holds the lock after `patience_s`.
            StoreError: If the lock cannot be opened.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, _FILE_MODE, dir_fd=self._folder)
        except OSError as exc:
            raise StoreError(
                f"Could not lock {self._path}: {exc.strerror}. Run the command as the owner of the folder.",
                "no_lock",
                path=self._path,
                reason=exc.strerror,
            ) from exc
        try:
            _give(descriptor, self._owner)
            _take_lock(descriptor, patience_s)
            os.ftruncate(descriptor, 0)
            with suppress(OSError):  # on a full disk the lock holds without its name
                os.pwrite(descriptor, f"{holder}, process {os.getpid()}".encode(), 0)
            yield
        finally:
            os.close(descriptor)


def _take_lock(descriptor: int, patience_s: float) -> None:
    until_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as exc:
            if time.monotonic() >= until_s:
                who = printable(os.pread(descriptor, 200, 0).decode(errors="replace")) or "another process"
                raise StoreBusyError(
                    f"The bundles of this gateway are being changed by {who}. Try again later.", holder=who
                ) from exc
            time.sleep(_PAUSE_S)


def _give(descriptor: int, owner: tuple[int, int]) -> None:
    """Give a file to the owner of the folder, for the case that root flashes a bundle that a service runs."""
    if os.geteuid() == 0 and owner != (0, 0):
        os.fchown(descriptor, *owner)
