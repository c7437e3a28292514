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
from drsn_edge.support.durations import duration_s
from drsn_edge.support.shares import LEAST_PERCENT
from drsn_edge.support.toml_file import quoted

PathType = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
catalogue_option = click.option(
    "--catalogue",
    type=PathType,
    metavar="FILE",
    help="Catalogue.  [default: beside the files, else built in]",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the random numbers.",
)


_LONGEST_S = 1e10


class Duration(click.ParamType):  # type: ignore[type-arg]  # only later versions of click have one
    """A duration as an option's type: seconds, or a number with ms, s, min, h, d or w. The value is in seconds."""

    name = "duration"

    def __init__(self, at_least_s: float = 0.0, *, positive: bool = False) -> None:
        """Accept durations of at least `at_least_s`; with `positive`, of more than 0."""
        self._at_least_s, self._positive = at_least_s, positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        seconds = value if isinstance(value, (int, float)) else duration_s(value)
        if seconds is None:
            self.fail(
                f"{value!r} is not a duration. Type a number of seconds, or a number with a unit: 200ms, 10s, 5min, "
                "12h or 7d.",
                param,
                ctx,
            )
        if not self._at_least_s <= seconds <= _LONGEST_S or (self._positive and not seconds):
            least = "more than 0 s" if self._positive else f"at least {self._at_least_s:g} s"
            self.fail(
                f"{value!r} is out of range. Type a duration of {least} and at most {_LONGEST_S:g} s.", param, ctx
            )
        return float(seconds)


_UNITS_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d*)?|\.\d+) ?([kmgt]?b)?", re.ASCII | re.IGNORECASE)
_MOST_BYTES = 1 << 50


class Size(click.ParamType):  # type: ignore[type-arg]  # only later versions of click have one
    """A number of bytes as an option's type: bytes, or a number with kB, MB, GB or TB. The value is in bytes."""

    name = "size"

    def __init__(self, at_least: int = 1) -> None:
        """Accept sizes of at least `at_least` bytes."""
        self._at_least = at_least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        n_bytes = value if isinstance(value, int) else size_bytes(value)
        if n_bytes is None:
            self.fail(f"{value!r} is not a size. Type a number with a unit, such as 500MB or 2GB.", param, ctx)
        if not self._at_least <= n_bytes <= _MOST_BYTES:
            least = f"at least {self._at_least / 1e6:g}MB and at most {_MOST_BYTES / 1e12:.0f}TB"
            self.fail(f"{value!r} is out of range. Type {least}, such as 2GB.", param, ctx)
        return n_bytes


def size_bytes(text: str) -> int | None:
    """Return the bytes that a text such as `2GB`, `500 MB` or `1000000` says, None if it says none."""
    match = _SIZE.fullmatch(text.strip())
    return None if match is None else int(float(match[1]) * _UNITS_BYTES[(match[2] or "").lower()])


memory_option = click.option(
    "--memory",
    type=Size(1_000_000),
    default="1GB",
    show_default=True,
    metavar="SIZE",
    help="Most memory for one file in a format that is not read in pieces.",
)

_PERCENT = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?%?", re.ASCII)


class Percent(click.ParamType):  # type: ignore[type-arg]  # only later versions of click have one
    """A share as an option's type: typed in percent (`1`, `2.5`, `10%`), while the value is a share from 0 to 1.

    Text is read as percent, whether a person typed it or a command declares it as its default (`default="1%"`). A
    number is a share already.
    """

    name = "percent"

    def __init__(self, at_least: float = 0.0, at_most: float = 100.0, *, below: bool = False) -> None:
        """Accept `at_least` to `at_most`, both in percent; with `below`, less than `at_most`."""
        self._at_least, self._at_most, self._below = at_least, at_most, below

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share."""
        percent = value * 100 if isinstance(value, (int, float)) else percent_of(value)
        if percent is None:
            self.fail(f"{value!r} is not a number of percent. Type one such as 1, 2.5 or 10%.", param, ctx)
        too_high = percent >= self._at_most if self._below else percent > self._at_most
        if percent < self._at_least or too_high:
            most = "less than" if self._below else "at most"
            limits = f"at least {self._at_least:g} % and {most} {self._at_most:g} %"
            self.fail(f"{value!r} is out of range. Type {limits}, such as 1, 2.5 or 10%.", param, ctx)
        return percent / 100


def percent_of(text: str) -> float | None:
    """Return the percent that a text such as `1`, `2.5` or `10 %` says, None if it says none."""
    match = _PERCENT.fullmatch(text.strip())
    return None if match is None else float(match[1])


at_most_wrong_option = click.option(
    "--at-most-wrong",
    type=Percent(LEAST_PERCENT, below=True),
    metavar="PERCENT",
    help="Windows of a class that may be wrong, in percent. A window that is too close to call is UNSURE. The bundle "
    "must hold a promise.  [default: as in --settings, else no window is UNSURE]",
)


def renamed(old: str, new: str, unit: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that answers an option's old name with the new name and exit status 2.

    Args:
        old: The old name, such as `--fleet`.
        new: The name that replaced it.
        unit: Unit that the new option's number needs, where the old one had none.
    """

    def refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(f"{old} was renamed to {new}. Type {new} {value}{unit}", ctx)

    return click.option(old, hidden=True, expose_value=False, callback=refuse, help=f"Old name of {new}.")


