"""The file behind the history: its tables, and how its writer opens it, finds it gone and begins another."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.one_writer import OneWriter

SCHEMA_VERSION = 2
_PATIENCE_S = 1.0
"""Longer than another sensor takes that makes a new file; who waits for more judges nothing meanwhile."""

_PAUSE_S = 0.05

_ROOM_BYTES = 200_000
"""SQLite's two files beside a history take some ten kB when it is opened."""

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
  verdict TEXT NOT NULL,               -- CLASS, UNKNOWN or NO_VERDICT.
  label TEXT,                          -- The class; NULL unless the verdict is CLASS.
  reason TEXT,                         -- Why there is no verdict; NULL unless the verdict is NO_VERDICT.
  score REAL,                          -- Probability of the class, of the nearest one for UNKNOWN, 0 to 1.
  novelty REAL,                        -- Distance from what was trained; above 1 is UNKNOWN. NULL: not known.
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
  verdict TEXT NOT NULL,               -- CLASS, UNKNOWN or NO_VERDICT.
  detail TEXT NOT NULL,                -- Class of a CLASS, reason of a NO_VERDICT; empty for UNKNOWN.
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
    """Another process has the file to itself: a backup, or a sensor that makes its tables."""


def open_history(path: Path) -> sqlite3.Connection:
    """Open a history to write to it; a new one is made.

    Raises:
        LockedError: If another process holds it locked, which ends.
        OutputError: If it cannot be opened, is of another version, or holds something else.
    """
    if os.access(path, os.F_OK) and not os.access(path, os.W_OK):
        raise OutputError(
            f"Not allowed to write the history {path}. Call it as the user whose it is, or choose another."
        )
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _opened(path)
        except sqlite3.Error as exc:
            # Another sensor makes the file at this moment, for which SQLite does not wait of itself.
            is_locked = "locked" in str(exc)
            if is_locked and time.monotonic() > until_s:
                raise LockedError(f"Another process holds the history {path} locked") from exc
            if not is_locked:
                why = "it is a folder" if path.is_dir() else exc
                raise OutputError(f"Could not open the history {path}: {why}. Choose another file.") from exc
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
    """Return what to raise where there is no history and none can be made; `why` is what the system says."""
    folder = path.absolute().parent
    if not os.path.lexists(folder):
        return OutputError(
            f"Could not make the history {path}: there is no folder {folder}. Make it, or choose another."
        )
    return OutputError(
        f"Could not make the history {path}: {why}. Choose a folder where this user may make files, or a shorter name."
    )


def is_full_or_read_only(path: Path) -> bool:
    """Tell whether the file system of a history takes nothing now, which somebody may mend."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    if not found.f_blocks:
        return False  # no disk at all, such as /proc
    return bool(found.f_flag & os.ST_RDONLY) or found.f_bavail * found.f_frsize < _ROOM_BYTES


def expect_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a history, 0 for a database that is none yet.

    Raises:
        OutputError: If it is of another version than this program writes.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise OutputError(f"Expected a history of version {SCHEMA_VERSION} in {path}, got {version}. Update.")
    if version not in (0, SCHEMA_VERSION):
        raise OutputError(
            f"Expected a history of version {SCHEMA_VERSION} in {path}, got {version}. Choose another file."
        )
    return int(version)


def _make(connection: sqlite3.Connection, path: Path) -> None:
    if expect_version(connection, path) == SCHEMA_VERSION:
        return
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() != (0,):
        raise OutputError(f"Expected a history in {path}, got another database. Choose another file for --history.")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


class HistoryFile:
    """The file as its one writer has it: opened as soon as it is there, and let go when it was taken away."""

    def __init__(self, path: Path, machine: str, tell: Callable[[str], None]) -> None:
        """Take the right to write what a machine has there; a file that is not there is made by `opened`.

        Raises:
            OutputError: As `open_history` does, or if another process writes it for this machine. Not if the disk is
                full or read-only, or the file is locked, which may be mended while the monitor runs.
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
            tell(f"No lock for the history {path}: {self._lock.trouble}. See to it that one monitor writes {machine}.")

    def opened(self) -> sqlite3.Connection:
        """Return the connection, made now where there is none.

        Raises:
            OutputError: As `open_history` does.
        """
        if self._connection is None:
            self._connection = open_history(self._path)
            self._found = os.stat(self._path)
        return self._connection

    def is_gone(self, minute: int) -> bool:
        """Tell, once a minute, whether the file was removed or moved away; then it is let go, and said.

        Args:
            minute: Of a steady clock.
        """
        if self._connection is None or minute == self._looked_minute:
            return False
        self._looked_minute = minute
        if self._is_there():
            return False
        self._tell(f"The history {self._path} was removed or moved away. A new one is begun.")
        with suppress(sqlite3.Error):  # what lies beside the old name goes where it belongs
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._connection = None
        return True

    def close(self) -> None:
        """Close it and give up the right to write it; harmless when repeated."""
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
