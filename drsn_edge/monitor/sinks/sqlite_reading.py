"""Reading an SQLite file in write-ahead mode while others write it, even if this user may not write to the folder.

SQLite keeps two files beside such a database, which its last user removes: `-wal`, with changes that are not in the
database yet, and `-shm`, an index of it. If both exist, a writer is running or was killed, and SQLite reads them. If
they are missing, SQLite would make them, which fails in a folder that this user may not write. Then the database is
complete in itself and is read as a file that does not change (`immutable`), which is checked afterwards.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from drsn_edge.errors import OutputError
from drsn_edge.support.readable import not_readable

Value = TypeVar("Value")
_Signature = tuple[tuple[int, int, int, int] | None, ...]

_ATTEMPTS = 20
_PAUSE_S = 0.1
_CANNOT = ("unable to open database file", "attempt to write a readonly database", "disk I/O error")


def read_through(path: Path, read: Callable[[sqlite3.Connection], Value]) -> Value:
    """Return the result of `read` for a database.

    Args:
        path: File of the database.
        read: Takes a connection and reads everything at once; it may be called again.

    Raises:
        OutputError: If it is not a database, or this user may not read it.
    """
    _open_once(path)
    try:
        try:
            return _with(path, "mode=rw", read)
        except sqlite3.OperationalError as exc:
            if str(exc) not in _CANNOT:
                raise
            return _aside(path, read, exc)
    except sqlite3.OperationalError as exc:
        words = f"Could not read the history {path}: {exc}. Try again, or run the command with sudo."
        raise OutputError(words, "cannot_read", path=path, reason=str(exc)) from exc
    except (sqlite3.Error, TypeError, ValueError, OverflowError) as exc:  # also values of types that we never write
        words = f"{path} is not a history: {exc}. Choose a file that drsn-edge monitor --history wrote."
        raise OutputError(words, "not_a_history", path=path) from exc


def _open_once(path: Path) -> None:
    """Open the files once, to get the system's reason if that fails; SQLite does not report it."""
    for each in (path, _wal(path)):
        try:
            with each.open("rb"):
                pass
        except FileNotFoundError:
            continue
        except PermissionError as exc:
            raise not_readable(each) from exc
        except OSError as exc:
            words = f"Could not read {each}: {exc.strerror}. Check the path."
            raise OutputError(words, "cannot_read", path=each, reason=exc.strerror) from exc


def _aside(path: Path, read: Callable[[sqlite3.Connection], Value], exc: sqlite3.Error) -> Value:
    """Read a database in a folder that cannot be written, again until it did not change meanwhile."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S)
        before = _signature(path)
        try:
            found = _copied(path, before, read) if before[1] is not None else _with(path, "mode=ro&immutable=1", read)
        except (sqlite3.Error, OSError) as again:
            if _signature(path) == before:
                if isinstance(again, sqlite3.Error):
                    raise
                raise exc from again
            continue
        if _signature(path) == before:
            return found
        try:
            return _with(path, "mode=rw", read)  # a writer has started, and with its files SQLite can read
        except sqlite3.OperationalError:
            continue
    raise exc


def _copied(path: Path, before: _Signature, read: Callable[[sqlite3.Connection], Value]) -> Value:
    """Read copies: a writer was killed and left changes beside the database."""
    with tempfile.TemporaryDirectory(prefix="drsn-edge-") as folder:
        copy = Path(folder, "history")
        shutil.copyfile(path, copy)
        shutil.copyfile(_wal(path), _wal(copy))
        if _signature(path) != before:
            raise OSError("the file was written meanwhile")
        return _with(copy, "mode=rw", read)


def _with(path: Path, how: str, read: Callable[[sqlite3.Connection], Value]) -> Value:
    address = f"file:{quote(os.path.abspath(path))}?{how}"
    with closing(sqlite3.connect(address, uri=True, timeout=5.0)) as connection:
        return read(connection)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _signature(path: Path) -> _Signature:
    """Return values that change when a database or its log is written; None for a missing or empty log."""
    found: list[tuple[int, int, int, int] | None] = []
    for each in (path, _wal(path)):
        try:
            status = os.stat(each)
        except FileNotFoundError:
            found.append(None)
            continue
        is_empty = not status.st_size and each != path
        found.append(None if is_empty else (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found)
