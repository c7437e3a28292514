"""Picture of the verdicts on recordings over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drsn_edge.monitor.offline.classify import Classified
from drsn_edge.support.palette import colours_of
from drsn_edge.support.pictures import SMALL, legend_beside, new_figure, patches_of, save_picture
from firmware_bridge.support.shown import printable

_ROW_INCHES = 0.28
_LONGEST_NAME = 80


def save_timelines(found: Sequence[Classified], labels: Sequence[str], window_s: float, path: Path) -> None:
    """Save a picture with a row for each recording, its windows coloured by their verdicts.

    Args:
        found: Results of the recordings.
        labels: Labels of the bundle.
        window_s: Length of a window in seconds.
        path: File of the PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    seen = {state for each in found for state in each.counts}
    colours = colours_of({*labels, *seen})
    figure = new_figure(12, 1.4 + _ROW_INCHES * len(found))
    axes = figure.subplots()
    for row, each in enumerate(found):
        starts = each.starts_s
        ends = np.append(starts[1:], starts[-1] + window_s)
        bars = list(zip(starts, ends - starts, strict=True))
        axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=[colours[state] for state in each.states])
    names = [printable(each.recording, _LONGEST_NAME) for each in found]
    axes.set_yticks(range(len(found)), names, fontsize=SMALL, parse_math=False)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set(xlabel="time in the recording, s", ylabel="recording")
    legend_beside(axes, handles=patches_of(colours, seen))
    save_picture(figure, path)
