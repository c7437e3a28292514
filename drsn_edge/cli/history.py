"""`drsn-edge history`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import Duration, PathType, json_option

if TYPE_CHECKING:
    from drsn_edge.monitor.sinks.history import DecisionRow, History

_BLOCKS = " ▁▂▃▄▅▆▇█"
_MOST_SPANS = 60


@click.command()
@click.argument("file", type=PathType)
@click.option("--since", type=Duration(positive=True), default="7d", show_default=True, help="How far to look back.")
@click.option(
    "--every", type=Duration(positive=True), help="Sum up so much.  [default: a minute, an hour or a day, as fits]"
)
@click.option("--machine", help="Only this one.")
@click.option("--picture", type=PathType, metavar="PNG", help="Draw it, too; needs the extra `plots`.")
@json_option
def history(
    file: Path, since: float, every: float | None, machine: str | None, picture: Path | None, as_json: bool
) -> None:
    """Show what the monitor said over time: FILE is what `monitor --history` writes.

    \b
    Example:
      drsn-edge history pump3.sqlite --since 2d --picture week.png
    """
    from drsn_edge.monitor.sinks.history import read_history

    now_s = time.time()
    span_s = None if every is None else 60.0 * max(1, round(every / 60))
    found = [each for each in read_history(file, now_s - since, now_s, span_s) if machine in (None, each.machine)]
    if picture is not None and found:
        from drsn_edge.history_plot import save_history

        save_history(found, picture, now_s)
    if as_json:
        click.echo(json.dumps({"schema": 1, "type": "history", "machines": [asdict(each) for each in found]}))
        return
    click.echo("\n\n".join(map(_as_text, found)) or "nothing in that time")


def _as_text(found: History) -> str:
    lines = [found.machine]
    states = sorted({state for span in found.spans for state in span.states}, key=_rank)
    spans = found.spans[-_MOST_SPANS:]
    if len(spans) < len(found.spans):
        lines.append(f"  (the last {len(spans)} of {len(found.spans)}; --every or --json for all)")
    width = max((len(state) for state in (*states, "velocity")), default=0)
    for state in states:
        shares = [span.states.get(state, 0) / span.windows for span in spans]
        lines.append(f"  {state:{width}}  {''.join(map(_block, shares))}  {_total(found, state):6.1%}")
    velocities = [span.velocity_mm_s or 0.0 for span in spans]
    if highest := max(velocities, default=0.0):
        bars = "".join(_block(velocity / highest) for velocity in velocities)
        lines.append(f"  {'velocity':{width}}  {bars}  up to {highest:.2f} mm/s RMS")
    if spans:
        every = f"{found.span_s / 60:g} min" if found.span_s < 3600 else f"{found.span_s / 3600:g} h"
        lost = sum(span.lost_samples for span in found.spans)
        lines.append(f"  {'':{width}}  {_when(spans[0].start_s)} to {_when(spans[-1].start_s)}, {every} each")
        lines.append(f"  {sum(span.windows for span in found.spans)} windows, {lost} samples lost in them")
    said = [(each.time_s, _what(each)) for each in found.decisions]
    said += [(each.time_s, f"ALARM {each.name} {each.state.lower()}") for each in found.alarms]
    lines += [f"  {_when(time_s)}  {words}" for time_s, words in sorted(said)]
    return "\n".join(lines)


def _rank(state: str) -> tuple[int, str]:
    return (("UNKNOWN", "NO_VERDICT").index(state) + 1 if state in ("UNKNOWN", "NO_VERDICT") else 0, state)


def _block(share: float) -> str:
    """Return a bar of eighths; the least that there is shows, and all but all is not all."""
    eighths = round(8 * share)
    return _BLOCKS[min(max(eighths, int(share > 0)), 8 if share == 1 else 7)]


def _total(found: History, state: str) -> float:
    return sum(span.states.get(state, 0) for span in found.spans) / sum(span.windows for span in found.spans)


def _what(decision: DecisionRow) -> str:
    score = "" if decision.score is None else f" ({decision.score:.0%})"
    if decision.verdict == "CLASS":
        return f"{decision.label}{score}"
    if decision.verdict == "UNKNOWN":
        return f"UNKNOWN ({decision.novelty:.1f} times the limit)" if decision.novelty else "UNKNOWN"
    return f"{decision.verdict} ({decision.reason})"


def _when(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s))
