"""What judges recordings at the command line: options that `classify` and `tune-alarms` share, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, finite, runtime_choice
from drsn_edge.cli.options import votes as votes_of

if TYPE_CHECKING:
    from drsn_edge.monitor.stages.judge import Model
    from drsn_edge.monitor.stages.settings import MonitorSettings
    from drsn_edge.runtime.names import RuntimeChoice

Command = Callable[..., Any]


@dataclass(frozen=True)
class OfflineChoice:
    """What was chosen to judge recordings with.

    Attributes:
        bundle: Its file.
        settings: File of settings; None: those of the bundle.
        votes: K/N, which go before those of the settings; None: not given.
        rpm: Speed of the shaft, turns per minute; None: each recording knows its own, if any does.
        unknown: Whether something may be UNKNOWN.
        runtime: What runs the model.
    """

    bundle: Path
    settings: Path | None
    votes: str | None
    rpm: float | None
    unknown: bool
    runtime: RuntimeChoice

    def open(self) -> tuple[Model, MonitorSettings]:
        """Return the model, ready, and the settings, the bundle's where none are given.

        Raises:
            DrsnEdgeError: If bundle or settings cannot be used, or nothing here runs the model.
        """
        from drsn_edge.bundle.bundle import read_bundle
        from drsn_edge.cli.output import say
        from drsn_edge.monitor.stages.judge import model_of
        from drsn_edge.monitor.stages.settings import settings_for

        bundle = read_bundle(self.bundle)
        settings = settings_for(self.settings, self.votes, bundle.manifest)
        return model_of(bundle, self.bundle, self.runtime, say, unknown=self.unknown), settings


_VOTES = click.option(
    "--votes", metavar="K/N", callback=votes_of, help="Decision: K of N windows must agree.  [default: the bundle's]"
)
_OPTIONS = (
    click.option(
        "--rpm",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        help="Speed of the shaft, turns per minute.  [default: the recordings' field rpm]",
    ),
    click.option("--no-unknown", is_flag=True, help="Name the nearest class even of what is unlike anything trained."),
)


def offline_options(*, settings_help: str, votes: bool) -> Callable[[Command], Command]:
    """Return what adds the options to a command, which takes them as one argument, `judge`.

    Args:
        settings_help: What the file of settings is for there.
        votes: Whether votes can be given.
    """

    def wrap(command: Command) -> Command:
        def gather(
            *,
            model: Path,
            settings: Path | None,
            rpm: float | None,
            no_unknown: bool,
            choice: RuntimeChoice,
            votes: str | None = None,
            **options: Any,
        ) -> Any:
            return command(judge=OfflineChoice(model, settings, votes, rpm, not no_unknown, choice), **options)

        wrapped: Any = update_wrapper(gather, command)  # with it go the options that stand below
        added = (
            click.option("--model", type=PathType, required=True, help="Bundle to judge with."),
            click.option("--settings", type=PathType, metavar="TOML", help=settings_help),
            *((_VOTES,) if votes else ()),
            runtime_choice,
            *_OPTIONS,
        )
        for add in reversed(added):
            wrapped = add(wrapped)
        return wrapped

    return wrap
