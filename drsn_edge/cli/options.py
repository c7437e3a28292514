"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

PathType = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
catalogue_option = click.option(
    "--catalogue", type=PathType, help="Catalogue file; default: catalogue.toml beside the recordings, or a built-in."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of everything drawn at random.",
)


class Seconds(click.ParamType[float]):
    """A finite number of seconds, at least 0."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail as click expects it."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f"Expected a number of seconds, at least 0, got {value!r}.", param, ctx)
        return seconds
