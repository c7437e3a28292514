"""Reading a history: what it says of each machine between two times, whoever writes it meanwhile."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.clock_watch import Jump
from drsn_edge.monitor.sinks.history_file import SCHEMA_VERSION, expect_version
from drsn_edge.monitor.sinks.history_times import DAY_S, shifts
from drsn_edge.monitor.sinks.sqlite_reading import read_through
from drsn_edge.monitor.stages.words import Said
from drsn_edge.verdicts import OF_MACHINE, Verdict


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


# A file may come from elsewhere: what is no number there is 0, and what is no text is one.
_DECISION = (
    "CAST(verdict AS TEXT), CAST(label AS TEXT), CAST(reason AS TEXT), CAST(score AS REAL), CAST(novelty AS REAL)"
)
_ALARM = "ifnull(CAST(name AS TEXT), ''), ifnull(CAST(state AS TEXT), ''), CAST(capture AS TEXT)"
_MINUTE = (
    "ifnull(CAST(verdict AS TEXT), ''), ifnull(CAST(detail AS TEXT), ''), CAST(windows AS INTEGER), "
    "ifnull(CAST(lost_samples AS INTEGER), 0), ifnull(CAST(novelty_sum AS REAL), 0.0)"
)

_Between = tuple[float, float]
_Shifts = Mapping[int, float]


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
    return read_through(path, lambda connection: _read(connection, path, (since_s, until_s), span_s))


def last_measured(path: Path) -> dict[str, float | None]:
    """Return when a window last showed each machine of a history, to the minute, in seconds since 1970; None: never.

    Raises:
        OutputError: As `read_history` does.
    """
    _expect(path)

    def read(connection: sqlite3.Connection) -> dict[str, float | None]:
        _prepare(connection, path)
        shifted = shifts(connection)
        return {machine: _measured(connection, machine, shifted) for machine in _machines(connection)}

    return read_through(path, read)


def _expect(path: Path) -> None:
    try:
        found = path.is_file()
    except OSError:
        return  # not allowed to look: `read_through` says what is missing
    if not found:
        raise OutputError(f"Expected a history at {path}, found none. `drsn-edge monitor --history` writes one.")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if expect_version(connection, path) != SCHEMA_VERSION:
        raise OutputError(f"Expected a history in {path}, got another database.")
    connection.execute("PRAGMA query_only = ON")


def _read(connection: sqlite3.Connection, path: Path, between: _Between, span_s: float | None) -> list[History]:
    _prepare(connection, path)
    shifted = shifts(connection)
    found = [_read_machine(connection, name, between, span_s, shifted) for name in _machines(connection)]
    return [each for each in found if each.spans or each.decisions]


def _machines(connection: sqlite3.Connection) -> list[str]:
    """Return the machines of a file by name; each is found by one step in an index, however many rows it has."""
    names: set[str] = set()
    for table in ("minutes", "decisions"):
        name = ""
        while True:
            row = connection.execute(f"SELECT machine FROM {table} WHERE machine > ? ORDER BY machine LIMIT 1", (name,))
            found = row.fetchone()
            if found is None:
                break
            name = found[0]
            if not isinstance(name, str):
                raise ValueError("a machine without a name")
            names.add(name)
    return sorted(names)


def _read_machine(
    connection: sqlite3.Connection, machine: str, between: _Between, span_s: float | None, shifted: _Shifts
) -> History:
    decisions = _timed(connection, "decisions", _DECISION, machine, between, shifted)
    alarms = _timed(connection, "alarms", _ALARM, machine, between, shifted)
    rows = [row for row in _minutes(connection, "minutes", _MINUTE, machine, between, shifted) if row[3]]
    velocities: dict[float, float] = {}
    for time_s, velocity in _minutes(
        connection, "severities", "CAST(velocity_mm_s AS REAL)", machine, between, shifted
    ):
        if velocity is not None:
            velocities[time_s] = max(velocity, velocities.get(time_s, velocity))
    times = [row[0] for row in rows]
    length_s = span_s or _fitting_span_s(max(times) - min(times) if times else 0.0)
    grouped: dict[int, list[Any]] = {}
    for row in sorted(rows, key=lambda row: row[0]):
        grouped.setdefault(int(row[0] // length_s), []).append(row)
    spans = tuple(_span(number * length_s, own, velocities) for number, own in grouped.items())
    jumps = tuple(_jumps(connection, machine, between, shifted))
    measured_s = _measured(connection, machine, shifted)
    return History(
        machine, tuple(DecisionRow(*row) for row in decisions), tuple(AlarmRow(*row) for row in alarms),
        spans, length_s, jumps, measured_s, tuple(_runs(connection, machine, between, shifted)),
    )  # fmt: skip


def _timed(
    connection: sqlite3.Connection, table: str, columns: str, machine: str, between: _Between, shifted: _Shifts
) -> list[tuple[Any, ...]]:
    """Return rows with a time in the order in which they were written: it, put right, the columns, and the run."""
    found: list[tuple[Any, ...]] = []
    for where, shift_s in _wheres(shifted):
        rows = connection.execute(
            f"SELECT rowid, time_s + ?, {columns}, run FROM {table} "
            f"WHERE machine = ? AND time_s BETWEEN ? AND ? AND {where}",
            (shift_s, machine, between[0] - shift_s, between[1] - shift_s),
        )
        found += rows.fetchall()
    return [row[1:] for row in sorted(found, key=lambda row: row[0])]


def _minutes(
    connection: sqlite3.Connection, table: str, columns: str, machine: str, between: _Between, shifted: _Shifts
) -> list[tuple[Any, ...]]:
    """Return rows of minutes: their start in seconds since 1970, put right, and the columns."""
    found: list[tuple[Any, ...]] = []
    for where, shift_s in _wheres(shifted):
        rows = connection.execute(
            f"SELECT minute * 60 + ?, {columns} FROM {table} WHERE machine = ? AND minute BETWEEN ? AND ? AND {where} "
            "ORDER BY minute",
            (shift_s, machine, *((bound - shift_s) / 60 for bound in between)),
        )
        found += rows.fetchall()
    return found


def _wheres(shifted: _Shifts) -> Iterator[tuple[str, float]]:
    """Return which rows to shift by how much: all but a few runs not at all."""
    yield f"run NOT IN ({', '.join(map(str, shifted))})", 0.0
    alike: dict[float, list[str]] = {}
    for run, shift_s in shifted.items():
        alike.setdefault(shift_s, []).append(str(run))
    for shift_s, runs in alike.items():
        yield f"run IN ({', '.join(runs)})", shift_s


def _jumps(connection: sqlite3.Connection, machine: str, between: _Between, shifted: _Shifts) -> Iterator[ClockJump]:
    rows = connection.execute(
        "SELECT CAST(at_s AS REAL), CAST(from_s AS REAL), CAST(to_s AS REAL), run FROM clock_jumps "
        "WHERE run IN (SELECT run FROM runs WHERE machine = ?) "
        "ORDER BY rowid",
        (machine,),
    )
    for at_s, from_s, to_s, run in rows:
        shift_s = shifted.get(run, 0.0)
        if any(between[0] <= time_s <= between[1] for time_s in (at_s + shift_s, from_s, to_s)):
            yield ClockJump(at_s + shift_s, from_s, to_s, run, shift_s)


def _runs(
    connection: sqlite3.Connection, machine: str, between: _Between, shifted: _Shifts
) -> Iterator[tuple[float, float]]:
    rows = connection.execute(
        "SELECT run, CAST(began_s AS REAL), CAST(ended_s AS REAL), summary IS NOT NULL FROM runs WHERE machine = ? "
        "ORDER BY run",
        (machine,),
    )
    for run, began_s, ended_s, is_over in rows:
        shift_s = shifted.get(run, 0.0)
        began_s, ended_s = began_s + shift_s, ended_s + shift_s if is_over else math.inf
        if began_s <= between[1] and ended_s >= between[0]:
            yield began_s, ended_s


def _measured(connection: sqlite3.Connection, machine: str, shifted: _Shifts) -> float | None:
    """Return when a window last showed a machine; that it stands still shows it, too."""
    latest, shows_it = -math.inf, ", ".join("?" for _ in OF_MACHINE)
    for where, shift_s in _wheres(shifted):
        found = connection.execute(
            "SELECT minute * 60 + ? FROM minutes "
            f"WHERE machine = ? AND (verdict != ? OR detail IN ({shows_it})) AND {where} ORDER BY minute DESC LIMIT 1",
            (shift_s, machine, Verdict.NO_VERDICT.value, *OF_MACHINE),
        ).fetchone()
        latest = max(latest, found[0] if found else latest)
    return latest if math.isfinite(latest) else None


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
