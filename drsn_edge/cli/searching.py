"""What `search` and `train` share: the options of the data, the settings that a user fixed, and a search with a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.completion import any_of
from drsn_edge.cli.options import PathType, Percent, catalogue_option
from drsn_edge.cli.sections import section
from drsn_edge.cli.typed import is_typed
from drsn_edge.models.config import PRESETS
from drsn_edge.search.names import TARGETS
from drsn_edge.training.settings import INPUTS

if TYPE_CHECKING:
    from drsn_edge.recordings.recording import Recording
    from drsn_edge.search.ground import Wishes
    from drsn_edge.search.run import Found
    from drsn_edge.training.settings import TrainSettings

AUTO = "auto"
"""The inputs that a search chooses."""


def _expect_rate(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no sampling rate. A range of click would take a line of the help."""
    if value is not None and not 1 <= value < math.inf:
        raise click.BadParameter(f"{value:g} Hz is no sampling rate. Type a number of 1 or more.", ctx, param)
    return value


data_section = section(
    "Data",
    click.option("--data", type=PathType, required=True, metavar="FOLDER", help="Folder of recordings."),
    catalogue_option,
    click.option(
        "--hold-out",
        metavar="RULE",
        help="Hold-out set: FIELD=VALUE[,time=SHARE], time=SHARE, fold=K/N or windows=SHARE.  [required, or in "
        "--config]",
    ),
    click.option(
        "--label-field", default="", metavar="FIELD", help="Field that holds the class.  [default: the label]"
    ),
    click.option("--keep-labels", is_flag=True, help="Accept classes that differ by case or spaces only."),
    click.option("--allow-leaks", is_flag=True, help="Train even if hold-out and training share samples."),
    click.option(
        "--most-damaged",
        metavar="N",
        type=Percent(),
        default=0.05,
        help="Damaged windows accepted per class.  [default: 5%]",
    ),
    click.option(
        "--rate",
        "sample_rate_hz",
        metavar="HZ",
        type=float,
        callback=_expect_rate,
        help="Decimate to this rate in Hz.  [default: the lowest]",
    ),
    click.option(
        "--window", metavar="N", type=int, default=1024, help="Samples per window.  [default: searched, or 1024]"
    ),
    click.option("--hop", metavar="N", type=int, default=0, help="Hop in samples.  [default: searched, or window / 2]"),
)

network_options = (
    click.option(
        "--network",
        metavar="NAME",
        default="small",
        shell_complete=any_of(*PRESETS),
        help="Network, see `models`.  [default: searched, or small]",
    ),
    click.option(
        "--inputs",
        metavar="KIND",
        type=click.Choice((AUTO, *INPUTS)),
        default=AUTO,
        show_default=True,
        help="Kind: auto, waveform, bands, spectra.",
    ),
)

choice_options = (
    click.option(
        "--for",
        "target",
        metavar="PLACE",
        type=click.Choice(TARGETS),
        default=TARGETS[0],
        show_default=True,
        help="Search for a gateway or a sensor.",
    ),
    click.option("--without-speed", is_flag=True, help="Search networks that need no shaft speed."),
)


def fixed_values(ctx: click.Context, config: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by name that a user typed or wrote into the file; what is typed wins. `auto` is left out.

    Raises:
        TrainingError: If the file cannot be used.
    """
    from drsn_edge.training.config_file import read_named

    typed = {name: value for name, value in options.items() if is_typed(ctx, name)}
    values = {**(read_named(config) if config else {}), **typed}
    if values.get("inputs") == AUTO:
        del values["inputs"]
    return values


def expect_hold_out(ctx: click.Context, fixed: Mapping[str, Any]) -> None:
    """Raise click.UsageError if no hold-out rule was typed or written into the file."""
    if "hold_out" not in fixed:
        raise click.UsageError(
            'The training of a network needs a hold-out set. Add --hold-out RULE, or hold_out = "RULE" in --config.',
            ctx,
        )


def run_search(recordings: Sequence[Recording], wishes: Wishes, work: Path, *, resume: bool) -> Found:
    """Search with a bar; Ctrl-C becomes an error that says how to resume.

    Raises:
        TrainingError: If the search was stopped.
        DrsnEdgeError: Whatever `drsn_edge.search.run.search` raises.
    """
    from drsn_edge.cli.progress import stages_bar
    from drsn_edge.errors import JobsError, TrainingError
    from drsn_edge.search.run import search
    from drsn_edge.search.store import Store

    try:
        with stages_bar("search: preparing") as bar:
            return search(
                recordings,
                wishes,
                Store(work),
                resume=resume,
                progress=lambda what, done, total: bar(f"search: {what}", done, total),
            )
    except JobsError as exc:
        raise JobsError(f"{exc} Add --resume to go on from there.", exc.problem, **exc.facts) from exc
    except KeyboardInterrupt as exc:
        raise TrainingError(
            f"The search was stopped. Its complete trainings are kept in {work}. Run the same command with --resume to "
            "continue.",
            "stopped",
            path=work,
        ) from exc


def check_searched(fixed: Mapping[str, Any], target: str) -> None:
    """Raise DrsnEdgeError for a rule or settings that cannot be used, before recordings are read."""
    from drsn_edge.datasets.split import parse_hold_out
    from drsn_edge.search.candidates import check_fixed

    parse_hold_out(fixed["hold_out"])
    check_fixed(fixed, target)


def is_searched(fixed: Mapping[str, Any]) -> bool:
    """Return whether `train` searches: it does unless the inputs are fixed."""
    return "inputs" not in fixed


def brought_along(config: Path | None, settings: TrainSettings, recordings: Sequence[Recording]) -> dict[str, bytes]:
    """Return the files of the search beside a configuration file, if it chose these settings on these recordings.

    The seed may be another one. A training by `--config` then has the estimate and the inner folds of its search.
    """
    from drsn_edge.search.report import files_beside

    return {} if config is None else files_beside(config.parent, settings, recordings)


def expected_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what a search expected of its choice, to stand beside the outcome; nothing without a search."""
    if not files:
        return {}
    from drsn_edge.search.report import SEARCH_FILE, expectation_of

    return expectation_of(files[SEARCH_FILE])
