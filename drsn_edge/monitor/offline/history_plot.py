"""Picture of a history: verdicts, velocity and alarms over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from drsn_edge.monitor.sinks.history_reader import AlarmRow, History, TimeSpan
from drsn_edge.monitor.stages.results import AlarmState
from drsn_edge.support.palette import colours_of
from drsn_edge.support.pictures import MARKED, SMALL, new_figure, patches_of, save_picture
from drsn_edge.support.time_axis import DAY_S, day_of, draw_time_axis
from drsn_edge.verdicts import Verdict

_LANE = (1.03, 0.12)
"""Bottom and height of the alarms on the axis of shares, above the shares."""
_HALO = withStroke(linewidth=3, foreground="white")
_VELOCITY, _GAP = "#0077bb", "#f4f4f4"


def save_history(found: Sequence[History], path: Path, until_s: float) -> None:
    """Save a picture with a panel for each machine: shares of verdicts, velocity, alarms and gaps.

    Args:
        found: Data of the machines, at least one.
        path: File of the PNG.
        until_s: End of the time axis, in seconds since 1970.

    Raises:
        OutputError: If it cannot be written.
    """
    colours = colours_of(state for each in found for span in each.spans for state in span.states)
    figure = new_figure(13, 1 + 3.0 * len(found))
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, history in zip(panels, found, strict=True):
        measured = measured_times(history, until_s)
        begins_s = _draw_gaps(axes, history, measured, until_s)
        _draw_shares(axes, history, measured, colours)
        _draw_alarms(axes, history, begins_s, until_s)
        _draw_velocity(axes, history, measured)
        axes.set(title=history.machine, ylabel="share of windows", ylim=(0, sum(_LANE) + 0.02))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        draw_time_axis(axes, begins_s, until_s)
    handles = [*patches_of(colours), *_other_handles(found)]
    figure.legend(handles=handles, loc="outside right upper", fontsize=SMALL)
    save_picture(figure, path)


@dataclass(frozen=True)
class AlarmSpan:
    """An alarm from its beginning to its end.

    Attributes:
        name: The class, or UNKNOWN.
        begin_s: Time when it was raised, in seconds since 1970; the begin of the picture if it was raised before.
        end_s: Time when it was cleared; None if it is still raised.
    """

    name: str
    begin_s: float
    end_s: float | None


def alarm_spans(alarms: Sequence[AlarmRow], begins_s: float) -> list[AlarmSpan]:
    """Return alarms from beginning to end, first the cleared ones in order of their ends, then the raised ones.

    Args:
        alarms: Changes of alarms in order of time.
        begins_s: Begin of the picture, also of an alarm that was cleared in it and raised before.
    """
    raised: dict[str, float] = {}
    spans = []
    for each in alarms:
        if each.state == AlarmState.RAISED.value:
            raised.setdefault(each.name, each.time_s)
        elif each.state == AlarmState.CLEARED.value:
            spans.append(AlarmSpan(each.name, raised.pop(each.name, begins_s), each.time_s))
    return spans + [AlarmSpan(name, begin_s, None) for name, begin_s in raised.items()]


def stretches(spans: Sequence[TimeSpan], span_s: float) -> Iterator[list[TimeSpan]]:
    """Yield runs of spans that follow each other without a gap."""
    run: list[TimeSpan] = []
    for span in spans:
        if run and span.start_s > run[-1].start_s + 1.5 * span_s:
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def measured_times(history: History, until_s: float) -> list[tuple[float, float]]:
    """Return begin and end of the part of each span in which a monitor ran, in seconds since 1970.

    Args:
        history: Data of a machine; a span without a known run counts as a whole.
        until_s: The present, in seconds since 1970.
    """
    found = []
    for span in history.spans:
        begin_s, end_s = span.start_s, span.start_s + history.span_s
        runs = [(began_s, over_s) for began_s, over_s in history.runs if began_s < end_s and over_s > begin_s]
        if runs:
            begin_s = max(begin_s, min(began_s for began_s, _ in runs))
            end_s = min(end_s, max(over_s for _, over_s in runs))
        found.append((begin_s, max(begin_s, min(end_s, until_s))))
    return found


def _judged(span: TimeSpan) -> int:
    return span.windows - span.states.get(Verdict.NO_VERDICT.value, 0)


def _draw_gaps(axes: Axes, history: History, measured: Sequence[tuple[float, float]], until_s: float) -> float:
    """Hatch the time in which nothing was measured, and return the begin of the picture."""
    times = [begin_s for begin_s, _ in measured]
    times += [each.time_s for each in history.decisions] + [each.time_s for each in history.alarms]
    begins_s = min(times, default=until_s - history.span_s)
    at_s = begins_s
    for begin_s, end_s in measured:
        _draw_gap(axes, at_s, begin_s)
        at_s = end_s
    _draw_gap(axes, at_s, until_s)
    return begins_s


def _draw_gap(axes: Axes, begin_s: float, end_s: float) -> None:
    if end_s > begin_s:
        axes.axvspan(
            day_of(begin_s),
            day_of(end_s),
            ymax=1 / (sum(_LANE) + 0.02),
            facecolor=_GAP,
            edgecolor="#cccccc",
            hatch="//",
            linewidth=0,
        )


def _draw_shares(
    axes: Axes, history: History, measured: Sequence[tuple[float, float]], colours: Mapping[str, str]
) -> None:
    starts = [day_of(begin_s) for begin_s, _ in measured]
    width, bottom = [(end_s - begin_s) / DAY_S for begin_s, end_s in measured], np.zeros(len(starts))
    for state, colour in colours.items():
        shares = np.array([span.states.get(state, 0) / span.windows for span in history.spans])
        if shares.any():
            axes.bar(starts, shares, width, bottom, align="edge", color=colour)
        bottom = bottom + shares


def _draw_velocity(axes: Axes, history: History, times: Sequence[tuple[float, float]]) -> None:
    """Draw the velocity; the line is interrupted where nothing was measured or the machine stood still."""
    middles = {span.start_s: sum(own) / 2 for span, own in zip(history.spans, times, strict=True)}
    measured = [(span, span.velocity_mm_s) for span in history.spans if span.velocity_mm_s is not None]
    if not measured:
        return
    beside = axes.twinx()
    running = [span for span, _ in measured if _judged(span)]
    for run in stretches(running, history.span_s):
        values = [span.velocity_mm_s or 0.0 for span in run]
        days = [day_of(middles[span.start_s]) for span in run]
        beside.plot(days, values, ".-", color=_VELOCITY, linewidth=1.2, markersize=3, path_effects=[_HALO])
    highest = max(velocity for _, velocity in measured)
    beside.set_ylim(0, 1.15 * (sum(_LANE) + 0.02) * highest or 1.0)
    beside.set_ylabel("velocity, mm/s RMS", color=_VELOCITY)


def _draw_alarms(axes: Axes, history: History, begins_s: float, until_s: float) -> None:
    for alarm in alarm_spans(history.alarms, begins_s):
        begin, end = day_of(alarm.begin_s), day_of(until_s if alarm.end_s is None else alarm.end_s)
        axes.broken_barh([(begin, max(end - begin, 0.0))], _LANE, facecolor=MARKED, alpha=0.35)
        for time_s in (alarm.begin_s, alarm.end_s):
            if time_s is not None:
                axes.axvline(day_of(time_s), color=MARKED, linewidth=1.2)
        words = f"{alarm.name}, active" if alarm.end_s is None else alarm.name
        axes.text(
            begin, _LANE[0] + _LANE[1] / 2, f" {words}", va="center", fontsize=SMALL, clip_on=True, parse_math=False
        )


def _other_handles(found: Sequence[History]) -> list[Any]:
    handles: list[Any] = []
    if any(each.alarms for each in found):
        handles.append(Patch(facecolor=MARKED, alpha=0.35, label="alarm, from raised to cleared"))
    if any(span.velocity_mm_s is not None for each in found for span in each.spans):
        handles.append(Line2D([], [], color=_VELOCITY, marker=".", label="velocity, mm/s RMS"))
    return [*handles, Patch(facecolor=_GAP, edgecolor="#cccccc", hatch="//", label="not measured")]
