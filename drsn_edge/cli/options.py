"""Options that several commands share."""

from __future__ import annotations

import functools
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from drsn_edge.runtime.names import EDGETPU_LIBRARY, FALLBACKS, RUNTIMES, RuntimeChoice
from drsn_edge.support.toml_file import quoted

PathType = click.Path(path_type=Path)

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


_UNITS_S = {
    "": 1.0,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_DURATION = re.compile(rf"(\d+(?:\.\d*)?|\.\d+) ?({'|'.join(filter(None, _UNITS_S))})?", re.ASCII)
_LONGEST_S = 1e10


class Duration(click.ParamType):  # type: ignore[type-arg]  # only later versions of click have one
    """A duration as an option's type: a number of seconds, or with ms, s, min, h, d or w; the value is in seconds."""

    name = "duration"

    def __init__(self, at_least_s: float = 0.0, *, positive: bool = False) -> None:
        """Take durations from `at_least_s` on; `positive`: other than 0."""
        self._at_least_s, self._positive = at_least_s, positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        seconds = value if isinstance(value, (int, float)) else duration_s(value)
        if seconds is None:
            self.fail(
                f"Expected a duration such as 10s, 200ms, 5min, 12h or 7d (a number alone: s), got {value!r}.",
                param,
                ctx,
            )
        if not self._at_least_s <= seconds <= _LONGEST_S or (self._positive and not seconds):
            least = "more than 0 s" if self._positive else f"at least {self._at_least_s:g} s"
            self.fail(f"Expected a duration of {least} and at most {_LONGEST_S:g} s, got {value!r}.", param, ctx)
        return float(seconds)


def duration_s(text: str) -> float | None:
    """Return the seconds that a text such as `10s`, `5 min` or `0.5` says, None if it says none."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS_S[match[2] or ""]


_PERCENT = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?%?", re.ASCII)


class Percent(click.ParamType):  # type: ignore[type-arg]  # only later versions of click have one
    """A share as an option's type: typed as percent (`1`, `2.5`, `10%`), the value is a share from 0 to 1.

    A text is a percent, whether a person typed it or a command gives it as its default (`default="1%"`); a number is a
    share already.
    """

    name = "percent"

    def __init__(self, at_least: float = 0.0, at_most: float = 100.0, *, below: bool = False) -> None:
        """Take percents from `at_least` to `at_most`, both in percent; `below`: less than `at_most`."""
        self._at_least, self._at_most, self._below = at_least, at_most, below

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share."""
        percent = value * 100 if isinstance(value, (int, float)) else percent_of(value)
        if percent is None:
            self.fail(f"Expected a percent such as 1, 2.5 or 10%, got {value!r}.", param, ctx)
        too_high = percent >= self._at_most if self._below else percent > self._at_most
        if percent < self._at_least or too_high:
            most = "less than" if self._below else "at most"
            limits = f"at least {self._at_least:g} % and {most} {self._at_most:g} %"
            self.fail(f"Expected a percent of {limits}, such as 1, 2.5 or 10%, got {value!r}.", param, ctx)
        return percent / 100


def percent_of(text: str) -> float | None:
    """Return the percent that a text such as `1`, `2.5` or `10 %` says, None if it says none."""
    match = _PERCENT.fullmatch(text.strip())
    return None if match is None else float(match[1])


def renamed(old: str, new: str, unit: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what has a command answer an option's old name with the new one, and exit status 2.

    Args:
        old: As it was typed.
        new: As it is typed now.
        unit: Of the old one's value, which is typed behind the number now.
    """

    def refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(f"{old} is called {new} now. Type {new} {value}{unit}", ctx)

    return click.option(old, hidden=True, expose_value=False, callback=refuse, help=f"Is called {new}.")


def moved(option: str, key: str, *, values: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what has a command answer an option that moved into a file with its new place, and exit status 2.

    Args:
        option: As it was typed, such as `--batch-size` or `--validation/--no-validation`.
        key: In the table [research] of the file that --config names.
        values: How many it took; 0: it is a flag.
    """

    def refuse(ctx: click.Context, param: click.Parameter, value: str | bool | None) -> None:
        if value is not None:
            typed = _as_toml(value) if value != "" and values < 2 else "..."
            raise click.UsageError(
                f"{option.partition('/')[0]} is no option: write {key} = {typed} into the table [research] of a file, "
                "and give that with --config FILE.",
                ctx,
            )

    # Without a value, or with too few, it is answered as well.
    form: dict[str, Any] = {"is_flag": False, "flag_value": ""} if values else {"is_flag": True, "default": None}
    return click.option(option, hidden=True, expose_value=False, callback=refuse, help=f"Is {key} there.", **form)


def _as_toml(value: str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    try:
        number = float(value)
    except ValueError:
        return quoted(value)
    return value if value[0].isdecimal() else str(number)


def refuse_renamed(ctx: click.Context, arguments: Sequence[str], renamed_commands: Mapping[str, str]) -> None:
    """Answer a command's old name with the new one, and exit status 2.

    Args:
        ctx: Of the group of commands.
        arguments: What was typed behind the group's name.
        renamed_commands: New names by the old ones.

    Raises:
        click.UsageError: If the first argument is an old name; it says what to type.
    """
    old, new = arguments[0], renamed_commands.get(arguments[0])
    if new is not None:
        typed = shlex.join([*ctx.command_path.split(), new, *arguments[1:]])
        raise click.UsageError(f"`{old}` is called `{new}` now. Type {typed}", ctx)


def finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN and infinity, which pass every range of click's, as an option's callback."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"Expected a finite number, got {value}.", ctx, param)
    return value


def votes(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no K/N, as an option's callback."""
    from drsn_edge.bundle.votes import parse_votes

    try:
        if value is not None:
            parse_votes(value)
    except ValueError as exc:
        raise click.BadParameter(f"Expected K/N such as 4/5, got {value!r}: {exc}", ctx, param) from exc
    return value


_RUNTIME_OPTIONS = (
    click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        default="auto",
        show_default=True,
        help="Interpreter, or a Coral's Edge TPU; a named one never falls back.",
    ),
    click.option(
        "--fallback",
        type=click.Choice(FALLBACKS),
        default="none",
        show_default=True,
        help="With --runtime edgetpu: what does the work where no Edge TPU comes up.",
    ),
    click.option(
        "--edgetpu-library", default=EDGETPU_LIBRARY, show_default=True, metavar="FILE", help="Coral's libedgetpu."
    ),
    click.option("--edgetpu-device", metavar="DEVICE", help="Which Edge TPU: usb, usb:1, pci, pci:0.  [default: any]"),
)


def runtime_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of what runs the model, each a parameter of the command."""
    for option in reversed(_RUNTIME_OPTIONS):
        command = option(command)
    return command


def runtime_choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them as one parameter `choice`."""

    @functools.wraps(command)
    def called(*, runtime: str, fallback: str, edgetpu_library: str, edgetpu_device: str | None, **options: Any) -> Any:
        return command(choice=RuntimeChoice(runtime, 1, fallback, edgetpu_library, edgetpu_device), **options)

    return runtime_options(called)
