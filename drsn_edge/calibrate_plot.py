"""False alarms per day against detection delay, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from drsn_edge.calibrate import Point, frontier
from drsn_edge.files import written_aside


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
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    complete = [point for point in points if np.isfinite(point.worst_delay_s)]
    least = 0.3 / points[0].false_alarms.days  # where none are drawn: a logarithm has no 0
    axes.scatter(
        [point.worst_delay_s for point in complete],
        [max(point.false_alarms.per_day, least) for point in complete],
        c=[point.settings.windows for point in complete],
        cmap="viridis_r",
        s=14,
        label="settings (darker: more windows)",
    )
    best = [point for point in frontier(complete) if np.isfinite(point.worst_delay_s)]
    for point in best:
        axes.vlines(point.worst_delay_s, *_drawn(point.false_alarms.interval(), least), color="grey", linewidth=1)
    x, y = chosen.worst_delay_s, max(chosen.false_alarms.per_day, least)
    axes.plot(x, y, "o", markersize=13, markerfacecolor="none", color="tab:red", label="chosen")
    axes.vlines(
        x, *_drawn(chosen.false_alarms.interval(), least), color="tab:red", label="95 % interval (grey: frontier)"
    )
    axes.axhline(most_per_day, linestyle=":", color="black", label=f"allowed: {most_per_day:g} per day")
    axes.axhspan(least * 0.7, least * 1.4, color="tab:green", alpha=0.12, label="none in these recordings")
    axes.set(xscale="log", yscale="log", xlabel="longest delay until an alarm, s", ylabel="false alarms per day")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, which="both")
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _drawn(interval: tuple[float, float], least: float) -> tuple[float, float]:
    return max(interval[0], least), interval[1]
