"""One run of a monitor in a history: it begins with its first row, and its duration is updated from then on."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from drsn_edge.monitor.sinks.clock_watch import JUMP_S, ClockWatch, Jump, boot_id
from drsn_edge.monitor.sinks.history_times import last_offset_s, remove_older, seen_s, shifts
from drsn_edge.monitor.sinks.history_waiting import MOST_JUMPS, Waiting
from drsn_edge.monitor.stages.results import Summary, to_json

_TIDY_EVERY_S = 3600.0

_BAD_ROW = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
    OverflowError, ValueError, TypeError,
)  # fmt: skip
"""Errors of a row that can never be stored, whatever the state of the disk."""

_ADD_MINUTE = (
    "minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (machine, minute, run, verdict, detail) DO UPDATE SET "
    "windows = windows + excluded.windows, lost_samples = lost_samples + excluded.lost_samples, "
    "score_sum = score_sum + excluded.score_sum, novelty_sum = novelty_sum + excluded.novelty_sum"
)
_RAISE_SEVERITY = (
    "severities VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (machine, minute, run) DO UPDATE SET "
    + ", ".join(
        f"{name} = ifnull(max({name}, excluded.{name}), ifnull({name}, excluded.{name}))"
        for name in ("velocity_mm_s", "acceleration_rms", "acceleration_peak", "kurtosis")
    )
)


class HistoryRun:
    """Writes waiting results in transactions, all as one run of one machine."""

    def __init__(
        self, machine: str, watch: ClockWatch, boot: str | None, keep_s: float, tell: Callable[[str], None]
    ) -> None:
        """Prepare; the run begins in the file with its first transaction.

        Args:
            machine: Name of the machine.
            watch: Clock of the times.
            boot: Id of the boot within which the monotonic clock continues; None: the system's own.
            keep_s: Retention: rows are removed after monitors have run for this many seconds since.
            tell: Called with a message if the clock was set since the last run.
        """
        self._machine, self._watch, self._keep_s, self._tell = machine, watch, keep_s, tell
        self._boot = boot or (None if watch.is_alone else boot_id())
        self._told_minute, self._tidy_due_s = -1, -math.inf
        self._number: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the file has rows of the run."""
        return self._number is not None

    def begin_anew(self) -> None:
        """Start the run again in a new file."""
        self._number = None

    def write(self, connection: sqlite3.Connection, waiting: Waiting, durable: bool) -> None:
        """Write all waiting results or none; rows that can never be stored are left out and counted.

        Args:
            connection: Connection to the file.
            waiting: Waiting results; only their count of dropped rows changes.
            durable: Whether to flush them to the disk.

        Raises:
            sqlite3.Error: If they cannot be written now.
        """
        number, dropped = self._number, waiting.dropped
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with connection:
                if self._number is None:
                    self._number = self._begin(connection)
                for into, rows in self._rows(self._number, waiting):
                    waiting.dropped += _insert(connection, into, rows)
                self._go_on(connection, durable or bool(waiting.jumps), waiting.summary, waiting.dropped)
        except sqlite3.Error:
            self._number, waiting.dropped = number, dropped
            raise

    def _rows(self, run: int, waiting: Waiting) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
        """Yield pairs of a table with its values clause, and rows."""
        machine = self._machine
        yield "decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ((*row, run) for row in waiting.decisions)
        yield "alarms VALUES (?, ?, ?, ?, ?, ?)", ((*row, run) for row in waiting.alarms)
        yield (
            _ADD_MINUTE,
            (
                (machine, minute, run, verdict, detail, *vars(of).values())
                for (minute, verdict, detail), of in waiting.minutes.items()
            ),
        )
        yield _RAISE_SEVERITY, ((machine, minute, run, *peaks) for minute, peaks in waiting.severities.items())
        yield "clock_jumps VALUES (?, ?, ?, ?)", ((run, *vars(jump).values()) for jump in waiting.jumps)

    def _go_on(self, connection: sqlite3.Connection, at_once: bool, summary: Summary | None, dropped: int) -> None:
        """Update the duration of the run once a minute, and remove old rows once an hour."""
        watch = self._watch
        steady = watch.steady_now_s()
        minute = int(steady // 60)
        if not (at_once or summary or minute != self._told_minute):
            return
        self._told_minute = minute
        lasted_s = max(0.0, steady - watch.began_steady_s)
        connection.execute(
            "UPDATE runs SET ended_s = max(ended_s, ?), lasted_s = max(lasted_s, ?), dropped = ?, "
            "summary = ifnull(?, summary) WHERE run = ?",
            (watch.began_s + lasted_s, lasted_s, dropped, summary and json.dumps(to_json(summary)), self._number),
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
            self._tell(
                f"The system clock was {jump.words} between two runs of {self._machine}. The history records the jump."
            )
        excess = "SELECT max(rowid) - ? FROM clock_jumps"
        connection.execute(f"DELETE FROM clock_jumps WHERE rowid <= ({excess})", (MOST_JUMPS,))
        return run

    def _jump_before(self, connection: sqlite3.Connection) -> Jump | None:
        """Return the jump of the system clock between the last run of the file and this one, if one is visible."""
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
            is_off = (
                began_s < expected_s - JUMP_S
            )  # the machine may have been off for any time, but not for a negative one
        return Jump(began_s, expected_s, began_s) if is_off else None


def _insert(connection: sqlite3.Connection, into: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Insert rows, and return how many can never be stored."""
    bad = 0
    for row in rows:
        try:
            connection.execute(f"INSERT INTO {into}", row)
        except _BAD_ROW:
            bad += 1
    return bad
