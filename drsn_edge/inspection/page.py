"""The folder of an inspection: a page that opens from disk, and its figures.

report.html        the whole report in one file
inspection.json    the output of `drsn-edge inspect --json`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drsn_edge.evaluation.report import PAGE, embedded, environment
from drsn_edge.inspection.plots import draw_pictures
from drsn_edge.inspection.report import report_to_bytes
from drsn_edge.inspection.text import generalisation_of
from drsn_edge.inspection.without_network import early_lines, rows_of
from drsn_edge.support.files import folder_aside

FIGURES = "inspection.json"
_TEMPLATE = "inspection.html.j2"


def is_inspection_folder(folder: Path) -> bool:
    """Return whether `folder` looks like one that `save_page` wrote."""
    return (folder / PAGE).is_file() and (folder / FIGURES).is_file()


def save_page(report: Mapping[str, Any], folder: Path) -> None:
    """Write a report to `folder`, replacing its contents.

    Raises:
        OutputError: If it cannot be written; the folder is then unchanged.
    """
    with folder_aside(folder) as new:
        (new / PAGE).write_text(render_inspection(report), encoding="utf-8")
        (new / FIGURES).write_bytes(report_to_bytes(report))


def render_inspection(report: Mapping[str, Any]) -> str:
    """Return a report of `drsn_edge.inspection.report` as HTML."""
    found = generalisation_of(report)
    warning = "" if found is None else found.warning
    template = environment().get_template(_TEMPLATE)
    pictures = embedded(draw_pictures(report))
    known = {} if report.get("novelty") is None else rows_of(report["novelty"])
    early = [] if report.get("novelty") is None else early_lines(report["novelty"])
    return template.render(
        report, pictures=pictures, by_step=by_step, generalisation_warning=warning, known=known, early=early
    )


def by_step(histogram: Mapping[str, int]) -> list[tuple[int, int]]:
    """Return a histogram of JSON, whose keys are texts, sorted by its steps as numbers."""
    return sorted((int(step), count) for step, count in histogram.items())
