"""Reading a history: the data of each machine between two times, also while a monitor writes it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.clock_watch import Jump
from drsn_edge.monitor.sinks.history_file import SCHEMA_VERSION, expect_version
from drsn_edge.monitor.sinks.history_rows import MachineRows, machines
from drsn_edge.monitor.sinks.history_times import DAY_S, shifts
from drsn_edge.monitor.sinks.sqlite_reading import read_through
from drsn_edge.monitor.stages.words import Said
from drsn_edge.verdicts import Verdict


@dataclass(frozen=True)
class DecisionRow:
    """A decision as it was written; see `Decision`. `time_s` is in seconds since 1970, `run` the run of the monitor."""

    time_s: float
    verdict: str
    label: str | None
    reason: str | None
    score: float | None
    novelty: float | None
    nearest: str | None = None
    second: str | None = None
    run: int = 0

    @property
    def said(self) -> Said:
        """The verdict of the decision."""
        return Said(self.verdict, self.label, self.reason, self.score, self.novelty, self.nearest, self.second)


@dataclass(frozen=True)
class AlarmRow:
    """A change of an alarm as it was written; see `Alarm`. `time_s` is in seconds since 1970."""

    time_s: float
    name: str
    state: str
    capture: str | None
    run: int = 0


@dataclass(frozen=True)
class ClockJump:
    """A jump of the system clock, during a run of a monitor or since the run before.

    Attributes:
        time_s: Time of the jump as far as known, in seconds since 1970.
        from_s: Expected reading of the clock, in seconds since 1970.
        to_s: Actual reading of the clock, in seconds since 1970.
        run: Run in which, or before which, the clock jumped.
        shifted_s: Correction of the times of that run in seconds; 0 if the clock was right at its start.
    """

    time_s: float
    from_s: float
    to_s: float
    run: int
    shifted_s: float

    @property
    def words(self) -> str:
        """The jump in words, such as "set back by 45 s"."""
        return Jump(self.time_s, self.from_s, self.to_s).words


@dataclass(frozen=True)
class TimeSpan:
    """The windows of one span of time.

    Attributes:
        start_s: Start in seconds since 1970.
        windows: Number of windows.
        lost_samples: Number of lost samples in them.
        states: Number of windows by label, or by the name of a verdict without a class.
        novelty: Mean novelty of the windows with one; None without.
        velocity_mm_s: Largest velocity RMS in mm/s; None if it was not measured.
    """

    start_s: float
    windows: int
    lost_samples: int
    states: Mapping[str, int]
    novelty: float | None
    velocity_mm_s: float | None


@dataclass(frozen=True)
class History:
    """The data of one machine in a file; decisions, alarms and jumps are in the order of writing.

    Attributes:
        measured_s: Time of the last window that showed the machine, to the minute, also outside the requested times;
            in seconds since 1970, None if there is none.
        runs: Start and end of each run of the monitor, in seconds since 1970; the end is infinity for a run without a
            summary.
    """

    machine: str
    decisions: tuple[DecisionRow, ...]
    alarms: tuple[AlarmRow, ...]
    spans: tuple[TimeSpan, ...]
    span_s: float
    jumps: tuple[ClockJump, ...] = ()
    measured_s: float | None = None
    runs: tuple[tuple[float, float], ...] = ()


def read_history(path: Path, since_s: float, until_s: float, span_s: float | None = None) -> list[History]:
    """Return the data of each machine between two times.

    Args:
        path: The file; a monitor may be writing it.
        since_s: Start in seconds since 1970.
        until_s: End in seconds since 1970.
        span_s: Length of a span in seconds, a multiple of 60; None: a minute, an hour or a day, depending on the data.

    Raises:
        OutputError: If the file is not a history, or this user may not read it.
    """
    _expect(path)

    def read(connection: sqlite3.Connection) -> list[History]:
        found = [_history(rows, span_s) for rows in _rows(connection, path, since_s, until_s)]
        return [each for each in found if each.spans or each.decisions]

    return read_through(path, read)


def last_measured(path: Path) -> dict[str, float | None]:
    """Return when a window last showed each machine, to the minute, in seconds since 1970; None: never.

    Raises:
        OutputError: As `read_history` does.
    """
    _expect(path)

    def read(connection: sqlite3.Connection) -> dict[str, float | None]:
        return {rows.machine: rows.measured_s() for rows in _rows(connection, path, -math.inf, math.inf)}

    return read_through(path, read)


def _expect(path: Path) -> None:
    try:
        found = path.is_file()
    except OSError:
        return  # not permitted: `read_through` reports what is missing
    if not found:
        words = f"There is no history at {path}. `drsn-edge monitor --history FILE` writes one."
        raise OutputError(words, "missing", path=path)


def _rows(connection: sqlite3.Connection, path: Path, since_s: float, until_s: float) -> list[MachineRows]:
    if expect_version(connection, path) != SCHEMA_VERSION:
        words = f"{path} is another kind of database, not a history. Choose a file that drsn-edge monitor wrote."
        raise OutputError(words, "not_a_history", path=path)
    connection.execute("PRAGMA query_only = ON")
    shifted = shifts(connection)
    return [MachineRows(connection, name, since_s, until_s, shifted) for name in machines(connection)]


def _history(rows: MachineRows, span_s: float | None) -> History:
    """Return the data of one machine."""
    minutes = [row for row in rows.minutes() if row[3]]
    times = [row[0] for row in minutes]
    length_s = span_s or _fitting_span_s(max(times) - min(times) if times else 0.0)
    return History(
        rows.machine,
        tuple(DecisionRow(*row) for row in rows.decisions()),
        tuple(AlarmRow(*row) for row in rows.alarms()),
        tuple(_spans(minutes, length_s, _highest(rows.velocities()))),
        length_s,
        tuple(ClockJump(*row) for row in rows.jumps()),
        rows.measured_s(),
        tuple(rows.runs()),
    )


def _highest(velocities: Iterable[tuple[float, float | None]]) -> dict[float, float]:
    """Return the highest velocity of each minute that has one, by the start of the minute."""
    found: dict[float, float] = {}
    for time_s, velocity in velocities:
        if velocity is not None:
            found[time_s] = max(velocity, found.get(time_s, velocity))
    return found


def _spans(minutes: Iterable[Any], length_s: float, velocities: Mapping[float, float]) -> Iterator[TimeSpan]:
    grouped: dict[int, list[Any]] = {}
    for row in sorted(minutes, key=lambda row: row[0]):
        grouped.setdefault(int(row[0] // length_s), []).append(row)
    for number, own in grouped.items():
        yield _span(number * length_s, own, velocities)


def _fitting_span_s(total_s: float) -> float:
    return 60.0 if total_s <= 2 * 3600 else 3600.0 if total_s <= 14 * DAY_S else DAY_S


def _span(start_s: float, rows: list[Any], velocities: Mapping[float, float]) -> TimeSpan:
    states: dict[str, int] = {}
    for _, verdict, detail, windows, _, _ in rows:
        state = Said(verdict, label=detail, reason=None).state
        states[state] = states.get(state, 0) + windows
    judged = sum(row[3] for row in rows if row[1] != Verdict.NO_VERDICT.value)
    novelty_sum = sum(row[5] for row in rows)
    novelty = novelty_sum / judged if judged and novelty_sum else None
    own = [velocities[time_s] for time_s in {row[0] for row in rows} if time_s in velocities]
    windows, lost = sum(row[3] for row in rows), sum(row[4] for row in rows)
    return TimeSpan(start_s, windows, lost, states, novelty, max(own, default=None))
