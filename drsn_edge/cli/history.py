"""`drsn-edge history`."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, json_option
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.support.wall_time import iso_time, minute_in_words, span_in_words
from drsn_edge.support.wording import counted
from drsn_edge.verdicts import LAST_MEASURED, NO_CLASS, Verdict
from firmware_bridge.support.shown import printable

if TYPE_CHECKING:
    from drsn_edge.monitor.sinks.history_reader import AlarmRow, ClockJump, DecisionRow, History, TimeSpan

_BLOCKS = " ▁▂▃▄▅▆▇█"
_NOTHING = "·"
_MOST_SPANS = 60
_MOST_NAMES = 50


@click.command()
@click.argument("file", type=PathType)
@click.option(
    "--since",
    type=Duration(positive=True),
    default="7d",
    show_default=True,
    help="Time to look back, in seconds or with a unit: 12h, 7d.",
)
@click.option(
    "--every",
    type=Duration(positive=True),
    help="Length of one step, in seconds or with a unit, rounded to minutes.  [default: a minute, an hour or a day, "
    "so that all steps fit one line]",
)
@click.option("--machine", metavar="NAME", help="Machine to show.  [default: all machines]")
@click.option(
    "--picture", type=PathType, metavar="FILE", help="Draw the history into this PNG file. Needs the extra `plots`."
)
@json_option
def history(
    file: Path, since: float, every: float | None, machine: str | None, picture: Path | None, as_json: bool
) -> None:
    """Show the history that a monitor wrote.

    FILE is the SQLite file of `drsn-edge monitor --history FILE`.

    \b
    Example:
      drsn-edge history pump3.sqlite --since 2d --picture week.png
    """
    from drsn_edge.monitor.sinks.history_reader import last_measured, read_history

    now_s = time.time()
    span_s = None if every is None else 60.0 * max(1, round(every / 60))
    found = [each for each in read_history(file, now_s - since, now_s, span_s) if machine in (None, each.machine)]
    if every is None and not as_json and picture is None and any(len(each.spans) > _MOST_SPANS for each in found):
        daily = read_history(file, now_s - since, now_s, 86_400.0)  # so few steps that all fit into a line
        found = [each for each in daily if machine in (None, each.machine)]
    if machine is not None and not found:
        _check_machine(file, machine)
    if picture is not None and found:
        from drsn_edge.monitor.offline.history_plot import save_history

        save_history(found, picture, now_s)
    if as_json:
        print_json("history", {"machines": [_as_json(each) for each in found]})
        return
    ahead = {each.machine: each for each in read_history(file, now_s + 60, math.inf, 86_400.0)}
    texts = [_as_text(each, now_s) + _to_come(ahead.get(each.machine)) for each in found]
    if not found:
        every_time = last_measured(file)
        times = {name: time_s for name, time_s in every_time.items() if machine in (None, name)}
        nothing = "no result in that time" if every_time else "no result was written yet"
        texts = ["\n".join([nothing, *(f"{name}: {_last(at_s, now_s)}" for name, at_s in times.items())])]
    lines = "\n\n".join(texts).split("\n")
    print_text("\n".join(map(printable, lines)))  # a file may come from elsewhere, with anything for a name


def _check_machine(file: Path, machine: str) -> None:
    """Refuse the name of a machine that a file does not hold, and list the machines that it does."""
    from drsn_edge.monitor.sinks.history_reader import last_measured

    names = list(last_measured(file))
    if machine not in names:
        shown = ", ".join(printable(name) for name in names[:_MOST_NAMES]) or "none"
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        raise click.ClickException(
            f"{file} holds no machine {machine!r}. Leave --machine out, or type one of these names: {shown}{more}."
        )


def _as_json(found: History) -> dict[str, Any]:
    """Return a history as plain values, with each time also as text with its zone."""
    values = asdict(found)
    del values["runs"]  # only the picture needs them
    for name, key in (("decisions", "time_s"), ("alarms", "time_s"), ("jumps", "time_s"), ("spans", "start_s")):
        values[name] = [{**each, "time": iso_time(each[key])} for each in values[name]]
    return {**values, "measured": None if found.measured_s is None else iso_time(found.measured_s)}


def _last(measured_s: float | None, now_s: float) -> str:
    if measured_s is None:
        return "never measured"
    if measured_s > now_s + 60:
        return f"{LAST_MEASURED} {minute_in_words(measured_s)}, which is in the future by the clock of this machine"
    return f"{LAST_MEASURED} {minute_in_words(measured_s)}, {span_in_words(max(0.0, now_s - measured_s))} ago"


def _to_come(found: History | None) -> str:
    if found is None or not found.spans:
        return ""
    n = sum(span.windows for span in found.spans)
    return f"\n  {counted(n, 'window')} with times in the future: the system's clock was ahead when they were written"


def _with_gaps(found: History) -> list[TimeSpan | None]:
    """Return the steps to show, all of the same length; None where nothing was measured."""
    by_number = {round(span.start_s / found.span_s): span for span in found.spans}
    if not by_number:
        return []
    last = max(by_number)
    return [by_number.get(number) for number in range(max(min(by_number), last - _MOST_SPANS + 1), last + 1)]


def _as_text(found: History, now_s: float) -> str:
    lines = [found.machine]
    states = sorted({state for span in found.spans for state in span.states}, key=_rank)
    steps = _with_gaps(found)
    spans = [span for span in steps if span is not None]
    if len(spans) < len(found.spans):
        lines.append(f"  (the last {len(spans)} of {len(found.spans)} steps; --every or --json shows all)")
    width = max((len(state) for state in (*states, "velocity")), default=0)
    for state in states:
        shares = [None if span is None else span.states.get(state, 0) / span.windows for span in steps]
        lines.append(f"  {state:{width}}  {''.join(map(_block, shares))}  {_total(found, state):6.1%}")
    velocities = [None if span is None else span.velocity_mm_s for span in steps]
    if highest := max((velocity for velocity in velocities if velocity is not None), default=0.0):
        bars = "".join(_block(None if velocity is None else velocity / highest) for velocity in velocities)
        lines.append(f"  {'velocity':{width}}  {bars}  up to {highest:.2f} mm/s RMS")
    if spans:
        every = f"{found.span_s / 60:g} min" if found.span_s < 3600 else f"{found.span_s / 3600:g} h"
        lost = sum(span.lost_samples for span in found.spans)
        lines.append(f"  {'':{width}}  {minute_in_words(spans[0].start_s)} to {_when(spans[-1].start_s)}, {every} each")
        if None in steps:
            lines.append(f"  {'':{width}}  {_NOTHING} no samples")
        lines.append(f"  {sum(span.windows for span in found.spans)} windows, {lost} samples lost")
    lines.append(f"  {_last(found.measured_s, now_s)}")
    said: list[DecisionRow | AlarmRow | ClockJump] = [*found.decisions, *found.alarms, *found.jumps]
    said.sort(key=lambda each: (each.run, each.time_s))  # a clock may have been set back between two runs
    lines += [f"  {_when(each.time_s)}  {_words(each)}" for each in said]
    return "\n".join(lines)


def _words(of: DecisionRow | AlarmRow | ClockJump) -> str:
    from drsn_edge.monitor.sinks.history_reader import AlarmRow, DecisionRow
    from drsn_edge.monitor.stages.words import alarm_words

    if isinstance(of, DecisionRow):
        return of.said.words
    if isinstance(of, AlarmRow):
        return alarm_words(of.name, of.state)
    corrected = "; the times of this run are corrected" if of.shifted_s else ""
    return f"the system's clock was {of.words}, to {minute_in_words(of.to_s)}{corrected}"


def _rank(state: str) -> tuple[int, str]:
    """Return a key that sorts labels first, alphabetically, and then the verdicts that name no class."""
    return NO_CLASS.index(Verdict(state)) + 1 if state in set(NO_CLASS) else 0, state


def _block(share: float | None) -> str:
    """Return a bar in eighths. Any share above 0 is visible, and only a share of 1 fills the bar."""
    if share is None:
        return _NOTHING
    eighths = round(8 * share)
    return _BLOCKS[min(max(eighths, int(share > 0)), 8 if share == 1 else 7)]


def _total(found: History, state: str) -> float:
    return sum(span.states.get(state, 0) for span in found.spans) / sum(span.windows for span in found.spans)


def _when(time_s: float) -> str:
    return minute_in_words(time_s)[:16]
