"""`drsn-edge convert`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, json_option

if TYPE_CHECKING:
    from drsn_edge.convert import Conversion


@click.command()
@click.argument("run", type=PathType)
@click.option("--out", type=PathType, required=True, help="Bundle to write, e.g. cwru.drsn.")
@click.option("--name", help="Name in the bundle.  [default: the run folder's name]")
@click.option("--model-version", default="1.0.0", show_default=True, help="Version in the bundle, MAJOR.MINOR.PATCH.")
@click.option(
    "--max-drop", type=float, default=1.0, show_default=True, help="Accuracy that int8 may lose, in points of 100."
)
@json_option
def convert(run: Path, out: Path, name: str | None, model_version: str, max_drop: float, as_json: bool) -> None:
    """Convert the trained RUN to int8 and write it as a bundle.

    The file is compared with the Keras model on every held-out window, through the interpreter that a gateway uses;
    where they disagree nothing is written.

    \b
    Example:
      drsn-edge convert run/ --out machine.drsn
    """
    from drsn_edge.bundle.bundle import write_bundle
    from drsn_edge.cli.progress import load_tensorflow, spinner

    load_tensorflow()
    from drsn_edge.convert import convert_run
    from drsn_edge.training.run_folder import load_run
    from quantize.convert import Tolerance

    with spinner("converting and comparing"):
        loaded = load_run(run)
        tolerance = Tolerance(max_drop=max_drop / 100)
        conversion = convert_run(loaded, name=name or loaded.name, version=model_version, tolerance=tolerance)
    size = write_bundle(conversion.bundle, out)
    click.echo(_as_json(conversion, out, size) if as_json else _as_text(conversion, out, size))


def _as_json(conversion: Conversion, out: Path, size: int) -> str:
    values = {**asdict(conversion.agreement), "operators": conversion.lint.operators}
    return json.dumps({**values, "bundle": str(out), "bytes": size})


def _as_text(conversion: Conversion, out: Path, size: int) -> str:
    result = conversion.agreement
    operators = ", ".join(f"{count} {name}" for name, count in conversion.lint.operators.items())
    return "\n".join(
        [
            f"held-out windows   {result.windows}",
            f"accuracy           float32 {result.float_accuracy:.4f}   int8 {result.int8_accuracy:.4f}",
            f"same class         {result.same_class:.4f}",
            f"logit error        {result.logit_rms_error:.1%} RMS",
            f"int8 operators     {operators}",
            f"wrote {out} ({size / 1000:.1f} kB)",
        ]
    )
