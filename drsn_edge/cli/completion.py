"""Names that the shell completes where click knows none: serial ports, files, gateways. Fast: they import nothing."""

from __future__ import annotations

from collections.abc import Callable
from glob import glob

import click
from click.shell_completion import CompletionItem

Completing = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_PORTS = ("/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*", "/dev/cu.usb*")


def serial_ports(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the serial devices of this machine that begin as typed."""
    found = sorted({path for pattern in _PORTS for path in glob(pattern)})
    return [CompletionItem(path) for path in found if path.startswith(incomplete)]


def a_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the answer that makes the shell complete files."""
    return [CompletionItem(incomplete, type="file")]


def any_of(*names: str) -> Completing:
    """Return a function that completes these names."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return complete
