"""The report folder of an evaluation: a page, its pictures, and the figures.

report.html        the page, self-contained
evaluation.json    the output of `drsn-edge evaluate --json`
*.png              the pictures of the page
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from drsn_edge.evaluation.evaluation import Evaluation, Provenance, evaluation_to_json
from drsn_edge.evaluation.plots import save_pictures
from drsn_edge.support.files import folder_aside

PAGE, FIGURES = "report.html", "evaluation.json"
_TEMPLATE = "report.html.j2"


def is_report_folder(folder: Path) -> bool:
    """Tell whether `folder` looks like a report folder of `save_report`."""
    return (folder / PAGE).is_file() and (folder / FIGURES).is_file()


def save_report(evaluation: Evaluation, provenance: Provenance, folder: Path) -> None:
    """Write an evaluation to `folder`, replacing its content.

    Raises:
        OutputError: If the folder cannot be written; it is then unchanged.
    """
    values = evaluation_to_json(evaluation, provenance)
    with folder_aside(folder) as new:
        titles = save_pictures(evaluation, new)
        pictures = {title: (new / name).read_bytes() for name, title in titles.items()}
        (new / PAGE).write_text(render_page(values, pictures), encoding="utf-8")
        (new / FIGURES).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def render_page(values: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Return the HTML of an evaluation.

    Args:
        values: Result of `evaluation_to_json`.
        pictures: PNG files by title.
    """
    template = environment().get_template(_TEMPLATE)
    return template.render(values, pictures=embedded(pictures), noise_table=noise_table(values["noise"]))


def embedded(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Return PNG files as data URLs, for a page that is one file."""
    return {title: "data:image/png;base64," + b64encode(png).decode() for title, png in pictures.items()}


def environment() -> Environment:
    """Return the environment of the report templates; it escapes every value."""
    loader = PackageLoader("drsn_edge.evaluation", "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def noise_table(noise: list[dict[str, Any]]) -> dict[str, dict[float, float]]:
    """Return accuracy by kind of noise and SNR in dB, from the key `noise` of an evaluation's JSON."""
    table: dict[str, dict[float, float]] = {}
    for each in noise:
        table.setdefault(each["kind"], {})[each["snr_db"]] = each["accuracy"]
    return table
