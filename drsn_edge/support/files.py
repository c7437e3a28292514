"""Files and folders that appear complete or not at all: write beside the target, fsync, rename."""

from __future__ import annotations

import os
import shlex
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
        OutputError: If the folder is missing, not writable or full; path is then unchanged.
    """
    with written_aside(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there replaces `path` when the block ends well.

    Raises:
        OutputError: If it cannot be written, or is a device, a pipe or a folder; path is then unchanged.
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
        raise _not_written(path, exc) from exc
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def expect_regular_or_new(path: Path) -> None:
    """Raise OutputError if `path`, or the target of a link of that name, exists and is not a regular file.

    Renaming a new file to /dev/null would take the device away from every program, and nobody would read the new file
    in place of a pipe.
    """
    with suppress(OSError):  # it does not exist, or opening it will say why it cannot be written
        if not stat.S_ISREG(path.stat().st_mode):
            words = f"Could not write {path}: it is not a regular file. Nothing was changed; choose another file."
            raise OutputError(words, "not_a_regular_file", path=path)


def expect_no_pipe(path: Path) -> None:
    """Raise OutputError if `path` is a pipe: a writer waits for its reader, and everything else waits too."""
    if path.is_fifo():
        words = f"Could not write {path}: it is a pipe, and the monitor would wait for its reader. Choose a file."
        raise OutputError(words, "pipe", path=path)


def check_new_folder(folder: Path, *, force: bool, ours: Callable[[Path], bool]) -> None:
    """Raise OutputError unless `folder` can be written: absent, empty, or `ours` and `force` is given.

    It is called before the hours of work whose result goes there.
    """
    _check_parent(folder)
    if os.path.ismount(folder.resolve()):
        words = f"Could not write {folder}: it is a mount point, which cannot be replaced. Use a folder inside it."
        raise OutputError(words, "mount_point", path=folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not ours(folder):
        words = f"Could not write {folder}: it already holds something else. Choose another --out."
        raise OutputError(words, "holds_something_else", path=folder)
    if not force:
        words = f"{folder} already exists. Choose another --out, or replace it with --force."
        raise OutputError(words, "exists", path=folder)


def check_new_file(path: Path) -> None:
    """Raise OutputError unless a file can be written to `path`: called before the work whose result goes there."""
    _check_parent(path)
    expect_regular_or_new(path)


def _check_parent(path: Path) -> None:
    parent = path.resolve().parent
    if parent.exists() and not parent.is_dir():
        words = f"Could not write {path}: {parent} is not a folder. Choose another one."
        raise OutputError(words, "parent_not_a_folder", path=path, parent=parent)
    if not parent.is_dir():
        words = f"Could not write {path}: the folder {parent} does not exist. Type: mkdir -p {shlex.quote(str(parent))}"
        raise OutputError(words, "parent_missing", path=path, parent=parent)
    if not os.access(parent, os.W_OK):
        words = f"Could not write {path}: you may not write to {parent}. Check its owner and mode."
        raise OutputError(words, "parent_not_writable", path=path, parent=parent)


@contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `folder` when the block ends well.

    Raises:
        OutputError: If it cannot be written; folder is then unchanged.
    """
    folder = folder.resolve()  # a link stays a link, and leads to the new content
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as exc:
        raise _not_written(folder, exc) from exc
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in temporary.iterdir():
            _sync(file)
        _replace_folder(temporary, folder)
    except OSError as exc:
        raise _not_written(folder, exc) from exc
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _not_written(path: Path, exc: OSError) -> OutputError:
    why = exc.strerror or str(exc)
    return OutputError(f"Could not write {path}: {why}. Nothing was changed.", "cannot_write", path=path, reason=why)


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
    """Sync a folder after a rename in it; a file system that cannot sync folders has renamed all the same."""
    with suppress(OSError):
        _sync(path)


def _umask() -> int:
    """Return the umask of this process; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
