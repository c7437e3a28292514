"""Reading an SQLite file in write-ahead mode, whoever writes it, and where this user may write nothing.

SQLite wants two files beside such a database, which its last user removes: `-wal`, with what is not in the database
yet, and `-shm`, an index of it. Where both are there, a writer is at work or was killed, and SQLite reads them. Where
they are missing SQLite would make them, which is not possible in a folder that is somebody else's: then the database is
complete in itself and is read as a file that nobody changes (`immutable`), which is checked afterwards.
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
    """Return what `read` finds in a database.

    Args:
        path: Of the file.
        read: Given a connection; reads all that it wants at once, and may be called again from the beginning.

    Raises:
        OutputError: If it is no database, or may not be read.
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
        raise OutputError(f"Could not read the history {path}: {exc}. Try again, or call it with sudo.") from exc
    except (sqlite3.Error, TypeError, ValueError, OverflowError) as exc:  # values of other kinds than we write, too
        raise OutputError(f"Expected a history in {path}, got another file: {exc}.") from exc


def _open_once(path: Path) -> None:
    """Have the system say why a file cannot be read: SQLite does not."""
    for each in (path, _wal(path)):
        try:
            with each.open("rb"):
                pass
        except FileNotFoundError:
            continue
        except PermissionError as exc:
            raise not_readable(each) from exc
        except OSError as exc:
            raise OutputError(f"Could not read {each}: {exc.strerror}.") from exc


def _aside(path: Path, read: Callable[[sqlite3.Connection], Value], exc: sqlite3.Error) -> Value:
    """Read a database in a folder that cannot be written, until it was the same before and after."""
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
            return _with(path, "mode=rw", read)  # a writer came: with its files there SQLite can read beside it
        except sqlite3.OperationalError:
            continue
    raise exc


def _copied(path: Path, before: _Signature, read: Callable[[sqlite3.Connection], Value]) -> Value:
    """Read copies: a writer was killed and left what belongs into the database beside it."""
    with tempfile.TemporaryDirectory(prefix="drsn-edge-") as folder:
        copy = Path(folder, "history")
        shutil.copyfile(path, copy)
        shutil.copyfile(_wal(path), _wal(copy))
        if _signature(path) != before:
            raise OSError("it was written meanwhile")
        return _with(copy, "mode=rw", read)


def _with(path: Path, how: str, read: Callable[[sqlite3.Connection], Value]) -> Value:
    address = f"file:{quote(os.path.abspath(path))}?{how}"
    with closing(sqlite3.connect(address, uri=True, timeout=5.0)) as connection:
        return read(connection)


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _signature(path: Path) -> _Signature:
    """Return what changes when a database or its log is written; None for a log that is missing or empty."""
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
