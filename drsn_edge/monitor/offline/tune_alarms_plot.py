"""False alarms per day against detection delay, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from drsn_edge.monitor.offline.tune_alarms import Point, frontier
from drsn_edge.support.files import written_aside
from drsn_edge.support.wording import plain

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
    # Even steps up to the least rate that these recordings can show, one alarm in all of them, or the allowed one where
    # it is less, and a logarithm above: none at all is drawn where it is, at 0.
    least = min(1 / points[0].false_alarms.days, most_per_day or np.inf)
    axes.set_yscale("symlog", linthresh=least, linscale=0.8)
    axes.yaxis.set_major_locator(FixedLocator(_ticks(least, 1.5 * highest)))
    axes.set(ylim=(0, 1.5 * highest), xlabel="longest delay until an alarm, s", ylabel="false alarms per day")
    if all(point.worst_delay_s > 0 for point in complete):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
    end = chosen.false_alarms.interval()[1]
    style: Any = {"ha": "center", "va": "bottom", "bbox": {"fc": "white", "ec": "none", "pad": 0.5}}
    axes.annotate(plain(end), (x, end), color=_CHOSEN, fontsize=8, **style)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.grid(alpha=0.3, which="both")
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _ticks(least: float, highest: float) -> list[float]:
    """Return 0 and powers of ten from about `least` to `highest`, with 2 and 5 of each where these are few."""
    exponents = range(math.floor(math.log10(least)), math.ceil(math.log10(highest)) + 1)
    steps = (1, 2, 5) if len(exponents) <= 4 else (1,)
    found = (step * 10.0**exponent for exponent in exponents for step in steps)
    return [0.0, *(each for each in found if 0.3 * least <= each <= highest)]
