"""What the monitor says of recordings over time, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from drsn_edge.monitor.offline.classify import Classified
from drsn_edge.monitor.stages.words import said_by
from drsn_edge.support.files import written_aside
from drsn_edge.support.palette import colours_of
from firmware_bridge.support.shown import printable

_ROW_INCHES = 0.28
_LONGEST_NAME = 80


def save_timelines(found: Sequence[Classified], labels: Sequence[str], window_s: float, path: Path) -> None:
    """Save a picture with a row for each recording, its windows coloured by what they say.

    Args:
        found: The recordings.
        labels: Of the bundle.
        window_s: Length of a window, seconds.
        path: Of a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    states = [[said_by(window).state for window in each.windows] for each in found]
    seen = {state for row in states for state in row}
    colours = colours_of({*labels, *seen})
    figure = Figure(figsize=(12, 1.4 + _ROW_INCHES * len(found)), layout="constrained")
    axes = figure.subplots()
    for row, (each, said) in enumerate(zip(found, states, strict=True)):
        starts = np.array([window.device_time_s for window in each.windows])
        ends = np.append(starts[1:], starts[-1] + window_s)
        bars = list(zip(starts, ends - starts, strict=True))
        axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=[colours[state] for state in said])
    names = [printable(each.recording, _LONGEST_NAME) for each in found]
    axes.set_yticks(range(len(found)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set(xlabel="time in the recording, s", ylabel="recording")
    handles = [Patch(color=colour, label=state) for state, colour in colours.items() if state in seen]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
