"""Options for judging recordings, which `classify` and `tune-alarms` share, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge.cli.options import PathType, at_most_wrong_option, finite, runtime_choice
from drsn_edge.cli.options import votes as votes_of

if TYPE_CHECKING:
    from drsn_edge.bundle.bundle import Bundle
    from drsn_edge.monitor.stages.judge import Model
    from drsn_edge.monitor.stages.settings import MonitorSettings
    from drsn_edge.runtime.names import RuntimeChoice

Command = Callable[..., Any]


@dataclass(frozen=True)
class OfflineChoice:
    """The model and settings to judge recordings with.

    Attributes:
        bundle: File of the bundle.
        settings: File of settings; None: those of the bundle.
        votes: K/N, with precedence over the settings; None: not given.
        at_most_wrong: Share of the windows of a class that may be wrong, with precedence over the settings; None: not
            given.
        rpm: Speed of the shaft in revolutions per minute; None: the field rpm of each recording, if it has one.
        unknown: Whether windows may be UNKNOWN.
        runtime: Interpreter of the model.
    """

    bundle: Path
    settings: Path | None
    votes: str | None
    at_most_wrong: float | None
    rpm: float | None
    unknown: bool
    runtime: RuntimeChoice

    def open(self) -> tuple[Bundle, Model, MonitorSettings]:
        """Return the bundle, its opened model and the settings, by default those of the bundle.

        Raises:
            DrsnEdgeError: If bundle or settings cannot be used, or no interpreter here runs the model.
        """
        from drsn_edge.bundle.bundle import read_bundle
        from drsn_edge.cli.output import say
        from drsn_edge.monitor.stages.judge import model_of
        from drsn_edge.monitor.stages.settings import settings_for

        bundle = read_bundle(self.bundle)
        settings = settings_for(self.settings, self.votes, bundle.manifest, self.at_most_wrong)
        return bundle, model_of(bundle, self.bundle, self.runtime, say, unknown=self.unknown), settings


_VOTES = click.option(
    "--votes",
    metavar="K/N",
    callback=votes_of,
    help="Windows that must agree for a decision: K of the last N.  [default: as in --settings or the bundle, "
    "else 4/5]",
)
_OPTIONS = (
    click.option(
        "--rpm",
        type=click.FloatRange(min=0, min_open=True),
        callback=finite,
        metavar="RPM",
        help="Speed of the shaft, in revolutions per minute.  [default: the field rpm of each recording]",
    ),
    click.option(
        "--no-unknown",
        is_flag=True,
        help="Never report UNKNOWN: name the nearest class even for a window unlike all training data.",
    ),
)


def offline_options(*, settings_help: str, votes: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds the options to a command, which gets them as one argument, `judge`.

    Args:
        settings_help: Help of --settings.
        votes: Whether the command has --votes and --at-most-wrong; otherwise it takes both from the settings.
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
            at_most_wrong: float | None = None,
            **options: Any,
        ) -> Any:
            judge = OfflineChoice(model, settings, votes, at_most_wrong, rpm, not no_unknown, choice)
            return command(judge=judge, **options)

        wrapped: Any = update_wrapper(gather, command)  # keeps the options that are declared below
        added = (
            click.option(
                "--model", type=PathType, required=True, metavar="FILE", help="Bundle that judges the windows."
            ),
            click.option("--settings", type=PathType, metavar="FILE", help=settings_help),
            *((_VOTES, at_most_wrong_option) if votes else ()),
            runtime_choice,
            *_OPTIONS,
        )
        for add in reversed(added):
            wrapped = add(wrapped)
        return wrapped

    return wrap
