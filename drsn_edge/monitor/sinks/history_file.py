"""The file behind the history: its tables, how older files become what this version writes, and what is removed.

Times in it are those of a run's own clock: the system's time when the run began, carried on by a clock that nobody can
set. The system's clock may jump meanwhile; `clock_jumps` has what it said, and whoever reads the file decides which of
its readings to believe (`shifts`). Nothing that was written is changed for that.

What is old is decided by how long the file has seen monitors run (`runs.seen_s`), which no clock that is set hastens.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.clock_watch import JUMP_S, believed_offset_s

SCHEMA_VERSION = 2
DAY_S = 86_400.0
_NEVER_S = 1e15
_PATIENCE_S = 1.0
"""Longer than another sensor takes that makes a new file; who waits for more judges nothing meanwhile."""

_PAUSE_S = 0.05

_ROOM_BYTES = 200_000
"""SQLite's two files beside a history take some ten kB when it is opened."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS runs (
  run INTEGER PRIMARY KEY, machine TEXT NOT NULL,
  began_s REAL NOT NULL, ended_s REAL NOT NULL,  -- by the run's own clock; the second one goes on while it runs
  lasted_s REAL NOT NULL, seen_s REAL NOT NULL,  -- and for how long the file had seen monitors run when it began
  boot TEXT, steady_s REAL,                      -- start of the machine, and its steady clock at began_s
  process INTEGER, dropped INTEGER NOT NULL DEFAULT 0, summary TEXT)""",
    """CREATE TABLE IF NOT EXISTS clock_jumps (
  run INTEGER NOT NULL, at_s REAL NOT NULL, from_s REAL NOT NULL, to_s REAL NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS decisions (
  time_s REAL NOT NULL, machine TEXT NOT NULL,
  verdict TEXT NOT NULL, label TEXT, reason TEXT, score REAL, novelty REAL, run INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (machine, time_s)",
    """CREATE TABLE IF NOT EXISTS alarms (
  time_s REAL NOT NULL, machine TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, capture TEXT,
  run INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS alarms_by_time ON alarms (machine, time_s)",
    """CREATE TABLE IF NOT EXISTS minutes (
  machine TEXT NOT NULL, minute INTEGER NOT NULL, run INTEGER NOT NULL, verdict TEXT NOT NULL, detail TEXT NOT NULL,
  windows INTEGER NOT NULL, lost_samples INTEGER NOT NULL, score_sum REAL NOT NULL, novelty_sum REAL NOT NULL,
  PRIMARY KEY (machine, minute, run, verdict, detail)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS severities (
  machine TEXT NOT NULL, minute INTEGER NOT NULL, run INTEGER NOT NULL,
  velocity_mm_s REAL, acceleration_rms REAL, acceleration_peak REAL, kurtosis REAL,
  PRIMARY KEY (machine, minute, run)) WITHOUT ROWID""",
)

# Version 1 had no runs but their summaries, and knew the system's clock alone. Each day on which a machine has rows
# becomes a run: days that the file has seen are counted, not what the clock called them.
_FROM_1_BEFORE = (
    "CREATE TABLE IF NOT EXISTS alarms "
    "(time_s REAL NOT NULL, machine TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, capture TEXT)",
    "ALTER TABLE decisions ADD COLUMN run INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE alarms ADD COLUMN run INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE minutes RENAME TO minutes_1",
    "ALTER TABLE severities RENAME TO severities_1",
    "ALTER TABLE runs RENAME TO runs_1",
)
_FROM_1_AFTER = (
    """CREATE TEMP TABLE days AS
  SELECT machine, day, last_s, row_number() OVER (ORDER BY day, machine) AS run,
    86400.0 * (dense_rank() OVER (ORDER BY day) - 1) AS seen_s
  FROM (SELECT machine, day, max(time_s) AS last_s FROM (
      SELECT machine, minute / 1440 AS day, minute * 60.0 AS time_s FROM minutes_1
      UNION ALL SELECT machine, minute / 1440, minute * 60.0 FROM severities_1
      UNION ALL SELECT machine, CAST(time_s / 86400 AS INTEGER), time_s FROM decisions
      UNION ALL SELECT machine, CAST(time_s / 86400 AS INTEGER), time_s FROM alarms
      UNION ALL SELECT machine, CAST(ended_s / 86400 AS INTEGER), ended_s FROM runs_1)
    GROUP BY machine, day)""",
    "CREATE INDEX temp.days_by_name ON days (machine, day)",
    "INSERT INTO runs (run, machine, began_s, ended_s, lasted_s, seen_s) "
    "SELECT run, machine, 86400.0 * day, last_s, last_s - 86400.0 * day, seen_s FROM days",
    "INSERT INTO runs (machine, began_s, ended_s, lasted_s, seen_s, summary) "
    "SELECT machine, min(began_s, ended_s), ended_s, 0.0, (SELECT seen_s FROM days WHERE days.machine = runs_1.machine "
    "AND day = CAST(ended_s / 86400 AS INTEGER)), summary FROM runs_1 ORDER BY rowid",
    *(
        f"UPDATE {table} SET run = (SELECT run FROM days WHERE days.machine = {table}.machine "
        "AND day = CAST(time_s / 86400 AS INTEGER))"
        for table in ("decisions", "alarms")
    ),
    "INSERT INTO minutes SELECT machine, minute, run, verdict, detail, windows, lost_samples, score_sum, novelty_sum "
    "FROM minutes_1 JOIN days USING (machine) WHERE day = minute / 1440",
    "INSERT INTO severities SELECT machine, minute, run, velocity_mm_s, acceleration_rms, acceleration_peak, kurtosis "
    "FROM severities_1 JOIN days USING (machine) WHERE day = minute / 1440",
    "DROP TABLE temp.days",
    *(f"DROP TABLE {table}" for table in ("minutes_1", "severities_1", "runs_1")),
)


class LockedError(OutputError):
    """Another process has the file to itself: a backup, or a sensor that makes it one of this version."""


def open_history(path: Path) -> sqlite3.Connection:
    """Open a history to write to it; a new one is made, and one of an older version becomes one of this.

    Raises:
        LockedError: If another process holds it locked, which ends.
        OutputError: If it cannot be opened, is of a later version, or holds something else.
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
        if _version(connection, path) != SCHEMA_VERSION:
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


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise OutputError(f"Expected a history of version {SCHEMA_VERSION} in {path}, got {version}. Update.")
    return int(version)


def _make(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection, path)
    if version == SCHEMA_VERSION:
        return
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    is_old = "minutes" in names
    if names and not is_old:
        raise OutputError(f"Expected a history in {path}, got another database. Choose another file for --history.")
    for statement in (*(_FROM_1_BEFORE if is_old else ()), *_TABLES, *(_FROM_1_AFTER if is_old else ())):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def seen_s(connection: sqlite3.Connection) -> float:
    """Return for how long the file has seen monitors run, in seconds; those that ran at once count once."""
    (found,) = connection.execute("SELECT ifnull(max(seen_s + lasted_s), 0.0) FROM runs").fetchone()
    return float(found)


def remove_older(connection: sqlite3.Connection, keep_s: float) -> None:
    """Remove what was written before the file had seen its last `keep_s` seconds; nothing within a day of a jump."""
    now_s = seen_s(connection)
    (jumped,) = connection.execute(
        "SELECT count(*) FROM clock_jumps JOIN runs USING (run) WHERE seen_s + at_s - began_s > ?", (now_s - DAY_S,)
    ).fetchone()
    if jumped:
        return
    oldest_s = now_s - keep_s
    old = connection.execute(
        "SELECT run, machine, began_s + ? - seen_s, seen_s + lasted_s < ? FROM runs WHERE seen_s < ?",
        (oldest_s, oldest_s, oldest_s),
    ).fetchall()
    for run, machine, until_s, is_over in old:
        before_s = _NEVER_S if is_over else until_s  # what a run wrote behind its last word, too
        where = "WHERE machine = ? AND run = ?"
        for table in ("decisions", "alarms"):
            connection.execute(f"DELETE FROM {table} {where} AND time_s < ?", (machine, run, before_s))
        for table in ("minutes", "severities"):
            connection.execute(f"DELETE FROM {table} {where} AND minute < ?", (machine, run, int(before_s // 60)))
        if is_over:
            connection.execute("DELETE FROM runs WHERE run = ?", (run,))
            connection.execute("DELETE FROM clock_jumps WHERE run = ?", (run,))


def shifts(connection: sqlite3.Connection) -> dict[int, float]:
    """Return by how much the times of runs must be corrected, in seconds, of those that must be.

    Within one start of the machine a steady clock goes on, so that one right reading of the system's clock puts all
    runs of that start right, those before it included.
    """
    boots: dict[str, list[tuple[int, float, float, float]]] = {}
    rows = connection.execute(
        "SELECT run, boot, began_s, steady_s, ended_s FROM runs WHERE boot IN (SELECT boot FROM runs JOIN clock_jumps "
        "USING (run) WHERE boot IS NOT NULL) ORDER BY run"
    )
    for run, boot, began_s, steady, ended_s in rows:
        boots.setdefault(boot, []).append((run, began_s, began_s - steady, ended_s))
    found: dict[int, float] = {}
    for runs in boots.values():
        held = sorted(each for run in runs for each in _held(connection, *run))
        right_s = believed_offset_s((offset_s, held_s) for _, offset_s, held_s in held)
        found.update((run, right_s - own_s) for run, _, own_s, _ in runs if abs(right_s - own_s) > JUMP_S)
    return found


def _held(
    connection: sqlite3.Connection, run: int, began_s: float, own_s: float, ended_s: float
) -> list[tuple[float, float, float]]:
    """Return until when (by the steady clock) each offset of the system's clock held in a run, it, and how long."""
    jumps = connection.execute("SELECT at_s, to_s FROM clock_jumps WHERE run = ? ORDER BY rowid", (run,)).fetchall()
    starts = [(began_s, own_s), *((at_s, own_s + to_s - at_s) for at_s, to_s in jumps)]
    ends = [*(at_s for at_s, _ in jumps), max(ended_s, starts[-1][0])]
    return [(end_s - own_s, offset_s, end_s - from_s) for (from_s, offset_s), end_s in zip(starts, ends, strict=True)]


def last_offset_s(connection: sqlite3.Connection, run: int) -> float | None:
    """Return by how much the system's clock was ahead of the steady one when a run was last heard of."""
    found = connection.execute("SELECT began_s - steady_s FROM runs WHERE run = ?", (run,)).fetchone()
    if found is None or found[0] is None:
        return None
    jump = connection.execute(
        "SELECT to_s - at_s FROM clock_jumps WHERE run = ? ORDER BY rowid DESC LIMIT 1", (run,)
    ).fetchone()
    return float(found[0] + (jump[0] if jump else 0.0))
