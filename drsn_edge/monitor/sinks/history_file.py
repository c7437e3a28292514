"""The file of the history: its tables, and how its writer opens it and replaces a file that was removed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.one_writer import OneWriter

SCHEMA_VERSION = 3
_PATIENCE_S = 1.0
"""Time in seconds to wait for another sensor that makes the file; nothing is judged meanwhile."""

_PAUSE_S = 0.05

_ROOM_BYTES = 200_000
"""Free bytes that opening a history needs: the two files of SQLite beside it take tens of kB."""

TABLES = (
    """CREATE TABLE runs (            -- One row for each run of a monitor on one machine.
  run INTEGER PRIMARY KEY,             -- Number of the run.
  machine TEXT NOT NULL,               -- Name of the machine.
  began_s REAL NOT NULL,               -- Begin by the run's own clock, seconds since 1970.
  ended_s REAL NOT NULL,               -- End by the run's own clock, so far; seconds since 1970.
  lasted_s REAL NOT NULL,              -- Length of the run so far, seconds.
  seen_s REAL NOT NULL,                -- Seconds for which monitors had run on this file when the run began.
  boot TEXT,                           -- Name of the gateway's start, within which its steady clock goes on.
  steady_s REAL,                       -- Steady clock of the gateway at began_s, seconds.
  process INTEGER,                     -- Process id of the monitor.
  dropped INTEGER NOT NULL DEFAULT 0,  -- Rows that were not written: memory was full, or SQLite refused them.
  summary TEXT                         -- The line of type summary at the end; NULL before it and after a kill.
)""",
    """CREATE TABLE clock_jumps (     -- One row for each jump of the system's clock.
  run INTEGER NOT NULL,                -- Run that noticed the jump.
  at_s REAL NOT NULL,                  -- Time of the jump by the run's own clock, seconds since 1970.
  from_s REAL NOT NULL,                -- System's time before the jump, seconds since 1970.
  to_s REAL NOT NULL                   -- System's time after the jump, seconds since 1970.
)""",
    """CREATE TABLE decisions (       -- One row for each change of the decision.
  time_s REAL NOT NULL,                -- Time by the run's own clock, seconds since 1970.
  machine TEXT NOT NULL,               -- Name of the machine.
  verdict TEXT NOT NULL,               -- CLASS, UNKNOWN, UNSURE or NO_VERDICT.
  label TEXT,                          -- The class; NULL unless the verdict is CLASS.
  reason TEXT,                         -- Why there is no verdict; NULL unless the verdict is NO_VERDICT.
  score REAL,                          -- Probability of the class, of the nearest one for UNKNOWN and UNSURE, 0 to 1.
  novelty REAL,                        -- Distance from what was trained; above 1 is UNKNOWN. NULL: not known.
  nearest TEXT,                        -- Class of the score; NULL without a score.
  second TEXT,                         -- Second most probable class of UNSURE; NULL for any other verdict.
  run INTEGER NOT NULL                 -- Run that the row belongs to.
)""",
    "CREATE INDEX decisions_by_time ON decisions (machine, time_s)",
    """CREATE TABLE alarms (          -- One row for each change of an alarm.
  time_s REAL NOT NULL,                -- Time by the run's own clock, seconds since 1970.
  machine TEXT NOT NULL,               -- Name of the machine.
  name TEXT NOT NULL,                  -- The alarm: a class, or UNKNOWN.
  state TEXT NOT NULL,                 -- RAISED, ACKNOWLEDGED or CLEARED.
  capture TEXT,                        -- File of the raw signal around the alarm; NULL where none is kept.
  run INTEGER NOT NULL                 -- Run that the row belongs to.
)""",
    "CREATE INDEX alarms_by_time ON alarms (machine, time_s)",
    """CREATE TABLE minutes (         -- Windows of each minute, one row for each verdict with its class or reason.
  machine TEXT NOT NULL,               -- Name of the machine.
  minute INTEGER NOT NULL,             -- Minutes since 1970 by the run's own clock.
  run INTEGER NOT NULL,                -- Run that the row belongs to.
  verdict TEXT NOT NULL,               -- CLASS, UNKNOWN, UNSURE or NO_VERDICT.
  detail TEXT NOT NULL,                -- Class of a CLASS, reason of a NO_VERDICT; empty for UNKNOWN and UNSURE.
  windows INTEGER NOT NULL,            -- Number of windows.
  lost_samples INTEGER NOT NULL,       -- Samples that were missing in these windows.
  score_sum REAL NOT NULL,             -- Sum of their scores, as in decisions.
  novelty_sum REAL NOT NULL,           -- Sum of their novelties, as in decisions.
  PRIMARY KEY (machine, minute, run, verdict, detail)
) WITHOUT ROWID""",
    """CREATE TABLE severities (      -- Largest severity of each minute, with --severity.
  machine TEXT NOT NULL,               -- Name of the machine.
  minute INTEGER NOT NULL,             -- Minutes since 1970 by the run's own clock.
  run INTEGER NOT NULL,                -- Run that the row belongs to.
  velocity_mm_s REAL,                  -- Largest velocity RMS, mm/s.
  acceleration_rms REAL,               -- Largest RMS of the acceleration, in the sensor's unit.
  acceleration_peak REAL,              -- Largest peak of the acceleration, in the sensor's unit.
  kurtosis REAL,                       -- Largest kurtosis; about 3 without impacts.
  PRIMARY KEY (machine, minute, run)
) WITHOUT ROWID""",
)
"""The statements that make a history; what stands behind `--` is printed in docs/reference/history-file.md."""


class LockedError(OutputError):
    """Another process has locked the file: a backup, or a sensor that makes the tables."""


def open_history(path: Path) -> sqlite3.Connection:
    """Open a history for writing; a missing file is made.

    Raises:
        LockedError: If another process has locked it for the moment.
        OutputError: If it cannot be opened, has another version, or is another kind of file.
    """
    if os.access(path, os.F_OK) and not os.access(path, os.W_OK):
        words = f"You may not write the history {path}. Run the command as its owner, or choose another file."
        raise OutputError(words, "not_permitted", path=path)
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _opened(path)
        except sqlite3.Error as exc:
            # Another sensor may be making the file, for which SQLite does not wait by itself.
            is_locked = "locked" in str(exc)
            if is_locked and time.monotonic() > until_s:
                words = f"Another process has locked the history {path}."
                raise LockedError(words, "locked", path=path) from exc
            if not is_locked:
                why = "it is a folder" if path.is_dir() else exc
                problem = "is_folder" if path.is_dir() else "cannot_open"
                words = f"Could not open the history {path}: {why}. Choose another file."
                raise OutputError(words, problem, path=path) from exc
        time.sleep(_PAUSE_S)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE_S)
    try:
        if expect_version(connection, path) != SCHEMA_VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _make(connection, path)
        connection.execute("PRAGMA busy_timeout = 1000")
    except BaseException:
        connection.close()
        raise
    return connection


def cannot_be_made(path: Path, why: str) -> OutputError:
    """Return the error for a history that cannot be made; `why` is the system's reason."""
    folder = path.absolute().parent
    if not os.path.lexists(folder):
        words = f"Could not make the history {path}: the folder {folder} does not exist. Make it, or choose another."
        return OutputError(words, "parent_missing", path=path, parent=folder)
    words = f"Could not make the history {path}: {why}. Choose a folder where you may write, or a shorter name."
    return OutputError(words, "cannot_make", path=path, reason=why)


