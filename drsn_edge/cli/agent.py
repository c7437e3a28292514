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

from drsn_edge.cli.options import PathType
from drsn_edge.cli.output import note

if TYPE_CHECKING:
    from firmware_bridge.gateway.agent import Agent

_PAUSE_S = 0.5
_MOST_WAITING = 4
"""Callers that wait for the one before them; there is one bundle store, and it takes one at a time."""


@click.command()
@click.option("--serial", "port", metavar="PORT", help="Answer on this serial line, for as long as it runs.")
@click.option("--baud", type=click.IntRange(min=1), default=115_200, show_default=True, help="Of --serial.")
@click.option("--socket", "path", type=PathType, help="Answer on this unix socket, which only its owner may use.")
def agent(port: str | None, baud: int, path: Path | None) -> None:
    """Take bundles on a gateway, as `drsn-edge flash` sends them: on standard input and output, as ssh calls it.

    \b
    Example:
      drsn-edge agent --serial /dev/ttyGS0
    """
    from drsn_edge.cli.stopping import stop_on_signal
    from drsn_edge.gateway.addresses import local_agent

    if port is not None and path is not None:
        raise click.UsageError("Expected one of --serial and --socket.")
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
        raise click.UsageError("Expected a pipe: `drsn-edge flash --to ssh://...` starts this on the gateway.")
    own = os.dup(1)
    os.dup2(2, 1)  # what anybody prints must not come between the frames
    serve(make(), DescriptorLink(0, own), stopped)


def _on_serial(port: str, baud: int, stopped: Callable[[], bool]) -> None:
    from drsn_edge.gateway.addresses import local_agent
    from firmware_bridge.gateway.agent import serve
    from firmware_bridge.sources.link import Link

    link = Link(port, baud)
    link.open()
    note(f"answering on {link.port}")
    while not stopped():
        serve(local_agent("drsn-edge flash over a serial line", in_thread=True), link, stopped, stays=True)
        while not (stopped() or link.try_reopen()):
            pass
    link.close()


def _on_socket(path: Path, stopped: Callable[[], bool]) -> None:
    from drsn_edge.gateway.addresses import local_agent
    from firmware_bridge.gateway.agent import serve
    from firmware_bridge.gateway.transports import DescriptorLink

    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
        path.unlink()  # of an agent that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(_MOST_WAITING)
        listening.settimeout(_PAUSE_S)
        note(f"answering on {path}")
        while not stopped():
            with suppress(TimeoutError):
                caller, _ = listening.accept()
                with caller:
                    link = DescriptorLink(caller.fileno(), caller.fileno())
                    serve(local_agent("drsn-edge flash over a socket", in_thread=True), link, stopped)
    path.unlink(missing_ok=True)
