"""Files and folders that appear whole or not at all: write aside, fsync, rename."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drsn_edge.errors import OutputError


def write_file(path: Path, data: bytes) -> None:
    """Write data to path so that a reader sees the old file or the new one, never a part.

    Raises:
        OutputError: If the folder is missing, not writable or full; path is then as it was.
    """
    with written_aside(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there replaces `path` when the block ends well.

    Raises:
        OutputError: If it cannot be written, or is a device, a pipe or a folder; path is then as it was.
    """
    expect_regular_or_new(path)
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as exc:
        raise OutputError(f"Could not write {path}: {exc.strerror or exc}. Nothing was changed.") from exc
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def expect_regular_or_new(path: Path) -> None:
    """Raise OutputError where `path`, or what a link of that name leads to, is there and is no regular file.

    A new file would take the name of a device from everybody (/dev/null), and nobody reads a pipe's new file.
    """
    with suppress(OSError):  # it is not there, or whatever opens it says why
        if not stat.S_ISREG(path.stat().st_mode):
            raise OutputError(f"Could not write {path}: no regular file. Nothing was changed; choose another one.")


def expect_no_pipe(path: Path) -> None:
    """Raise OutputError where `path` is a pipe: whatever writes there waits for who reads it, and all else with it."""
    if path.is_fifo():
        raise OutputError(f"Could not write {path}: it is a pipe, whose reader all would wait for. Choose a file.")


def check_new_folder(folder: Path, *, force: bool, ours: Callable[[Path], bool]) -> None:
    """Raise OutputError unless `folder` can be written: absent, empty, or ours and `force` given.

    Called before the hours of work whose result goes there.
    """
    target = folder.resolve()
    if not target.parent.is_dir():
        raise OutputError(f"Expected the folder {target.parent} to exist, to write {target.name} into it.")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"Expected a folder that can be written, got {target.parent}. Check its owner and mode.")
    if os.path.ismount(target):
        raise OutputError(f"Expected a folder that can be replaced, got {folder}, a mount point. Use one inside it.")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not ours(folder):
        raise OutputError(f"Expected a new folder, got {folder}, which holds something else. Choose another --out.")
    if not force:
        raise OutputError(f"{folder} exists already. Choose another --out, or replace it with --force.")


@contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `folder` when the block ends well.

    Raises:
        OutputError: If it cannot be written; folder is then as it was.
    """
    folder = folder.resolve()  # a link stays a link, to the new content
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as exc:
        raise OutputError(f"Could not write {folder}: {exc.strerror or exc}. Nothing was changed.") from exc
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in temporary.iterdir():
            _sync(file)
        _replace_folder(temporary, folder)
    except OSError as exc:
        raise OutputError(f"Could not write {folder}: {exc.strerror or exc}. Nothing was changed.") from exc
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(new: Path, folder: Path) -> None:
    old = _moved_aside(folder) if folder.exists() else None
    try:
        new.replace(folder)
    except BaseException:
        if old is not None:
            old.replace(folder)
        raise
    _sync_folder(folder.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _moved_aside(folder: Path) -> Path:
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        return folder.replace(old)
    except OSError:
        old.rmdir()
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Sync a folder after a rename in it, which has happened whether or not the file system can sync folders."""
    with suppress(OSError):
        _sync(path)


def _umask() -> int:
    """Return the process's umask; the only way to read it is to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
