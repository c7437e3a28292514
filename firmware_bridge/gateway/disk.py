"""One folder and every call by which the slot store changes it: a method each, so that a test can cut between any two.

All names are taken relative to the open folder, and no link is followed: whoever may write beside the folder cannot
lead the store elsewhere.
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
"""Folders that nobody but their owner may write at all: that of the bundles, and the state folder above it."""

_LOCK = "lock"
_PAUSE_S = 0.05


class Disk(AbstractContextManager["Disk"]):
    """A folder that is its owner's and nobody else's. Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        """Open the folder; it is made where it is missing.

        Raises:
            StoreError: If it cannot be, is a link, or others may write it.
        """
        self._path = path
        try:
            make_folder(path)
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as exc:
            raise StoreError(
                f"Could not use {path} for this gateway's bundles: {exc.strerror}. Call it as the user whose it is, or "
                "name another folder with DRSN_EDGE_STATE."
            ) from exc
        self._close = weakref.finalize(self, os.close, self._folder)  # an agent opens a store for each question
        found = os.fstat(self._folder)
        self._owner = (found.st_uid, found.st_gid)
        if why := why_not_ours_alone(path, _STRICT):
            self._close()
            raise StoreError(f"Expected {path} to be writable by its owner alone, but {why}")

    def __exit__(self, *exc: object) -> None:
        self._close()

    def names(self) -> list[str]:
        """Return what is in the folder."""
        return os.listdir(self._folder)

    def read(self, name: str, limit: int) -> bytes:
        """Return a file's content, at most `limit` bytes and one more.

        One that is a link, has other names, or that others may write is refused.
        """
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._folder)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OSError(f"{name} is no file, or has a second name")
            if found.st_mode & _OTHERS_WRITE:
                raise OSError(f"others may write {self._path / name}; look at it, then: chmod go-w {self._path / name}")
            return file.read(limit + 1)

    def free_bytes(self) -> int:
        """Return how much room there is."""
        found = os.fstatvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def create(self, name: str) -> int:
        """Make a new file and return its descriptor; nothing of that name may be there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, _FILE_MODE, dir_fd=self._folder)
        _give(descriptor, self._owner)
        return descriptor

    def open_end(self, name: str) -> int:
        """Open a file, to write at its end."""
        return os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        """Have a file's content on the disk when this returns."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of what had it."""
        os.rename(old, new, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._folder)

    def sync_folder(self) -> None:
        """Have all names on the disk when this returns."""
        os.fsync(self._folder)

    def path(self, name: str) -> Path:
        """Return a path that others can open."""
        return self._path / name

    @contextmanager
    def locked(self, holder: str, patience_s: float, name: str = _LOCK) -> Iterator[None]:
        """Keep all others out while the block runs.

        Args:
            holder: What others are told.
            patience_s: How long to wait for them.
            name: Of the lock.

        Raises:
            StoreBusyError: If somebody else stays inside; the message says who.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, _FILE_MODE, dir_fd=self._folder)
        except OSError as exc:
            raise StoreError(f"Could not lock {self._path}: {exc.strerror}. Whose folder is it?") from exc
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
                who = printable(os.pread(descriptor, 200, 0).decode(errors="replace")) or "somebody"
                raise StoreBusyError(
                    f"Expected nobody else to change the bundles of this gateway; {who} does. Try again later."
                ) from exc
            time.sleep(_PAUSE_S)


def _give(descriptor: int, owner: tuple[int, int]) -> None:
    """Let a file belong to the owner of the folder, as where root flashes what a service runs."""
    if os.geteuid() == 0 and owner != (0, 0):
        os.fchown(descriptor, *owner)
