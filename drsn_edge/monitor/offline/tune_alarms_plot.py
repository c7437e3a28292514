"""Picture of false alarms per day against detection delay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from drsn_edge.monitor.offline.tune_alarms import Point, Tuning, frontier
from drsn_edge.support.pictures import MARKED, SMALL, legend_beside, new_figure, save_picture
from drsn_edge.support.wording import plain


def save_tradeoff(tuning: Tuning, path: Path) -> None:
    """Save a picture of all outcomes, the intervals of those that no other beats, and the chosen one.

    Args:
        tuning: Outcomes and the chosen one.
        path: File of the PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    figure = new_figure(9, 5.5)
    axes = figure.subplots()
    chosen, most_per_day = tuning.chosen, tuning.goal.most_per_day
    complete = [point for point in tuning.points if np.isfinite(point.worst_delay_s)]
    _draw_settings(axes, complete)
    _draw_chosen(axes, chosen)
    axes.axhline(most_per_day, linestyle=":", color="black", label=f"allowed: {most_per_day:g} per day")
    highest = max(point.false_alarms.interval()[1] for point in complete or [chosen])
    # The axis is linear up to the lowest rate that these recordings can show (one alarm in all of them, or the limit if
    # that is lower) and logarithmic above, so that no false alarm at all is drawn at 0.
    _scale_rates(axes, min(1 / chosen.false_alarms.days, most_per_day or np.inf), 1.5 * highest)
    _scale_delays(axes, complete)
    legend_beside(axes)
    axes.grid(alpha=0.3, which="both")
    save_picture(figure, path)


def _draw_settings(axes: Any, points: Sequence[Point]) -> None:
    axes.scatter(
        [point.worst_delay_s for point in points],
        [point.false_alarms.per_day for point in points],
        c=[point.settings.windows for point in points],
        cmap="viridis_r",
        s=14,
        zorder=3,
        clip_on=False,
        label="settings (darker: more windows)",
    )
    for point in frontier(points):
        if np.isfinite(point.worst_delay_s):
            axes.vlines(point.worst_delay_s, *point.false_alarms.interval(), color="grey", linewidth=1)


def _draw_chosen(axes: Any, chosen: Point) -> None:
    x, y = chosen.worst_delay_s, chosen.false_alarms.per_day
    axes.plot(x, y, "o", markersize=13, markerfacecolor="none", color=MARKED, clip_on=False, zorder=4, label="chosen")
    axes.vlines(x, *chosen.false_alarms.interval(), color=MARKED, label="95 % interval (grey: of the best settings)")
    end = chosen.false_alarms.interval()[1]
    style: Any = {"ha": "center", "va": "bottom", "bbox": {"fc": "white", "ec": "none", "pad": 0.5}}
    axes.annotate(plain(end), (x, end), color=MARKED, fontsize=SMALL, **style)


def _scale_rates(axes: Any, least: float, highest: float) -> None:
    axes.set_yscale("symlog", linthresh=least, linscale=0.8)
    axes.yaxis.set_major_locator(FixedLocator(_ticks(least, highest)))
    axes.yaxis.set_major_formatter(plain)
    axes.set(ylim=(0, highest), ylabel="false alarms per day")


def _scale_delays(axes: Any, points: Sequence[Point]) -> None:
    axes.set(xlabel="longest delay until an alarm, s")
    if all(point.worst_delay_s > 0 for point in points):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(plain)


def _ticks(least: float, highest: float) -> list[float]:
    """Return 0 and powers of ten from about `least` to `highest`, with multiples by 2 and 5 if these are few."""
    exponents = range(math.floor(math.log10(least)), math.ceil(math.log10(highest)) + 1)
    steps = (1, 2, 5) if len(exponents) <= 4 else (1,)
    found = (step * 10.0**exponent for exponent in exponents for step in steps)
    return [0.0, *(each for each in found if 0.3 * least <= each <= highest)]
