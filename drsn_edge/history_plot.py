"""What the monitor said over time, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from drsn_edge.files import written_aside
from drsn_edge.monitor.results import AlarmState, Verdict
from drsn_edge.monitor.sinks.history import History

_OTHERS = {Verdict.UNKNOWN.value: "black", Verdict.NO_VERDICT.value: "lightgrey"}
_DAY_S = 86_400.0


def save_history(found: Sequence[History], path: Path) -> None:
    """Save a picture with a panel for each machine: shares of what its windows said, velocity, and alarms.

    Args:
        found: Machines, at least one.
        path: Of a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    states = {state for each in found for span in each.spans for state in span.states}
    labels = sorted(states - set(_OTHERS))
    palette = colormaps["tab20" if len(labels) > 10 else "tab10"]
    colours = {label: palette(index % palette.N) for index, label in enumerate(labels)} | _OTHERS
    figure = Figure(figsize=(12, 1 + 2.6 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, history in zip(panels, found, strict=True):
        _draw_shares(axes, history, colours)
        _draw_velocity(axes, history)
        _draw_alarms(axes, history)
        axes.set(title=history.machine, ylim=(0, 1), ylabel="windows")
        axes.xaxis_date()
    drawn = [axes.get_legend_handles_labels() for axes in panels]
    by_label = {label: handle for handles, names in drawn for handle, label in zip(handles, names, strict=True)}
    panels[0].legend(by_label.values(), by_label.keys(), loc="upper left", bbox_to_anchor=(1.06, 1), fontsize=8)
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _day(time_s: float) -> float:
    return float(date2num(datetime.fromtimestamp(time_s)))  # type: ignore[no-untyped-call]


def _draw_shares(axes: Axes, history: History, colours: Mapping[str, object]) -> None:
    starts = [_day(span.start_s) for span in history.spans]
    width, bottom = history.span_s / _DAY_S, np.zeros(len(starts))
    for state, colour in colours.items():
        shares = np.array([span.states.get(state, 0) / span.windows for span in history.spans])
        if shares.any():
            axes.bar(starts, shares, width, bottom, align="edge", color=colour, label=state)
        bottom = bottom + shares


def _draw_velocity(axes: Axes, history: History) -> None:
    measured = [(span.start_s, span.velocity_mm_s) for span in history.spans if span.velocity_mm_s is not None]
    if not measured:
        return
    beside = axes.twinx()
    times = [_day(start_s + history.span_s / 2) for start_s, _ in measured]
    beside.plot(times, [velocity for _, velocity in measured], "k.-", linewidth=1, markersize=3)
    beside.set(ylabel="velocity, mm/s RMS", ylim=(0, 1.15 * max(velocity for _, velocity in measured) or 1.0))


def _draw_alarms(axes: Axes, history: History) -> None:
    for number, alarm in enumerate(each for each in history.alarms if each.state == AlarmState.RAISED.value):
        axes.axvline(_day(alarm.time_s), color="red", linewidth=1.5, label=None if number else "alarm raised")
