"""`drsn-edge inspect`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import print_text, print_values
from drsn_edge.cli.progress import counting_bar, load_tensorflow
from drsn_edge.inspection.names import WINDOWS
from quantize.targets.names import TARGETS

if TYPE_CHECKING:
    from drsn_edge.inspection.accuracy import Logits
    from drsn_edge.inspection.model_file import Inspected

_LONGEST_LINE = 4000
"""Longest line, since a file may come from anyone."""


@click.command()
@click.argument("file", type=PathType)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="Fail with the reasons unless the model suits this target.  [default: none]",
)
@click.option(
    "--run",
    type=PathType,
    metavar="FOLDER",
    help="Run folder that the model was converted from. Measure the model on the windows of its hold-out set.",
)
@click.option(
    "--windows",
    type=click.IntRange(min=1),
    default=WINDOWS,
    show_default=True,
    metavar="N",
    help="Largest number of windows of --run to measure.",
)
@click.option(
    "--out",
    type=PathType,
    metavar="FOLDER",
    help="Folder for the report as a page that opens from disk. Needs the extra `plots`.  [default: print only]",
)
@click.option("--force", is_flag=True, help="Replace an existing report folder.")
@json_option
def inspect(
    file: Path, target: str | None, run: Path | None, windows: int, out: Path | None, force: bool, as_json: bool
) -> None:
    """Report the contents of an int8 model and its targets.

    FILE is a .tflite file or a bundle. The report lists operators, sizes, and the operators that XNNPACK and the Edge
    TPU run. With --run, the report adds the accuracy beside that of the trained network, the int8 noise after each
    operator, the remaining soft thresholds, and whether all interpreters on this machine agree. Without --run, these
    figures come from the report in the bundle.

    \b
    Example:
      drsn-edge inspect machine.drsn --target edgetpu --run run/
    """
    from drsn_edge.inspection.model_file import load_inspected, own_report
    from drsn_edge.inspection.report import build_report, with_promise
    from drsn_edge.support.files import check_new_folder
    from firmware_bridge.support.shown import printable
    from quantize.errors import TargetError

    inspected = load_inspected(file)
    if out is not None:
        from drsn_edge.inspection.page import is_inspection_folder, save_page

        check_new_folder(out, force=force, ours=is_inspection_folder)
    report = with_promise(build_report(inspected, target), inspected)
    if run is not None:
        report = _with_windows(report, inspected, run, windows)
    else:
        report = _with_own(report, own_report(inspected))
    if out is not None:
        save_page(report, out)
    shown = "\n".join(printable(line, _LONGEST_LINE) for line in _as_text(report, out).split("\n"))
    if as_json:
        print_values(report)
    else:
        print_text(shown)
    if report["target"] and report["target"]["findings"]:
        findings = report["target"]["findings"]
        words = f"{file} does not suit {target}: {'; '.join(findings)}. Convert with `--target {target}`."
        raise TargetError(words, "unsuitable", path=file, target=target, findings=findings)


def _with_own(report: dict[str, Any], own: dict[str, Any] | None) -> dict[str, Any]:
    """Add the figures on windows from the bundle's own report. Figures on the file are computed again."""
    parts = ("run", "measurement", "accuracy", "backends")
    return report if own is None else {**report, **{name: own.get(name) for name in parts}}


def _with_windows(report: dict[str, Any], inspected: Inspected, run: Path, windows: int) -> dict[str, Any]:
    from drsn_edge.inspection.model_file import check_run
    from drsn_edge.inspection.report import add_windows
    from drsn_edge.training.run_folder import read_run

    record = read_run(run)
    check_run(inspected, record, run)
    return add_windows(report, inspected, record, _float_logits(run), most=windows, bar=counting_bar)


def _float_logits(run: Path) -> Logits | None:
    """Return the trained network's logits, None on a machine without TensorFlow."""
    if find_spec("tensorflow") is None:
        return None
    load_tensorflow()
    from drsn_edge.evaluation.run_model import run_model
    from drsn_edge.training.run_folder import load_run

    return run_model(load_run(run)).logits


def _as_text(report: dict[str, Any], out: Path | None) -> str:
    from drsn_edge.inspection.text import report_text

    return "\n".join([report_text(report), *([f"wrote {out}"] if out is not None else [])])
