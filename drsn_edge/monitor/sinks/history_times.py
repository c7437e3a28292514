"""Which times of a history to trust, and how old its rows are.

Times in a history come from a run's own clock: the system time at the start of the run, continued by a monotonic clock.
The system clock may jump meanwhile; `clock_jumps` has its readings, and the reader of the file decides which of them to
trust (`shifts`). Rows that were written are never changed for that.

The age of a row is the time for which monitors have run since (`runs.seen_s`), which setting a clock cannot change.
"""

from __future__ import annotations

import sqlite3

from drsn_edge.monitor.sinks.clock_watch import JUMP_S, believed_offset_s

DAY_S = 86_400.0
_NEVER_S = 1e15


def seen_s(connection: sqlite3.Connection) -> float:
    """Return for how long monitors have written to the file, in seconds; monitors at the same time count once."""
    (found,) = connection.execute("SELECT ifnull(max(seen_s + lasted_s), 0.0) FROM runs").fetchone()
    return float(found)


def remove_older(connection: sqlite3.Connection, keep_s: float) -> None:
    """Remove rows older than `keep_s` seconds of monitoring; nothing within a day of a jump of the clock."""
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
        before_s = _NEVER_S if is_over else until_s  # also rows that a run wrote after its last update
        where = "WHERE machine = ? AND run = ?"
        for table in ("decisions", "alarms"):
            connection.execute(f"DELETE FROM {table} {where} AND time_s < ?", (machine, run, before_s))
        for table in ("minutes", "severities"):
            connection.execute(f"DELETE FROM {table} {where} AND minute < ?", (machine, run, int(before_s // 60)))
        if is_over:
            connection.execute("DELETE FROM runs WHERE run = ?", (run,))
            connection.execute("DELETE FROM clock_jumps WHERE run = ?", (run,))


def shifts(connection: sqlite3.Connection) -> dict[int, float]:
    """Return the corrections of the times of runs in seconds, by run, for runs that need one.

    A monotonic clock continues within one boot of the machine, so one right reading of the system clock corrects all
    runs of that boot, earlier ones included.
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
    """Return each offset of the system clock in a run: its end by the monotonic clock, the offset, its duration."""
    jumps = connection.execute("SELECT at_s, to_s FROM clock_jumps WHERE run = ? ORDER BY rowid", (run,)).fetchall()
    starts = [(began_s, own_s), *((at_s, own_s + to_s - at_s) for at_s, to_s in jumps)]
    ends = [*(at_s for at_s, _ in jumps), max(ended_s, starts[-1][0])]
    return [(end_s - own_s, offset_s, end_s - from_s) for (from_s, offset_s), end_s in zip(starts, ends, strict=True)]


def last_offset_s(connection: sqlite3.Connection, run: int) -> float | None:
    """Return the offset of the system clock from the monotonic clock at the last update of a run."""
    found = connection.execute("SELECT began_s - steady_s FROM runs WHERE run = ?", (run,)).fetchone()
    if found is None or found[0] is None:
        return None
    jump = connection.execute(
        "SELECT to_s - at_s FROM clock_jumps WHERE run = ? ORDER BY rowid DESC LIMIT 1", (run,)
    ).fetchone()
    return float(found[0] + (jump[0] if jump else 0.0))