def is_full_or_read_only(path: Path) -> bool:
    """Tell whether the file system of a history is full or read-only, which may change."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    if not found.f_blocks:
        return False  # not a disk, such as /proc
    return bool(found.f_flag & os.ST_RDONLY) or found.f_bavail * found.f_frsize < _ROOM_BYTES


def expect_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a history; 0 for a database without tables.

    Raises:
        OutputError: If it is another version than this program writes.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        words = f"{path} is a history of version {version}, but this drsn-edge uses {SCHEMA_VERSION}. Update drsn-edge."
        raise OutputError(words, "other_version", path=path, expected=SCHEMA_VERSION, got=version)
    if version not in (0, SCHEMA_VERSION):
        words = f"{path} is a history of version {version}, not {SCHEMA_VERSION} as written here. Choose another file."
        raise OutputError(words, "other_version", path=path, expected=SCHEMA_VERSION, got=version)
    return int(version)


def _make(connection: sqlite3.Connection, path: Path) -> None:
    if expect_version(connection, path) == SCHEMA_VERSION:
        return
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() != (0,):
        words = f"{path} is another kind of database, not a history. Choose another file for --history."
        raise OutputError(words, "not_a_history", path=path)
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


class HistoryFile:
    """The file of its only writer: opened as soon as possible, and closed after it was removed."""

    def __init__(self, path: Path, machine: str, tell: Callable[[str], None]) -> None:
        """Take the lock of a machine's rows; `opened` makes a missing file.

        Raises:
            OutputError: As `open_history` does, or if another process writes it for this machine; not if the disk is
                full or read-only, or the file is locked, which may change while the monitor runs.
        """
        self._path, self._tell = path, tell
        self._looked_minute = -1
        self._lock = OneWriter(path, machine)
        self._connection: sqlite3.Connection | None = None
        try:
            self._open_or_expect()
        except BaseException as exc:
            is_full = isinstance(exc, OutputError) and is_full_or_read_only(path)
            if not (is_full or isinstance(exc, LockedError)):
                self._lock.close()
                raise
        if self._lock.trouble is not None:
            tell(
                f"The history {path} cannot be locked: {self._lock.trouble}. Make sure that only one monitor writes "
                f"{machine} to it."
            )

    def opened(self) -> sqlite3.Connection:
        """Return the connection, opened now if there is none.

        Raises:
            OutputError: As `open_history` does.
        """
        if self._connection is None:
            self._connection = open_history(self._path)
            self._found = os.stat(self._path)
        return self._connection

    def is_gone(self, minute: int) -> bool:
        """Tell, at most once a minute, whether the file was removed or moved; report and close it then.

        Args:
            minute: Minute of a monotonic clock.
        """
        if self._connection is None or minute == self._looked_minute:
            return False
        self._looked_minute = minute
        if self._is_there():
            return False
        self._tell(f"The history {self._path} was removed or moved away. A new file is started.")
        with suppress(sqlite3.Error):  # the write-ahead log goes into the moved file
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._connection = None
        return True

    def close(self) -> None:
        """Close the file and release the lock; further calls do nothing."""
        if self._connection is not None:
            self._connection.close()
        self._lock.close()

    def _open_or_expect(self) -> None:
        if os.path.lexists(self._path):
            self.opened()
        elif self._lock.is_barred:
            raise cannot_be_made(self._path, str(self._lock.trouble))

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), self._found)
        except OSError:
            return False
