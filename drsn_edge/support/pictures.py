"""What all pictures share: their sizes, letters, grids and legends, the colours of series, and how a file is written.

Colours of labels and verdicts are those of `drsn_edge.support.palette`. It needs matplotlib, as every module does that
draws; whoever draws is imported when something is to be drawn.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from drsn_edge.support.files import written_aside

SCREEN_DPI = 110
"""Of a picture by itself, up to 13 inches wide."""
PAGE_DPI = 120
"""Of a picture in a page or a paper, up to 8 inches wide: on a phone its letters stay legible."""
SMALL = 8
"""Points of letters in a legend, a cell or beside a mark."""

BLUE, ORANGE, GREEN, RED, GREY = "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:gray"
"""Series that are no labels, in the order in which a picture takes them."""
MARKED = "#cc3311"
"""What a reader should see first: an alarm, the setting that was chosen."""


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure whose parts make room for each other's texts."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def draw_grid(*panels: Any) -> None:
    """Draw a grid that stays behind what is drawn, on each of these axes."""
    for axes in panels:
        axes.grid(alpha=0.3)


def patches_of(colours: Mapping[str, str], shown: Container[str] | None = None) -> list[Patch]:
    """Return what a legend shows of states and their colours; `shown` are those that occur, None: all of them."""
    return [Patch(color=colour, label=state) for state, colour in colours.items() if shown is None or state in shown]


def legend_beside(axes: Any, **more: Any) -> None:
    """Put the legend to the right of axes, where it hides nothing; `more` is matplotlib's."""
    axes.legend(**more, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.01, 1))


def save_picture(figure: Figure, path: Path, dpi: int = SCREEN_DPI) -> None:
    """Save a figure as a PNG, whole or not at all.

    Raises:
        OutputError: If it cannot be written; what was there is then as it was.
    """
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def png_of(figure: Figure, dpi: int = PAGE_DPI) -> bytes:
    """Return a figure as a PNG."""
    png = BytesIO()
    figure.savefig(png, dpi=dpi, format="png")
    return png.getvalue()
