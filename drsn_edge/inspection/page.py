"""The folder of an inspection: a page that opens from disk, and the figures.

report.html        everything, self-contained
inspection.json    what `drsn-edge inspect --json` prints
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drsn_edge.evaluation.report import PAGE, embedded, environment
from drsn_edge.inspection.plots import draw_pictures
from drsn_edge.inspection.report import report_to_bytes
from drsn_edge.inspection.text import generalisation_of
from drsn_edge.support.files import folder_aside

FIGURES = "inspection.json"
_TEMPLATE = "inspection.html.j2"


def is_inspection_folder(folder: Path) -> bool:
    """Tell whether `folder` looks like one that `save_page` wrote."""
    return (folder / PAGE).is_file() and (folder / FIGURES).is_file()


def save_page(report: Mapping[str, Any], folder: Path) -> None:
    """Write a report to `folder`, replacing what is there.

    Raises:
        OutputError: If it cannot be written; the folder is then as it was.
    """
    with folder_aside(folder) as new:
        (new / PAGE).write_text(render_inspection(report), encoding="utf-8")
        (new / FIGURES).write_bytes(report_to_bytes(report))


def render_inspection(report: Mapping[str, Any]) -> str:
    """Return the HTML of a report as `drsn_edge.inspection.report` makes it."""
    found = generalisation_of(report)
    warning = "" if found is None else found.warning
    template = environment().get_template(_TEMPLATE)
    pictures = embedded(draw_pictures(report))
    return template.render(report, pictures=pictures, by_step=by_step, generalisation_warning=warning)


def by_step(histogram: Mapping[str, int]) -> list[tuple[int, int]]:
    """Return a histogram of JSON, whose keys are texts, in the order of its steps as numbers."""
    return sorted((int(step), count) for step, count in histogram.items())
