"""History in SQLite: each decision when it was made, and what the windows of each minute said.

One file serves years: a minute is one row for each verdict that it saw. It is written once a second, and a decision at
once and through to the disk. The write-ahead log keeps it whole when the process is killed: at most the last second is
missing. While the disk is full, decisions wait and minutes are summed up in memory.

The system's clock may be set while a monitor runs: rows go on by a clock that nobody sets, the jump is noted in the
file, and the reader puts right what can be (`history_file`).
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.clock_watch import JUMP_S, ClockWatch, Jump, boot_id
from drsn_edge.monitor.sinks.history_file import (
    DAY_S,
    LockedError,
    cannot_be_made,
    is_full_or_read_only,
    last_offset_s,
    open_history,
    remove_older,
    seen_s,
    shifts,
)
from drsn_edge.monitor.sinks.history_reader import AlarmRow as AlarmRow
from drsn_edge.monitor.sinks.history_reader import ClockJump as ClockJump
from drsn_edge.monitor.sinks.history_reader import DecisionRow as DecisionRow
from drsn_edge.monitor.sinks.history_reader import History as History
from drsn_edge.monitor.sinks.history_reader import Span as Span
from drsn_edge.monitor.sinks.history_reader import last_measured as last_measured
from drsn_edge.monitor.sinks.history_reader import read_history as read_history
from drsn_edge.monitor.sinks.one_writer import OneWriter
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Severity, Summary, WindowResult, to_json
from drsn_edge.support.wording import counted
from drsn_edge.verdicts import Verdict

_COMMIT_EVERY_S = 1.0
_RETRY_AFTER_S = 5.0
_TIDY_EVERY_S = 3600.0
_MOST_WAITING = 10_000
_MOST_JUMPS = 10_000
_LARGEST = 2**63 - 1

_BAD_ROW = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
    OverflowError, ValueError, TypeError,
)  # fmt: skip
"""What SQLite says of a row that it will never take, whatever becomes of the disk."""


@dataclass
class _Cell:
    """The windows of one minute and one verdict that are not written yet."""

    windows: int = 0
    lost_samples: int = 0
    score_sum: float = 0.0
    novelty_sum: float = 0.0

    def add(self, result: WindowResult) -> None:
        self.windows += 1
        self.lost_samples = min(self.lost_samples + result.lost_samples, _LARGEST)
        self.score_sum += _score(result) or 0.0
        self.novelty_sum += _number(result.novelty) or 0.0


_Peaks = tuple[float | None, float | None, float | None, float | None]
"""The largest velocity, acceleration RMS and peak, and kurtosis of a minute, which is what a trend should show."""


class HistorySink:
    """Writes results to a file that others may read meanwhile."""

    def __init__(
        self,
        path: Path,
        machine: str,
        *,
        keep_days: float = 365.0,
        now_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] | None = None,
        boot: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open the file; one that is not there is made with its first row.

        Args:
            path: Of the file.
            machine: What the sensor watches; several may share a file, each with one writer.
            keep_days: Rows are removed when the file has seen monitors run for so many days since.
            now_s: Seconds since 1970.
            steady_s: A clock in seconds that nobody sets; see `ClockWatch`.
            boot: What names the start of the machine within which that goes on; None: the system's own.
            tell: Given a sentence when the clock jumps, or a row cannot be stored.

        Raises:
            OutputError: If it cannot be opened or made, is something else, or another process writes it for this one.
                Not if the disk is full or read-only, which may be mended meanwhile.
        """
        self._path, self._machine, self._keep_s, self._tell = path, machine, keep_days * DAY_S, tell
        if not machine.isprintable():
            raise OutputError(
                f"Expected a machine's name that can be printed, got {machine!r}. Choose another --machine."
            )
        self._watch = ClockWatch(now_s, steady_s)
        self._boot = boot or (boot_id() if self._watch.is_system else None)
        self._cells: dict[tuple[int, str, str], _Cell] = {}
        self._severities: dict[int, _Peaks] = {}
        self._decisions: deque[tuple[Any, ...]] = deque()
        self._alarms: deque[tuple[Any, ...]] = deque()
        self._jumps: deque[Jump] = deque(maxlen=_MOST_JUMPS)
        self._summary: Summary | None = None
        self._tried_s, self._pause_s, self._tidy_due_s, self._told_minute = -math.inf, 0.0, -math.inf, -1
        self._failure: str | None = None
        self._run: int | None = None
        self._is_closed = False
        self.dropped = 0
        """Windows, decisions and others that could not be stored, or did not fit into memory on a full disk."""
        self._told_dropped = False
        self._lock = OneWriter(path, machine)
        self._connection: sqlite3.Connection | None = None
        try:
            self._open_or_expect()
        except BaseException as exc:
            is_full = isinstance(exc, OutputError) and is_full_or_read_only(path)
            if not (is_full or isinstance(exc, LockedError)):
                self._lock.close()
                raise
            # The disk may be mended, and a lock ends, while the monitor runs, which starts without it.
        if self._lock.trouble is not None:
            tell(f"No lock for the history {path}: {self._lock.trouble}. See to it that one monitor writes {machine}.")

    def take(self, result: Result) -> None:
        """Take in one result.

        Raises:
            OutputError: If it cannot be written now. It is kept, and tried again after some seconds.
        """
        jump = self._watch.look()
        if jump is not None:
            self._note(jump)
        steady, now_s = self._watch.steady_now_s(), self._watch.now_s
        self._keep(result, now_s)
        at_once = isinstance(result, Decision | Alarm | Summary) and self._failure is None
        if not at_once and 0 <= steady - self._tried_s < self._pause_s:
            if self._failure is not None:
                raise OutputError(self._failure)
            return
        self._write(durable=isinstance(result, Decision | Alarm))

    def close(self) -> None:
        """Write what waits and close; harmless when repeated.

        Raises:
            OutputError: If it cannot be written; the message says what is lost.
        """
        if self._is_closed:
            return
        try:
            self._write(durable=True)
        except OutputError as exc:
            windows = sum(cell.windows for cell in self._cells.values())
            raise OutputError(
                f"Lost at the end: {counted(len(self._decisions), 'decision')}, "
                f"{counted(len(self._alarms), 'alarm change')} and {counted(windows, 'window')} of {self._machine} "
                f"that could not be written to {self._path}."
            ) from exc
        finally:
            if self._connection is not None:
                self._connection.close()
            self._lock.close()
            self._is_closed = True
            self._clear()

    # --- what waits --------------------------------------------------------------------------------------------------

    def _keep(self, result: Result, now_s: float) -> None:
        if isinstance(result, WindowResult):
            self._count(result, int(now_s // 60))
        elif isinstance(result, Severity):
            self._measure(result, int(now_s // 60))
        elif isinstance(result, Decision):
            of = result.window
            row = (now_s, self._machine, of.verdict.value, of.label, of.reason, _score(of), _number(of.novelty))
            self._append(self._decisions, row)
        elif isinstance(result, Alarm):
            self._append(self._alarms, (now_s, self._machine, result.name, result.state.value, result.capture))
        else:
            self._summary = result

    def _append(self, waiting: deque[tuple[Any, ...]], row: tuple[Any, ...]) -> None:
        if len(waiting) >= _MOST_WAITING:
            waiting.popleft()
            self.dropped += 1
        waiting.append(row)

    def _count(self, result: WindowResult, minute: int) -> None:
        detail = result.label if result.verdict is Verdict.CLASS else result.reason
        key = (minute, result.verdict.value, detail or "")
        if key not in self._cells and len(self._cells) >= _MOST_WAITING:
            self.dropped += self._cells.pop(next(iter(self._cells))).windows
        self._cells.setdefault(key, _Cell()).add(result)

    def _measure(self, severity: Severity, minute: int) -> None:
        measured = (
            _number(severity.velocity_rms_mm_s), _number(severity.acceleration_rms),
            _number(severity.acceleration_peak), _number(severity.kurtosis),
        )  # fmt: skip
        if minute not in self._severities and len(self._severities) >= _MOST_WAITING:
            self.dropped += 1
            del self._severities[next(iter(self._severities))]
        before = self._severities.get(minute, measured)
        self._severities[minute] = tuple(map(_larger, before, measured))  # type: ignore[assignment]

    def _note(self, jump: Jump) -> None:
        self._jumps.append(jump)
        self._tell(
            f"The system's clock was {jump.words}. The history goes on by a clock that nobody sets, notes the jump, "
            "and removes nothing for a day."
        )

    def _clear(self) -> None:
        for waiting in (self._cells, self._severities, self._decisions, self._alarms, self._jumps):
            waiting.clear()
        self._summary = None

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(self, durable: bool) -> None:
        rows = self._decisions or self._alarms or self._severities or self._cells or self._jumps
        if not (rows or self._summary) and (self._run is None or not durable):
            return
        self._tried_s, self._pause_s = self._watch.steady_now_s(), _COMMIT_EVERY_S
        run, dropped = self._run, self.dropped
        try:
            if self._connection is None or self._is_gone(self._connection):
                self._open()
            assert self._connection is not None
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with self._connection as connection:
                self._write_rows(connection, durable)
        except (sqlite3.Error, OutputError) as exc:
            self._run, self.dropped = run, dropped  # nothing of it is in the file
            self._pause_s = _RETRY_AFTER_S
            why = exc if isinstance(exc, OutputError) else f"Could not write the history {self._path}: {exc}."
            self._failure = f"{why} What is new waits in memory."
            raise OutputError(self._failure) from exc
        self._failure = None
        self._clear()
        if self.dropped and not self._told_dropped:
            self._told_dropped = True
            self._tell(f"{self._machine}: some results could not be kept in the history {self._path}; it counts them.")

    def _open_or_expect(self) -> None:
        if os.path.lexists(self._path):
            self._open()
        elif self._lock.is_barred:
            raise cannot_be_made(self._path, str(self._lock.trouble))

    def _open(self) -> None:
        self._connection = open_history(self._path)
        self._file = os.stat(self._path)

    def _is_gone(self, connection: sqlite3.Connection) -> bool:
        """Tell, once a minute, whether the file was removed or moved away; then it is let go, and another is begun."""
        if int(self._watch.steady_now_s() // 60) == self._told_minute or self._is_there():
            return False
        self._tell(f"The history {self._path} was removed or moved away. A new one is begun.")
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what lies beside the old name goes where it belongs
        connection.close()
        self._connection, self._run = None, None
        return True

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), self._file)
        except OSError:
            return False

    def _write_rows(self, connection: sqlite3.Connection, durable: bool) -> None:
        if self._run is None:
            self._run = self._begin(connection)
        run, machine = self._run, self._machine
        insert = partial(self._insert, connection)
        insert("decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ((*row, run) for row in self._decisions))
        insert("alarms VALUES (?, ?, ?, ?, ?, ?)", ((*row, run) for row in self._alarms))
        insert(
            "minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (machine, minute, run, verdict, detail) DO UPDATE SET "
            "windows = windows + excluded.windows, lost_samples = lost_samples + excluded.lost_samples, "
            "score_sum = score_sum + excluded.score_sum, novelty_sum = novelty_sum + excluded.novelty_sum",
            (
                (machine, minute, run, verdict, detail, *vars(cell).values())
                for (minute, verdict, detail), cell in self._cells.items()
            ),
        )
        insert(
            "severities VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (machine, minute, run) DO UPDATE SET "
            + ", ".join(
                f"{name} = ifnull(max({name}, excluded.{name}), ifnull({name}, excluded.{name}))"
                for name in ("velocity_mm_s", "acceleration_rms", "acceleration_peak", "kurtosis")
            ),
            ((machine, minute, run, *peaks) for minute, peaks in self._severities.items()),
        )
        insert("clock_jumps VALUES (?, ?, ?, ?)", ((run, *vars(jump).values()) for jump in self._jumps))
        self._go_on(connection, durable or bool(self._jumps))

    def _insert(self, connection: sqlite3.Connection, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows; one that can never be stored is left out and counted, the others are stored."""
        for row in rows:
            try:
                connection.execute(f"INSERT INTO {into}", row)
            except _BAD_ROW:
                self.dropped += 1

    def _go_on(self, connection: sqlite3.Connection, at_once: bool) -> None:
        """Note how long the run has lasted, once a minute, and remove what is old, once an hour."""
        watch = self._watch
        steady = watch.steady_now_s()
        minute = int(steady // 60)
        summary = self._summary
        if not (at_once or summary or minute != self._told_minute):
            return
        self._told_minute = minute
        lasted_s = max(0.0, steady - watch.began_steady_s)
        connection.execute(
            "UPDATE runs SET ended_s = max(ended_s, ?), lasted_s = max(lasted_s, ?), dropped = ?, "
            "summary = ifnull(?, summary) WHERE run = ?",
            (watch.began_s + lasted_s, lasted_s, self.dropped, summary and json.dumps(to_json(summary)), self._run),
        )
        if steady >= self._tidy_due_s:
            self._tidy_due_s = steady + _TIDY_EVERY_S
            remove_older(connection, self._keep_s)

    def _begin(self, connection: sqlite3.Connection) -> int:
        """Begin a run in the file and return its number."""
        watch = self._watch
        jump = self._jump_before(connection)
        run = connection.execute(
            "INSERT INTO runs (machine, began_s, ended_s, lasted_s, seen_s, boot, steady_s, process) "
            "VALUES (?, ?, ?, 0.0, ?, ?, ?, ?)",
            (
                self._machine, watch.began_s, watch.began_s, seen_s(connection), self._boot, watch.began_steady_s,
                os.getpid(),
            ),
        ).lastrowid  # fmt: skip
        assert run is not None
        if jump is not None:
            connection.execute("INSERT INTO clock_jumps VALUES (?, ?, ?, ?)", (run, *vars(jump).values()))
            self._tell(f"The system's clock was {jump.words} between two runs. The history notes it.")
        excess = "SELECT max(rowid) - ? FROM clock_jumps"
        connection.execute(f"DELETE FROM clock_jumps WHERE rowid <= ({excess})", (_MOST_JUMPS,))
        return run

    def _jump_before(self, connection: sqlite3.Connection) -> Jump | None:
        """Return how the system's clock was set between the last run of the file and this one, as far as it shows."""
        if self._boot is None:
            return None
        last = connection.execute("SELECT run, boot, ended_s FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        if last is None:
            return None
        run, boot, ended_s = last
        began_s = self._watch.began_s
        if boot == self._boot:
            expected_s = self._watch.began_steady_s + (last_offset_s(connection, run) or 0.0)
            is_off = abs(began_s - expected_s) > JUMP_S
        else:
            expected_s = ended_s + shifts(connection).get(run, 0.0)
            is_off = began_s < expected_s - JUMP_S  # it may have been off for any time, but not for less than none
        return Jump(began_s, expected_s, began_s) if is_off else None


def _score(result: WindowResult) -> float | None:
    return _number(max(result.scores.values())) if result.scores else None


def _number(value: float | None) -> float | None:
    """Return a value as the file takes it: None for what is no finite number."""
    try:
        return None if value is None or not math.isfinite(value) else float(value)
    except OverflowError:
        return None


def _larger(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)
