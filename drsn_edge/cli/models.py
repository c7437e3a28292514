"""`drsn-edge models`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import json_option
from drsn_edge.cli.output import print_text, print_values
from drsn_edge.models.config import BLOCK_KINDS, PRESETS

if TYPE_CHECKING:
    from drsn_edge.models.sizes import ModelSize


@click.command()
@click.option(
    "--block", type=click.Choice(BLOCK_KINDS), default="rsbu-cw", show_default=True, help="Kind of the residual blocks."
)
@json_option
def models(block: str, as_json: bool) -> None:
    """List the networks for `train` and their cost.

    Sizes are those of the int8 file of an untrained network with one axis. The column network MACs counts the
    multiply-accumulates for one window, without the fixed shortcuts. The int8 file needs more multiply-accumulates;
    `drsn-edge inspect` prints their number.

    \b
    Example:
      drsn-edge models --block rsbu-cs
    """
    from drsn_edge.cli.progress import counting_bar, load_tensorflow

    load_tensorflow()
    from drsn_edge.models.sizes import measure_model

    sizes = []
    with counting_bar("converting networks") as bar:
        for name, config in PRESETS.items():
            sizes.append(measure_model(name, replace(config, block=block)))
            bar(len(sizes), len(PRESETS))
    if as_json:
        print_values([asdict(size) for size in sizes])
    else:
        print_text(_as_text(sizes))


def _as_text(sizes: list[ModelSize]) -> str:
    columns = f"{'parameters':>12}{'network MACs':>14}{'int8 file':>12}{'activations':>13}"
    rows = [f"{'name':16}{'block':10}{'window':>8}{columns}"]
    for size in sizes:
        rows.append(
            f"{size.name:16}{size.block:10}{size.window:8}{size.parameters:12}{size.macs:14}"
            f"{size.int8_bytes / 1000:9.1f} kB{size.peak_activation_bytes / 1000:10.1f} kB"
        )
    return "\n".join(rows)
