"""What all pictures share: sizes, letters, grids, legends, colours of series, and how the file is written.

Colours of labels and verdicts come from `drsn_edge.support.palette`. This module needs matplotlib, so a module that
draws is imported only when a picture is wanted.
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
"""Resolution of a picture by itself, up to 13 inches wide."""
PAGE_DPI = 120
"""Resolution of a picture in a page or a paper, up to 8 inches wide; letters stay legible on a phone."""
SMALL = 8
"""Size in points of letters in a legend, in a cell or beside a mark."""

BLUE, ORANGE, GREEN, RED, GREY = "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:gray"
"""Colours of series that are not labels, in the order in which a picture takes them."""
MARKED = "#cc3311"
"""Colour of what a reader should see first: an alarm, the chosen setting."""


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure whose layout keeps texts apart."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def draw_grid(*panels: Any) -> None:
    """Draw a light grid on each of these axes."""
    for axes in panels:
        axes.grid(alpha=0.3)


def patches_of(colours: Mapping[str, str], shown: Container[str] | None = None) -> list[Patch]:
    """Return legend entries of states in their colours: of the states in `shown`, or of all for None."""
    return [Patch(color=colour, label=state) for state, colour in colours.items() if shown is None or state in shown]


def legend_beside(axes: Any, **more: Any) -> None:
    """Put the legend to the right of the axes, where it hides nothing; `more` goes to matplotlib."""
    axes.legend(**more, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.01, 1))


def save_picture(figure: Figure, path: Path, dpi: int = SCREEN_DPI) -> None:
    """Save a figure as a PNG, completely or not at all.

    Raises:
        OutputError: If it cannot be written; an existing file is then unchanged.
    """
    with written_aside(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def png_of(figure: Figure, dpi: int = PAGE_DPI) -> bytes:
    """Return a figure as a PNG."""
    png = BytesIO()
    figure.savefig(png, dpi=dpi, format="png")
    return png.getvalue()
