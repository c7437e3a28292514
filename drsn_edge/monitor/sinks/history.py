"""History in SQLite: each decision when it was made, and what the windows of each minute said.

One file serves years: a minute is one row for each verdict that it saw. It is written once a second, and a decision at
once and through to the disk. The write-ahead log keeps it whole when the process is killed: at most the last second is
missing. While the disk is full, decisions wait and minutes are summed up in memory.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Alarm, Decision, Result, Severity, Summary, Verdict, WindowResult, to_json

SCHEMA_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
  time_s REAL NOT NULL, machine TEXT NOT NULL,
  verdict TEXT NOT NULL, label TEXT, reason TEXT, score REAL, novelty REAL);
CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (machine, time_s);
CREATE TABLE IF NOT EXISTS minutes (
  machine TEXT NOT NULL, minute INTEGER NOT NULL, verdict TEXT NOT NULL, detail TEXT NOT NULL,
  windows INTEGER NOT NULL, lost_samples INTEGER NOT NULL, score_sum REAL NOT NULL, novelty_sum REAL NOT NULL,
  PRIMARY KEY (machine, minute, verdict, detail)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS severities (
  machine TEXT NOT NULL, minute INTEGER NOT NULL,
  velocity_mm_s REAL, acceleration_rms REAL NOT NULL, acceleration_peak REAL NOT NULL, kurtosis REAL NOT NULL,
  PRIMARY KEY (machine, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (
  time_s REAL NOT NULL, machine TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, capture TEXT);
CREATE INDEX IF NOT EXISTS alarms_by_time ON alarms (machine, time_s);
CREATE TABLE IF NOT EXISTS runs (
  machine TEXT NOT NULL, began_s REAL NOT NULL, ended_s REAL NOT NULL, summary TEXT NOT NULL);
"""
_COMMIT_EVERY_S = 1.0
_RETRY_AFTER_S = 5.0
_TIDY_EVERY_S = 3600.0
_DAY_S = 86_400.0
_MOST_WAITING = 10_000


@dataclass
class _Cell:
    """The windows of one minute and one verdict."""

    windows: int = 0
    lost_samples: int = 0
    score_sum: float = 0.0
    novelty_sum: float = 0.0

    def add(self, result: WindowResult) -> None:
        self.windows += 1
        self.lost_samples += result.lost_samples
        self.score_sum += _score(result) or 0.0
        self.novelty_sum += result.novelty or 0.0


@dataclass
class _Minute:
    number: int
    cells: dict[tuple[str, str], _Cell] = field(default_factory=dict)


