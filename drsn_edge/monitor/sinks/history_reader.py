"""Reading a history: what it says of each machine between two times, whoever writes it meanwhile."""

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
    """A decision as it was written; see `Decision`. `time_s` is in seconds since 1970, `run` the monitor's run."""

    time_s: float
    verdict: str
    label: str | None
    reason: str | None
    score: float | None
    novelty: float | None
    run: int = 0

    @property
    def said(self) -> Said:
        """What was decided."""
        return Said(self.verdict, self.label, self.reason, self.score, self.novelty)


@dataclass(frozen=True)
class AlarmRow:
    """What became of an alarm, as it was written; see `Alarm`. `time_s` is in seconds since 1970."""

    time_s: float
    name: str
    state: str
    capture: str | None
    run: int = 0


@dataclass(frozen=True)
class ClockJump:
    """The system's clock was set, while a monitor ran or since the run before.

    Attributes:
        time_s: When, as far as it is known; seconds since 1970.
        from_s: What the clock should have said.
        to_s: What it said.
        run: In which run, or before which.
        shifted_s: By how much the times of that run are put right, 0 where the clock was right when it began.
    """

    time_s: float
    from_s: float
    to_s: float
    run: int
    shifted_s: float

    @property
    def words(self) -> str:
        """What happened, for people."""
        return Jump(self.time_s, self.from_s, self.to_s).words


@dataclass(frozen=True)
class TimeSpan:
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
    """What a file says of one machine; decisions, alarms and jumps in the order in which they were written.

    Attributes:
        measured_s: When a window last showed the machine, to the minute, whatever the times that were asked for;
            seconds since 1970, None where none ever did.
        runs: When each of the monitor's runs began and ended, seconds since 1970; infinity for one that did not say
            that it ended.
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
    """Return what a history says of each machine between two times.

    Args:
        path: Of the file; a monitor may be writing it.
        since_s: Seconds since 1970.
        until_s: Likewise.
        span_s: Length of a span, a multiple of a minute; None: a minute, an hour or a day, by how much there is.

    Raises:
        OutputError: If it is no history, or this user may not read it.
    """
    _expect(path)

    def read(connection: sqlite3.Connection) -> list[History]:
        found = [_history(rows, span_s) for rows in _rows(connection, path, since_s, until_s)]
        return [each for each in found if each.spans or each.decisions]

    return read_through(path, read)


def last_measured(path: Path) -> dict[str, float | None]:
    """Return when a window last showed each machine of a history, to the minute, in seconds since 1970; None: never.

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
        return  # not allowed to look: `read_through` says what is missing
    if not found:
        raise OutputError(f"Expected a history at {path}, found none. `drsn-edge monitor --history` writes one.")


def _rows(connection: sqlite3.Connection, path: Path, since_s: float, until_s: float) -> list[MachineRows]:
    if expect_version(connection, path) != SCHEMA_VERSION:
        raise OutputError(f"Expected a history in {path}, got another database.")
    connection.execute("PRAGMA query_only = ON")
    shifted = shifts(connection)
    return [MachineRows(connection, name, since_s, until_s, shifted) for name in machines(connection)]


def _history(rows: MachineRows, span_s: float | None) -> History:
    """Return what a file says of one machine."""
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
    """Return the highest velocity of each minute by its start, of those that have one."""
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
