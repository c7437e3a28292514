"""`drsn-edge agent`."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.completion import serial_ports
from drsn_edge.cli.options import PathType
from drsn_edge.cli.output import note

if TYPE_CHECKING:
    from firmware_bridge.gateway.agent import Agent

_PAUSE_S = 0.5
_MOST_WAITING = 4
"""Callers that may wait. The bundle store serves one at a time."""


@click.command()
@click.option(
    "--serial",
    "port",
    metavar="PORT",
    shell_complete=serial_ports,
    help="Serve on this serial port.  [default: standard input and output]",
)
@click.option(
    "--baud",
    type=click.IntRange(min=1),
    default=115_200,
    show_default=True,
    metavar="BAUD",
    help="Baud rate of --serial.",
)
@click.option(
    "--socket", "path", type=PathType, metavar="PATH", help="Serve on this Unix socket, which only its owner may use."
)
def agent(port: str | None, baud: int, path: Path | None) -> None:
    """Receive bundles on a gateway for `drsn-edge flash`.

    Without an option, the agent serves one connection on standard input and output. `drsn-edge flash --to ssh://...`
    starts it in this way.

    \b
    Example:
      drsn-edge agent --serial /dev/ttyGS0
    """
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.gateway.addresses import local_agent

    if port is not None and path is not None:
        raise click.UsageError("--serial and --socket exclude each other. Leave one out.")
    with stop_on_signal() as stopped:
        if port is not None:
            _on_serial(port, baud, stopped)
        elif path is not None:
            _on_socket(path, stopped)
        else:
            _on_pipes(lambda: local_agent("drsn-edge flash over a pipe", in_thread=True), stopped)


def _on_pipes(make: Callable[[], Agent], stopped: Callable[[], bool]) -> None:
    from firmware_bridge.gateway.agent import serve
    from firmware_bridge.gateway.transports import DescriptorLink

    if sys.stdin.isatty():
        raise click.UsageError(
            "The agent speaks with a program, not with a terminal. `drsn-edge flash --to ssh://...` starts it on the "
            "gateway; otherwise type --serial PORT or --socket PATH."
        )
    own = os.dup(1)
    os.dup2(2, 1)  # printed text must not come between the frames
    serve(make(), DescriptorLink(0, own), stopped)


def _on_serial(port: str, baud: int, stopped: Callable[[], bool]) -> None:
    from drsn_edge.gateway.addresses import local_agent
    from firmware_bridge.gateway.agent import serve
    from firmware_bridge.sources.link import Link

    link = Link(port, baud)
    link.open()
    note(f"serving on {link.port}")
    while not stopped():
        serve(local_agent("drsn-edge flash over a serial line", in_thread=True), link, stopped, stays=True)
        while not (stopped() or link.try_reopen()):
            pass
    link.close()


def _on_socket(path: Path, stopped: Callable[[], bool]) -> None:
    from drsn_edge.errors import OutputError
    from drsn_edge.gateway.addresses import local_agent
    from firmware_bridge.gateway.agent import serve
    from firmware_bridge.gateway.transports import DescriptorLink

    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
        path.unlink()  # a killed agent left it
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        except OSError as exc:
            words = f"Could not serve on {path}: {exc.strerror or exc}. Choose another --socket."
            raise OutputError(words, "cannot_listen", path=path, reason=exc.strerror or str(exc)) from exc
        finally:
            os.umask(before)
        listening.listen(_MOST_WAITING)
        listening.settimeout(_PAUSE_S)
        note(f"serving on {path}")
        while not stopped():
            with suppress(TimeoutError):
                caller, _ = listening.accept()
                with caller:
                    link = DescriptorLink(caller.fileno(), caller.fileno())
                    serve(local_agent("drsn-edge flash over a socket", in_thread=True), link, stopped)
    path.unlink(missing_ok=True)
