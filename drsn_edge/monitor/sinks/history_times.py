"""Which times of a history to believe, and how old its rows are.

Times in a history are those of a run's own clock: the system's time when the run began, carried on by a clock that
nobody can set. The system's clock may jump meanwhile; `clock_jumps` has what it said, and whoever reads the file
decides which of its readings to believe (`shifts`). Nothing that was written is changed for that.

What is old is decided by how long the file has seen monitors run (`runs.seen_s`), which no clock that is set hastens.
"""

from __future__ import annotations

import sqlite3

from drsn_edge.monitor.sinks.clock_watch import JUMP_S, believed_offset_s

DAY_S = 86_400.0
_NEVER_S = 1e15


def seen_s(connection: sqlite3.Connection) -> float:
    """Return for how long the file has seen monitors run, in seconds; those that ran at once count once."""
    (found,) = connection.execute("SELECT ifnull(max(seen_s + lasted_s), 0.0) FROM runs").fetchone()
    return float(found)


def remove_older(connection: sqlite3.Connection, keep_s: float) -> None:
    """Remove what was written before the file had seen its last `keep_s` seconds; nothing within a day of a jump."""
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
        before_s = _NEVER_S if is_over else until_s  # what a run wrote behind its last word, too
        where = "WHERE machine = ? AND run = ?"
        for table in ("decisions", "alarms"):
            connection.execute(f"DELETE FROM {table} {where} AND time_s < ?", (machine, run, before_s))
        for table in ("minutes", "severities"):
            connection.execute(f"DELETE FROM {table} {where} AND minute < ?", (machine, run, int(before_s // 60)))
        if is_over:
            connection.execute("DELETE FROM runs WHERE run = ?", (run,))
            connection.execute("DELETE FROM clock_jumps WHERE run = ?", (run,))


def shifts(connection: sqlite3.Connection) -> dict[int, float]:
    """Return by how much the times of runs must be corrected, in seconds, of those that must be.

    Within one start of the machine a steady clock goes on, so that one right reading of the system's clock puts all
    runs of that start right, those before it included.
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
    """Return until when (by the steady clock) each offset of the system's clock held in a run, it, and how long."""
    jumps = connection.execute("SELECT at_s, to_s FROM clock_jumps WHERE run = ? ORDER BY rowid", (run,)).fetchall()
    starts = [(began_s, own_s), *((at_s, own_s + to_s - at_s) for at_s, to_s in jumps)]
    ends = [*(at_s for at_s, _ in jumps), max(ended_s, starts[-1][0])]
    return [(end_s - own_s, offset_s, end_s - from_s) for (from_s, offset_s), end_s in zip(starts, ends, strict=True)]


def last_offset_s(connection: sqlite3.Connection, run: int) -> float | None:
    """Return by how much the system's clock was ahead of the steady one when a run was last heard of."""
    found = connection.execute("SELECT began_s - steady_s FROM runs WHERE run = ?", (run,)).fetchone()
    if found is None or found[0] is None:
        return None
    jump = connection.execute(
        "SELECT to_s - at_s FROM clock_jumps WHERE run = ? ORDER BY rowid DESC LIMIT 1", (run,)
    ).fetchone()
    return float(found[0] + (jump[0] if jump else 0.0))
