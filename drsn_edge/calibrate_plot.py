"""False alarms per day against detection delay, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from drsn_edge.calibrate import Point, frontier
from drsn_edge.files import written_aside

_CHOSEN = "#cc3311"


def save_tradeoff(points: Sequence[Point], chosen: Point, most_per_day: float, path: Path) -> None:
    """Save a picture of all points, those that no other beats with their intervals, and the chosen one.

    Args:
        points: Of the sweep.
        chosen: One of them.
        most_per_day: False alarms that were allowed.
        path: Of a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    complete = [point for point in points if np.isfinite(point.worst_delay_s)]
    axes.scatter(
        [point.worst_delay_s for point in complete],
        [point.false_alarms.per_day for point in complete],
        c=[point.settings.windows for point in complete],
        cmap="viridis_r",
        s=14,
        zorder=3,
        clip_on=False,
        label="settings (darker: more windows)",
    )
    for point in frontier(complete):
        if np.isfinite(point.worst_delay_s):
            axes.vlines(point.worst_delay_s, *point.false_alarms.interval(), color="grey", linewidth=1)
    x, y = chosen.worst_delay_s, chosen.false_alarms.per_day
    axes.plot(x, y, "o", markersize=13, markerfacecolor="none", color=_CHOSEN, clip_on=False, zorder=4, label="chosen")
    axes.vlines(x, *chosen.false_alarms.interval(), color=_CHOSEN, label="95 % interval (grey: of the best settings)")
    axes.axhline(most_per_day, linestyle=":", color="black", label=f"allowed: {most_per_day:g} per day")
    highest = max(point.false_alarms.interval()[1] for point in complete or [chosen])
    # Even steps up to the least rate that these recordings can show, one alarm in all of them, and a logarithm above:
    # none at all is drawn where it is, at 0.
    axes.set_yscale("symlog", linthresh=1 / points[0].false_alarms.days, linscale=0.8)
    axes.set(ylim=(0, 1.5 * highest), xlabel="longest delay until an alarm, s", ylabel="false alarms per day")
    if all(point.worst_delay_s > 0 for point in complete):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.grid(alpha=0.3, which="both")
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
