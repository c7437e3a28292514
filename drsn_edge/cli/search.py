"""`drsn-edge search`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import Duration, PathType, json_option, seed_option
from drsn_edge.cli.output import note, print_text, print_values
from drsn_edge.cli.reading import read_folder
from drsn_edge.cli.searching import (
    check_searched,
    choice_options,
    data_section,
    expect_hold_out,
    fixed_values,
    network_options,
    run_search,
)
from drsn_edge.cli.sections import SectionedCommand, section
from drsn_edge.cli.workers import cluster_option, cores, workers_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drsn_edge.recordings.recording import Recording
    from drsn_edge.search.run import Found

_SEARCH = section("Search", *network_options, *choice_options, seed_option)

_RUN = section(
    "Run",
    click.option("--out", type=PathType, required=True, metavar="FOLDER", help="Folder for the result."),
    click.option("--config", type=PathType, metavar="FILE", help="TOML file of settings that are not searched."),
    click.option(
        "--time-budget",
        "time_budget_s",
        type=Duration(positive=True),
        metavar="TIME",
        help="Time after which no training starts.  [default: none]",
    ),
    workers_option("all cores"),
    cluster_option,
    click.option("--resume", is_flag=True, help="Continue a stopped search."),
    click.option("--force", is_flag=True, help="Replace a result and discard a stopped search."),
    json_option,
)


@click.command(cls=SectionedCommand)
@data_section
@_SEARCH
@_RUN
@click.pass_context
def search(
    ctx: click.Context,
    /,
    data: Path,
    out: Path,
    config: Path | None,
    catalogue: Path | None,
    target: str,
    without_speed: bool,
    time_budget_s: float | None,
    workers: int | None,
    cluster: str | None,
    resume: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Choose inputs and network without the hold-out set.

    Candidates are judged by folds inside the training side. `train --config FOLDER/config.toml` trains the choice.

    \b
    Example:
      drsn-edge search --data recordings/ --hold-out load_hp=3 --out found/
    """
    import tomli_w  # noqa: F401  # a missing extra `train` is reported before anything is read

    from drsn_edge.search.ground import Wishes
    from drsn_edge.search.report import is_search_result, text_of, to_json
    from drsn_edge.search.store import check_search_folder, remove_search, search_folder
    from drsn_edge.support.files import check_new_folder

    fixed = fixed_values(ctx, config, options)
    expect_hold_out(ctx, fixed)
    check_searched(fixed, target)
    check_new_folder(out, force=force, ours=is_search_result)
    work = search_folder(out)
    check_search_folder(work, resume=resume, force=force)
    recordings = read_folder(data, catalogue, out)
    wishes = Wishes(fixed, target, without_speed, time_budget_s or math.inf, workers or cores(), cluster)
    found = run_search(recordings, wishes, work, resume=resume)
    _save(found, recordings, out)
    remove_search(work)
    if as_json:
        print_values(to_json(found))
    else:
        print_text(text_of(found))
        note(f"wrote {out}. Train the choice: drsn-edge train --data {data} --config {out / 'config.toml'} --out RUN")


def _save(found: Found, recordings: Sequence[Recording], out: Path) -> None:
    """Write the result, all of it or nothing."""
    from drsn_edge.search.plot import save_search_picture
    from drsn_edge.search.report import search_files
    from drsn_edge.support.files import folder_aside
    from drsn_edge.training.config_file import table_from_settings, write_config

    with folder_aside(out) as new:
        write_config(table_from_settings(found.settings), new / "config.toml")
        for name, content in search_files(found, recordings).items():
            (new / name).write_bytes(content)
        save_search_picture(found, new / "search.png")
