"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path

import click

PathType = click.Path(path_type=Path)

TARGETS = ("cpu", "edgetpu", "tflite-runtime")
"""Those of `quantize.lint`, spelled out so that help starts without NumPy."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
catalogue_option = click.option(
    "--catalogue",
    type=PathType,
    help="Catalogue file; default: catalogue.toml or catalogue.csv beside the recordings, or a built-in.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of everything drawn at random.",
)


def finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN and infinity, which pass every range of click's, as an option's callback."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"Expected a finite number, got {value}.", ctx, param)
    return value


def votes(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no K/N, as an option's callback."""
    from drsn_edge.monitor.settings import parse_votes

    try:
        if value is not None:
            parse_votes(value)
    except ValueError as exc:
        raise click.BadParameter(f"Expected K/N such as 4/5, got {value!r}: {exc}", ctx, param) from exc
    return value
