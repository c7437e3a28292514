"""History in SQLite: each decision when it was made, and what the windows of each minute said.

One file serves years: a minute is one row for each verdict that it saw. It is written once a second, and a decision at
once and through to the disk. The write-ahead log keeps it whole when the process is killed: at most the last second is
missing. While the disk is full, decisions wait and minutes are summed up in memory.

The system's clock may be set while a monitor runs: rows go on by a clock that nobody sets, the jump is noted in the
file, and the reader puts right what can be (`history_times`).
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.clock_watch import ClockWatch, Jump
from drsn_edge.monitor.sinks.history_file import HistoryFile
from drsn_edge.monitor.sinks.history_run import HistoryRun
from drsn_edge.monitor.sinks.history_times import DAY_S
from drsn_edge.monitor.sinks.history_waiting import Waiting
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Summary
from drsn_edge.support.wording import counted

_COMMIT_EVERY_S = 1.0
_RETRY_AFTER_S = 5.0


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
        if not machine.isprintable():
            raise OutputError(
                f"Expected a machine's name that can be printed, got {machine!r}. Choose another --machine."
            )
        self._path, self._machine, self._tell = path, machine, tell
        self._watch = ClockWatch(now_s, steady_s)
        self._waiting = Waiting(machine)
        self._run = HistoryRun(machine, self._watch, boot, keep_days * DAY_S, tell)
        self._file = HistoryFile(path, machine, tell)
        self._tried_s, self._pause_s = -math.inf, 0.0
        self._failure: str | None = None
        self._is_closed = self._told_dropped = False

    @property
    def dropped(self) -> int:
        """Windows, decisions and others that could not be stored, or did not fit into memory on a full disk."""
        return self._waiting.dropped

    def take(self, result: Result) -> None:
        """Take in one result.

        Raises:
            OutputError: If it cannot be written now. It is kept, and tried again after some seconds.
        """
        jump = self._watch.look()
        if jump is not None:
            self._note(jump)
        steady, now_s = self._watch.steady_now_s(), self._watch.now_s
        self._waiting.take(result, now_s)
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
        waiting = self._waiting
        try:
            self._write(durable=True)
        except OutputError as exc:
            raise OutputError(
                f"Lost at the end: {counted(len(waiting.decisions), 'decision')}, "
                f"{counted(len(waiting.alarms), 'alarm change')} and {counted(waiting.windows, 'window')} of "
                f"{self._machine} that could not be written to {self._path}."
            ) from exc
        finally:
            self._file.close()
            self._is_closed = True
            waiting.clear()

    def _note(self, jump: Jump) -> None:
        self._waiting.jumps.append(jump)
        self._tell(
            f"The system's clock was {jump.words}. The history goes on by a clock that nobody sets, notes the jump, "
            "and removes nothing for a day."
        )

    def _write(self, durable: bool) -> None:
        if self._waiting.is_empty and not (self._run.has_begun and durable):
            return
        self._tried_s, self._pause_s = self._watch.steady_now_s(), _COMMIT_EVERY_S
        try:
            if self._file.is_gone(int(self._tried_s // 60)):
                self._run.begin_anew()
            self._run.write(self._file.opened(), self._waiting, durable)
        except (sqlite3.Error, OutputError) as exc:
            self._pause_s = _RETRY_AFTER_S
            why = exc if isinstance(exc, OutputError) else f"Could not write the history {self._path}: {exc}."
            self._failure = f"{why} What is new waits in memory."
            raise OutputError(self._failure) from exc
        self._failure = None
        self._waiting.clear()
        if self.dropped and not self._told_dropped:
            self._told_dropped = True
            self._tell(f"{self._machine}: some results could not be kept in the history {self._path}; it counts them.")