class HistorySink:
    """Writes results to a file that others may read meanwhile."""

    def __init__(
        self, path: Path, machine: str, *, keep_days: float = 365.0, now_s: Callable[[], float] = time.time
    ) -> None:
        """Open the file, or make it.

        Args:
            path: Of the file.
            machine: What the sensor watches; several may share a file.
            keep_days: Older rows are removed.
            now_s: Seconds since 1970.

        Raises:
            OutputError: If it cannot be opened, or is something else.
        """
        self._path, self._machine, self._keep_days, self._now_s = path, machine, keep_days, now_s
        self._began_s = now_s()
        self._full: deque[_Minute] = deque(maxlen=_MOST_WAITING)  # minutes that are over and not written yet
        self._severities: deque[tuple[Any, ...]] = deque(maxlen=_MOST_WAITING)
        self._decisions: deque[tuple[Any, ...]] = deque(maxlen=_MOST_WAITING)
        self._alarms: deque[tuple[Any, ...]] = deque(maxlen=_MOST_WAITING)
        self._tried_s, self._pause_s, self._tidy_due_s = 0.0, 0.0, 0.0
        self._failure: str | None = None
        self._connection = _open(path)
        self._minute = self._read_minute(int(self._began_s // 60))  # an earlier run may have begun it

    def take(self, result: Result) -> None:
        """Take in one result.

        Raises:
            OutputError: If it cannot be written now. It is kept, and tried again after some seconds.
        """
        now_s = self._now_s()
        if isinstance(result, Severity):
            self._severities.append(_severity_row(self._machine, now_s, result))
            return  # with the next window
        if isinstance(result, WindowResult):
            self._count(result, now_s)
        elif isinstance(result, Decision):
            of = result.window
            row = (now_s, self._machine, of.verdict.value, of.label, of.reason, _score(of), of.novelty)
            self._decisions.append(row)
        elif isinstance(result, Alarm):
            self._alarms.append((now_s, self._machine, result.name, result.state.value, result.capture))
        waits = 0 <= now_s - self._tried_s < self._pause_s  # a clock that is set back ends the wait
        if isinstance(result, WindowResult) and waits:
            if self._failure is not None:
                raise OutputError(self._failure)
            return
        self._write(now_s, isinstance(result, Decision | Alarm), result if isinstance(result, Summary) else None)

    def close(self) -> None:
        """Write what waits and close; harmless when repeated.

        Raises:
            OutputError: If it cannot be written.
        """
        try:
            self._write(self._now_s(), durable=True, summary=None)
        finally:
            self._connection.close()
            self._clear()
            self._minute = _Minute(0)

    def _count(self, result: WindowResult, now_s: float) -> None:
        number = int(now_s // 60)
        if number != self._minute.number:
            self._full.append(self._minute)
            # A clock that was set back comes to a minute that is there already: it is gone on with in the file.
            self._minute = self._read_minute(number)
        detail = result.label if result.verdict is Verdict.CLASS else result.reason
        self._minute.cells.setdefault((result.verdict.value, detail or ""), _Cell()).add(result)

    def _read_minute(self, number: int) -> _Minute:
        waiting = [minute for minute in self._full if minute.number == number]
        if waiting:
            self._full.remove(waiting[-1])
            return waiting[-1]
        try:
            rows = self._connection.execute(
                "SELECT verdict, detail, windows, lost_samples, score_sum, novelty_sum FROM minutes "
                "WHERE machine = ? AND minute = ?",
                (self._machine, number),
            )
            return _Minute(number, {(row[0], row[1]): _Cell(*row[2:]) for row in rows})
        except sqlite3.Error:
            return _Minute(number)

    def _write(self, now_s: float, durable: bool, summary: Summary | None) -> None:
        if not (self._decisions or self._alarms or self._severities or self._full or self._minute.cells or summary):
            return
        self._tried_s, self._pause_s = now_s, _COMMIT_EVERY_S
        try:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with self._connection:
                self._write_rows(now_s, summary)
        except sqlite3.Error as exc:
            self._pause_s = _RETRY_AFTER_S
            self._failure = f"Could not write the history {self._path}: {exc}. What is new waits in memory."
            raise OutputError(self._failure) from exc
        self._failure = None
        self._clear()

    def _clear(self) -> None:
        for waiting in (self._decisions, self._alarms, self._severities, self._full):
            waiting.clear()

    def _write_rows(self, now_s: float, summary: Summary | None) -> None:
        self._connection.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?)", self._decisions)
        self._connection.executemany("INSERT INTO alarms VALUES (?, ?, ?, ?, ?)", self._alarms)
        self._connection.executemany(
            "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (self._machine, minute.number, *key, *vars(cell).values())
                for minute in (*self._full, self._minute)
                for key, cell in minute.cells.items()
            ],
        )
        # Of each minute the largest of each, which is what a trend should show.
        self._connection.executemany(
            "INSERT INTO severities VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (machine, minute) DO UPDATE SET "
            "velocity_mm_s = max(ifnull(velocity_mm_s, 0), excluded.velocity_mm_s), "
            "acceleration_rms = max(acceleration_rms, excluded.acceleration_rms), "
            "acceleration_peak = max(acceleration_peak, excluded.acceleration_peak), "
            "kurtosis = max(kurtosis, excluded.kurtosis)",
            self._severities,
        )
        if summary is not None:
            row = (self._machine, self._began_s, now_s, json.dumps(to_json(summary)))
            self._connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", row)
        if now_s >= self._tidy_due_s:
            self._tidy_due_s = now_s + _TIDY_EVERY_S
            oldest_s = now_s - self._keep_days * _DAY_S
            for table in ("decisions", "alarms"):
                self._connection.execute(f"DELETE FROM {table} WHERE time_s < ?", (oldest_s,))
            self._connection.execute("DELETE FROM minutes WHERE minute < ?", (int(oldest_s // 60),))
            self._connection.execute("DELETE FROM severities WHERE minute < ?", (int(oldest_s // 60),))
            self._connection.execute("DELETE FROM runs WHERE ended_s < ?", (oldest_s,))


def _severity_row(machine: str, now_s: float, severity: Severity) -> tuple[Any, ...]:
    return (
        machine, int(now_s // 60), severity.velocity_rms_mm_s,
        severity.acceleration_rms, severity.acceleration_peak, severity.kurtosis,
    )  # fmt: skip


def _score(result: WindowResult) -> float | None:
    return max(result.scores.values()) if result.scores else None


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=1.0)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise OutputError(f"Expected a history of version {SCHEMA_VERSION} in {path}, got {version}. Update.")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except sqlite3.Error as exc:
        raise OutputError(f"Could not open the history {path}: {exc}. Choose another file.") from exc
    return connection


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionRow:
    """A decision as it was written; see `Decision`. `time_s` is in seconds since 1970."""

    time_s: float
    verdict: str
    label: str | None
    reason: str | None
    score: float | None
    novelty: float | None


@dataclass(frozen=True)
class AlarmRow:
    """What became of an alarm, as it was written; see `Alarm`. `time_s` is in seconds since 1970."""

    time_s: float
    name: str
    state: str
    capture: str | None


@dataclass(frozen=True)
class Span:
    """What the windows of some time said.

    Attributes:
        start_s: Seconds since 1970.
        windows: All of them.
        lost_samples: In them.
        states: Windows by what they said: labels, UNKNOWN, NO_VERDICT.
        novelty: Mean over those that have one, None without.
        velocity_mm_s: The largest velocity RMS, None where it was not measured.
    """

    start_s: float
    windows: int
    lost_samples: int
    states: Mapping[str, int]
    novelty: float | None
    velocity_mm_s: float | None


@dataclass(frozen=True)
class History:
    """What a file says of one machine, in the order of time."""

    machine: str
    decisions: tuple[DecisionRow, ...]
    alarms: tuple[AlarmRow, ...]
    spans: tuple[Span, ...]
    span_s: float


def read_history(path: Path, since_s: float, until_s: float, span_s: float | None = None) -> list[History]:
    """Return what a history says of each machine between two times.

    Args:
        path: Of the file; a monitor may be writing it.
        since_s: Seconds since 1970.
        until_s: Likewise.
        span_s: Length of a span, a multiple of a minute; None: a minute, an hour or a day, by how much there is.

    Raises:
        OutputError: If it is no history.
    """
    with _reading(path) as connection:
        between = (since_s, until_s)
        names = connection.execute(
            "SELECT machine FROM minutes WHERE minute * 60 BETWEEN ? AND ? UNION "
            "SELECT machine FROM decisions WHERE time_s BETWEEN ? AND ? ORDER BY 1",
            (*between, *between),
        )
        return [_read_machine(connection, name, between, span_s) for (name,) in names.fetchall()]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise OutputError(f"Expected a history at {path}, found none. `drsn-edge monitor --history` writes one.")
    try:
        with closing(sqlite3.connect(path, timeout=5.0)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection
    except sqlite3.Error as exc:
        raise OutputError(f"Expected a history in {path}, got another file: {exc}.") from exc


def _read_machine(
    connection: sqlite3.Connection, machine: str, between: tuple[float, float], span_s: float | None
) -> History:
    decisions = connection.execute(
        "SELECT time_s, verdict, label, reason, score, novelty FROM decisions "
        "WHERE machine = ? AND time_s BETWEEN ? AND ? ORDER BY time_s",
        (machine, *between),
    )
    alarms = _alarms(connection, machine, between)
    rows = connection.execute(
        "SELECT minute, verdict, detail, windows, lost_samples, novelty_sum FROM minutes "
        "WHERE machine = ? AND minute * 60 BETWEEN ? AND ? ORDER BY minute",
        (machine, *between),
    ).fetchall()
    severities = dict(
        connection.execute(
            "SELECT minute, velocity_mm_s FROM severities WHERE machine = ? AND minute * 60 BETWEEN ? AND ?",
            (machine, *between),
        )
    )
    length_s = span_s or _fitting_span_s(60.0 * (rows[-1][0] - rows[0][0]) if rows else 0.0)
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(int(row[0] * 60 // length_s), []).append(row)
    spans = tuple(_span(number * length_s, own, severities) for number, own in grouped.items())
    return History(machine, tuple(DecisionRow(*row) for row in decisions), alarms, spans, length_s)


def _alarms(connection: sqlite3.Connection, machine: str, between: tuple[float, float]) -> tuple[AlarmRow, ...]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alarms'").fetchone():
        return ()  # written before there were any
    rows = connection.execute(
        "SELECT time_s, name, state, capture FROM alarms WHERE machine = ? AND time_s BETWEEN ? AND ? ORDER BY time_s",
        (machine, *between),
    )
    return tuple(AlarmRow(*row) for row in rows)


def _fitting_span_s(total_s: float) -> float:
    return 60.0 if total_s <= 2 * 3600 else 3600.0 if total_s <= 14 * _DAY_S else _DAY_S


def _span(start_s: float, rows: list[Any], severities: Mapping[int, float | None]) -> Span:
    states: dict[str, int] = {}
    for _, verdict, detail, windows, _, _ in rows:
        state = detail if verdict == Verdict.CLASS.value else verdict
        states[state] = states.get(state, 0) + windows
    judged = sum(row[3] for row in rows if row[1] != Verdict.NO_VERDICT.value)
    novelty_sum = sum(row[5] for row in rows)
    novelty = novelty_sum / judged if judged and novelty_sum else None
    velocities = [velocity for row in rows if (velocity := severities.get(row[0])) is not None]
    velocity = max(velocities, default=None)
    return Span(start_s, sum(row[3] for row in rows), sum(row[4] for row in rows), states, novelty, velocity)