def moved(option: str, key: str, *, values: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that answers an option that moved into a file with its new place and exit status 2.

    Args:
        option: The old option, such as `--batch-size` or `--validation/--no-validation`.
        key: Its key in the table [research] of the file that --config names.
        values: Number of values that the option took; 0 for a flag.
    """

    def refuse(ctx: click.Context, param: click.Parameter, value: str | bool | None) -> None:
        if value is not None:
            typed = _as_toml(value) if value != "" and values < 2 else "..."
            on, _, off = option.partition("/")
            raise click.UsageError(
                f"{off if value is False else on} moved into a file. Write {key} = {typed} into the table [research] "
                "of a file, and add --config FILE.",
                ctx,
            )

    # The option is also answered without a value, or with too few.
    form: dict[str, Any] = {"is_flag": False, "flag_value": ""} if values else {"is_flag": True, "default": None}
    return click.option(
        option,
        hidden=True,
        expose_value=False,
        callback=refuse,
        help=f"Moved to {key} in the table [research].",
        **form,
    )


def _as_toml(value: str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    try:
        number = float(value)
    except ValueError:
        return quoted(value)
    return value if value[0].isdecimal() else str(number)


def refuse_renamed(ctx: click.Context, arguments: Sequence[str], renamed_commands: Mapping[str, str]) -> None:
    """Answer a command's old name with the new name and exit status 2.

    Args:
        ctx: Context of the group of commands.
        arguments: Words typed after the group's name.
        renamed_commands: New names by old names.

    Raises:
        click.UsageError: If the first argument is an old name; the sentence holds the line to type.
    """
    old, new = arguments[0], renamed_commands.get(arguments[0])
    if new is not None:
        typed = shlex.join([*ctx.command_path.split(), new, *arguments[1:]])
        raise click.UsageError(f"`{old}` was renamed to `{new}`. Type {typed}", ctx)


def finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN and infinity, which pass the ranges of click. A callback of options."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.", ctx, param)
    return value


rpm_option = click.option(
    "--rpm",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    metavar="RPM",
    help="Speed of the shaft, in revolutions per minute. Required by a model whose input is shaft orders.",
)


def votes(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse text that is not K/N. A callback of options."""
    if value is None:
        return None
    from drsn_edge.bundle.votes import parse_votes

    try:
        parse_votes(value)
    except ValueError as exc:
        raise click.BadParameter(f"{value!r} is not K/N such as 4/5. {exc}", ctx, param) from exc
    return value


class HostPort(click.ParamType):  # type: ignore[type-arg]  # only later versions of click have one
    """A TCP address as an option's type: HOST:PORT, with 127.0.0.1 for an empty host. The value is (host, port)."""

    name = "host:port"

    def __init__(self, *, host_optional: bool = False) -> None:
        """Accept HOST:PORT; with `host_optional`, a port alone as well."""
        self._host_optional = host_optional

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return host and port."""
        if isinstance(value, tuple):
            return value
        host, colon, port = value.rpartition(":")
        is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= _LAST_PORT
        if not (is_port and (colon or self._host_optional)):
            form = "a port such as 9100, or HOST:PORT" if self._host_optional else "HOST:PORT"
            self.fail(
                f"{value!r} is not an address. Type {form} such as 127.0.0.1:9100; ports are 0 to {_LAST_PORT}.",
                param,
                ctx,
            )
        return host.strip("[]") or "127.0.0.1", int(port)


_LAST_PORT = 65_535

_RUNTIME_OPTIONS = (
    click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        default="auto",
        show_default=True,
        help="Interpreter that runs the model. auto takes the first that works on this machine, a Coral accelerator "
        "before the processor. A named interpreter is never replaced by another.",
    ),
    click.option(
        "--fallback",
        type=click.Choice(FALLBACKS),
        default="none",
        show_default=True,
        help="Action of --runtime edgetpu if no Edge TPU starts: none ends with an error, cpu uses the processor.",
    ),
    click.option(
        "--edgetpu-library",
        default=EDGETPU_LIBRARY,
        show_default=True,
        metavar="FILE",
        help="Coral's Edge TPU library, by name or path.",
    ),
    click.option(
        "--edgetpu-device", metavar="DEVICE", help="Edge TPU to use: usb, usb:1, pci or pci:0.  [default: any]"
    ),
)


def runtime_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the interpreter, each as a parameter of the command."""
    for option in reversed(_RUNTIME_OPTIONS):
        command = option(command)
    return command


def runtime_choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the interpreter, as one parameter `choice`."""

    @functools.wraps(command)
    def called(*, runtime: str, fallback: str, edgetpu_library: str, edgetpu_device: str | None, **options: Any) -> Any:
        return command(choice=RuntimeChoice(runtime, 1, fallback, edgetpu_library, edgetpu_device), **options)

    return runtime_options(called)
