"""The rows of a history: the data of one machine between two times, with corrected times.

A file may come from elsewhere: a value that should be a number becomes one or 0, and any other value becomes text.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drsn_edge.verdicts import OF_MACHINE, Verdict

_DECISION = (
    "CAST(verdict AS TEXT), CAST(label AS TEXT), CAST(reason AS TEXT), CAST(score AS REAL), CAST(novelty AS REAL), "
    "CAST(nearest AS TEXT), CAST(second AS TEXT)"
)
_ALARM = "ifnull(CAST(name AS TEXT), ''), ifnull(CAST(state AS TEXT), ''), CAST(capture AS TEXT)"
_MINUTE = (
    "ifnull(CAST(verdict AS TEXT), ''), ifnull(CAST(detail AS TEXT), ''), CAST(windows AS INTEGER), "
    "ifnull(CAST(lost_samples AS INTEGER), 0), ifnull(CAST(novelty_sum AS REAL), 0.0)"
)

Row = tuple[Any, ...]


def machines(connection: sqlite3.Connection) -> list[str]:
    """Return the machines of a file by name; each takes one step in an index, however many rows it has."""
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
                raise ValueError("a machine has no name")
            names.add(name)
    return sorted(names)


@dataclass(frozen=True)
class MachineRows:
    """The data of one machine between two times.

    Attributes:
        connection: Connection to the file.
        machine: Name of the machine.
        since_s: Start in seconds since 1970.
        until_s: End in seconds since 1970.
        shifted: Corrections of the times of runs; see `shifts`.
    """

    connection: sqlite3.Connection
    machine: str
    since_s: float
    until_s: float
    shifted: Mapping[int, float]

    def decisions(self) -> list[Row]:
        """Return decisions in the order of writing: time, verdict, label, reason, score, novelty, two classes, run."""
        return self._timed("decisions", _DECISION)

    def alarms(self) -> list[Row]:
        """Return changes of alarms in the order of writing: time, name, state, capture, run."""
        return self._timed("alarms", _ALARM)

    def minutes(self) -> list[Row]:
        """Return minutes: start, verdict, class or reason, windows, lost samples, sum of the novelty."""
        return self._minutes("minutes", _MINUTE)

    def velocities(self) -> list[tuple[float, float | None]]:
        """Return the start and the largest velocity of minutes, in mm/s."""
        return [(row[0], row[1]) for row in self._minutes("severities", "CAST(velocity_mm_s AS REAL)")]

    def jumps(self) -> Iterator[Row]:
        """Yield jumps of the system clock: time, reading before, reading after, run, and correction of the run."""
        rows = self.connection.execute(
            "SELECT CAST(at_s AS REAL), CAST(from_s AS REAL), CAST(to_s AS REAL), run FROM clock_jumps "
            "WHERE run IN (SELECT run FROM runs WHERE machine = ?) "
            "ORDER BY rowid",
            (self.machine,),
        )
        for at_s, from_s, to_s, run in rows:
            shift_s = self.shifted.get(run, 0.0)
            if any(self.since_s <= time_s <= self.until_s for time_s in (at_s + shift_s, from_s, to_s)):
                yield at_s + shift_s, from_s, to_s, run, shift_s

    def runs(self) -> Iterator[tuple[float, float]]:
        """Yield start and end of runs; the end is infinity for a run without a summary."""
        rows = self.connection.execute(
            "SELECT run, CAST(began_s AS REAL), CAST(ended_s AS REAL), summary IS NOT NULL FROM runs WHERE machine = ? "
            "ORDER BY run",
            (self.machine,),
        )
        for run, began_s, ended_s, is_over in rows:
            shift_s = self.shifted.get(run, 0.0)
            began_s, ended_s = began_s + shift_s, ended_s + shift_s if is_over else math.inf
            if began_s <= self.until_s and ended_s >= self.since_s:
                yield began_s, ended_s

    def measured_s(self) -> float | None:
        """Return when a window last showed the machine, at any time; a window of a standstill counts as well."""
        latest, shows_it = -math.inf, ", ".join("?" for _ in OF_MACHINE)
        for where, shift_s in self._wheres():
            found = self.connection.execute(
                "SELECT minute * 60 + ? FROM minutes "
                f"WHERE machine = ? AND (verdict != ? OR detail IN ({shows_it})) AND {where} "
                "ORDER BY minute DESC LIMIT 1",
                (shift_s, self.machine, Verdict.NO_VERDICT.value, *OF_MACHINE),
            ).fetchone()
            latest = max(latest, found[0] if found else latest)
        return latest if math.isfinite(latest) else None

    def _timed(self, table: str, columns: str) -> list[Row]:
        """Return rows with a time in the order of writing: the time, the columns, and the run."""
        found: list[Row] = []
        for where, shift_s in self._wheres():
            rows = self.connection.execute(
                f"SELECT rowid, time_s + ?, {columns}, run FROM {table} "
                f"WHERE machine = ? AND time_s BETWEEN ? AND ? AND {where}",
                (shift_s, self.machine, self.since_s - shift_s, self.until_s - shift_s),
            )
            found += rows.fetchall()
        return [row[1:] for row in sorted(found, key=lambda row: row[0])]

    def _minutes(self, table: str, columns: str) -> list[Row]:
        """Return rows of minutes: the start in seconds since 1970, and the columns."""
        found: list[Row] = []
        for where, shift_s in self._wheres():
            rows = self.connection.execute(
                f"SELECT minute * 60 + ?, {columns} FROM {table} "
                f"WHERE machine = ? AND minute BETWEEN ? AND ? AND {where} ORDER BY minute",
                (shift_s, self.machine, *((bound - shift_s) / 60 for bound in (self.since_s, self.until_s))),
            )
            found += rows.fetchall()
        return found

    def _wheres(self) -> Iterator[tuple[str, float]]:
        """Yield conditions on rows and their corrections: most runs need none."""
        yield f"run NOT IN ({', '.join(map(str, self.shifted))})", 0.0
        alike: dict[float, list[str]] = {}
        for run, shift_s in self.shifted.items():
            alike.setdefault(shift_s, []).append(str(run))
        for shift_s, runs in alike.items():
            yield f"run IN ({', '.join(runs)})", shift_s
