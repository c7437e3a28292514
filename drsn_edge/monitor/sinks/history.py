"""History in SQLite: each decision with its time, and the verdicts of the windows of each minute.

One file serves years: a minute takes one row per verdict. The file is written once a second; a decision is written at
once and flushed to the disk. The write-ahead log keeps the file intact if the process is killed: at most the last
second is missing. While the disk is full, decisions wait and minutes are summed up in memory.

The system clock may be set while a monitor runs: rows continue by a monotonic clock, the file records the jump, and the
reader corrects the times as far as possible (`history_times`).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.clock_watch import ClockWatch
from drsn_edge.monitor.sinks.history_file import HistoryFile
from drsn_edge.monitor.sinks.history_run import HistoryRun
from drsn_edge.monitor.sinks.history_times import DAY_S
from drsn_edge.monitor.sinks.history_waiting import Waiting
from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Summary
from drsn_edge.support.wording import counted

_COMMIT_EVERY_S = 1.0
_RETRY_AFTER_S = 5.0


class HistorySink:
    """Writes results to a file that others may read at the same time."""

    def __init__(
        self,
        path: Path,
        machine: str,
        *,
        keep_days: float = 365.0,
        now_s: Callable[[], float] | None = None,
        steady_s: Callable[[], float] | None = None,
        came_s: Callable[[], float] | None = None,
        boot: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open the file; a missing file is made with the first row.

        Args:
            path: The file.
            machine: Name of the machine; several may share a file, each with one writer.
            keep_days: Retention: rows are removed after monitors have run for this many days since.
            now_s: System clock in seconds since 1970; None: this machine's.
            steady_s: Monotonic clock beside it, in seconds; see `ClockWatch`.
            came_s: Returns when the samples of the present result came, by the monotonic clock; None: now.
            boot: Id of the boot within which that clock continues; None: the system's own.
            tell: Called with a message when the system clock jumps, or a row cannot be stored.

        Raises:
            OutputError: If the file cannot be opened or made, is not a history, or another process writes it for this
                machine; not if the disk is full or read-only, which may change.
        """
        if not machine.isprintable():
            raise OutputError(
                f"The machine's name {machine!r} has characters that cannot be printed. Choose another --machine.",
                "not_printable",
                machine=machine,
            )
        self._path, self._machine, self._tell = path, machine, tell
        self._watch = ClockWatch(now_s, steady_s)
        self._came_s = came_s or self._watch.steady_now_s
        self._waiting = Waiting(machine)
        self._run = HistoryRun(machine, self._watch, boot, keep_days * DAY_S, tell)
        self._file = HistoryFile(path, machine, tell)
        self._tried_s, self._pause_s = -math.inf, 0.0
        self._failure: OutputError | None = None
        self._is_closed = self._told_dropped = False

    @property
    def dropped(self) -> int:
        """Number of windows, decisions and others that could not be stored, or did not fit into memory."""
        return self._waiting.dropped

    def take(self, result: Result) -> None:
        """Take one result. Decisions and alarms are written at once and flushed to the disk, others by `flush`.

        Raises:
            OutputError: If it cannot be written now; it is kept, and `flush` tries again after some seconds.
        """
        self._waiting.take(result, self._watch.own_s(self._came_s()))
        if isinstance(result, Decision | Alarm | Summary) and self._failure is None:
            self._write(durable=not isinstance(result, Summary))

    def flush(self) -> None:
        """Look for a jump of the system clock, and once a second write what waits.

        Raises:
            OutputError: If it cannot be written now; see `take`.
        """
        self._look()
        if not 0 <= self._watch.steady_now_s() - self._tried_s < self._pause_s:
            self._write(durable=False)
        elif self._failure is not None:
            raise OutputError(str(self._failure), self._failure.problem, **self._failure.facts)

    def close(self) -> None:
        """Write the waiting results and close; further calls do nothing.

        Raises:
            OutputError: If they cannot be written; the message tells what is lost.
        """
        if self._is_closed:
            return
        waiting = self._waiting
        try:
            self._write(durable=True)
        except OutputError as exc:
            raise OutputError(
                f"{self._machine}: {counted(len(waiting.decisions), 'decision')}, "
                f"{counted(len(waiting.alarms), 'alarm change')} and {counted(waiting.windows, 'window')} are lost: "
                f"they could not be written to the history {self._path} at the end.",
                "lost",
                path=self._path,
                decisions=len(waiting.decisions),
                alarms=len(waiting.alarms),
                windows=waiting.windows,
            ) from exc
        finally:
            self._file.close()
            self._is_closed = True
            waiting.clear()

    def _look(self) -> None:
        jump = self._watch.look()
        if jump is None:
            return
        self._waiting.jumps.append(jump)
        self._tell(
            f"The system clock was {jump.words}. The history {self._path} continues by a monotonic clock, records the "
            "jump, and removes nothing for a day."
        )

    def _write(self, durable: bool) -> None:
        if self._waiting.is_empty and not (self._run.has_begun and durable):
            return
        self._look()
        self._tried_s, self._pause_s = self._watch.steady_now_s(), _COMMIT_EVERY_S
        try:
            if self._file.is_gone(int(self._tried_s // 60)):
                self._run.begin_anew()
            self._run.write(self._file.opened(), self._waiting, durable)
        except (sqlite3.Error, OutputError) as exc:
            self._pause_s = _RETRY_AFTER_S
            why = exc if isinstance(exc, OutputError) else f"Could not write the history {self._path}: {exc}."
            problem = exc.problem if isinstance(exc, OutputError) else "cannot_write"
            words = f"{why} New results wait in memory."
            self._failure = OutputError(words, problem, path=self._path, reason=str(exc))
            raise self._failure from exc
        self._failure = None
        self._waiting.clear()
        if self.dropped and not self._told_dropped:
            self._told_dropped = True
            self._tell(
                f"{self._machine}: some results could not be stored in the history {self._path}, which counts them."
            )
