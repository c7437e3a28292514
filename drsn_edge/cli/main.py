"""`drsn-edge`: the group of commands, and the one place that turns errors into lines."""

from __future__ import annotations

import errno
import logging
import sys
from collections import UserDict
from importlib import import_module
from typing import Any

import click

from drsn_edge.cli.modes import enforce
from drsn_edge.cli.options import refuse_renamed
from drsn_edge.cli.versions import version_option
from drsn_edge.errors import DrsnEdgeError
from firmware_bridge.errors import FirmwareBridgeError
from firmware_bridge.support.shown import printable
from quantize.errors import QuantizeError

_COMMANDS = {
    "demo": "demo",
    "models": "models",
    "look": "look",
    "search": "search",
    "train": "train",
    "convert": "convert",
    "inspect": "inspect",
    "evaluate": "evaluate",
    "reproduce": "reproduce",
    "simulate": "simulate",
    "ports": "ports",
    "sensor": "sensor",
    "record": "record",
    "monitor": "monitor",
    "ack": "ack",
    "accept-mounting": "ack",
    "learn": "learn",
    "tune-alarms": "tune_alarms",
    "history": "history",
    "service": "service",
    "classify": "classify",
    "keys": "keys",
    "bundle": "bundle",
    "flash": "flash",
    "gateway": "gateway",
    "agent": "agent",
    "firmware": "firmware",
    "doctor": "doctor",
    "bench": "bench",
}
"""The commands in the order of the reference, and the file of `drsn_edge.cli` that holds each as a function."""

_LONGEST_ERROR = 4000
_RENAMED_COMMANDS = {"baseline": "learn", "calibrate": "tune-alarms"}
_FIRST_PYTHON, _AFTER_PYTHON = (3, 10), (3, 14)


class _Lazily(UserDict[str, Any]):
    """Commands by name; each is imported when it is asked for, since a monitor on a gateway needs one of them."""

    def __getitem__(self, name: str) -> click.Command:
        found = super().__getitem__(name)
        if isinstance(found, str):
            command: click.Command = getattr(import_module(f"drsn_edge.cli.{found}"), name.replace("-", "_"))
            enforce(command, name)
            self.data[name] = found = command
        return found


class _Commands(click.Group):
    """The group of commands: errors of the three packages become one line and exit code 1; old names are answered."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing:  # the shell completes what is typed
            refuse_renamed(ctx, args, _RENAMED_COMMANDS)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DrsnEdgeError, QuantizeError, FirmwareBridgeError) as exc:
            raise click.ClickException(shown(str(exc))) from exc
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise  # the reader has closed the pipe: click ends quietly
            why = f"The system refused a file operation: {exc}. Check the file, the folder or the disk."
            raise click.ClickException(shown(why)) from exc
        except ModuleNotFoundError as exc:
            from drsn_edge.support.extras import missing_module

            words = missing_module(exc.name or "", ctx.invoked_subcommand)
            if words is None:
                raise
            raise click.ClickException(words) from exc


def shown(message: str) -> str:
    """Return a message as one line, for logs. Lines after an empty line, which are text to copy, stay lines."""
    said, _, to_write = message.partition("\n\n")
    first = printable(" | ".join(line.strip() for line in said.splitlines() if line.strip()), _LONGEST_ERROR)
    return "\n".join([first, *(printable(line.rstrip(), _LONGEST_ERROR) for line in to_write.splitlines())])


@click.group(
    cls=_Commands,
    commands=_Lazily(_COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@version_option
@click.option("-v", "--verbose", is_flag=True, help="Print steps and the origin of values to stderr.")
def cli(verbose: bool) -> None:
    """Train compact residual shrinkage networks, convert them to int8, and monitor machines with them."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)


def main() -> None:
    """Run the command line, or refuse an untested version of Python in one line."""
    if not _FIRST_PYTHON <= sys.version_info < _AFTER_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"drsn-edge needs Python 3.10 to 3.13, but {sys.executable} is {version}.")
    if getattr(sys, "stdout", None) is None:
        sys.exit("The standard output, where drsn-edge prints results, is closed. Redirect it to a file or /dev/null.")
    cli()


if __name__ == "__main__":
    main()
