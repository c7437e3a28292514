"""From the text of a target to a gateway that can be asked."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drsn_edge import __version__

if TYPE_CHECKING:
    from firmware_bridge.gateway.agent import Agent
    from firmware_bridge.gateway.client import Gateway

TARGET_HELP = (
    "ssh://[USER@]HOST[:PORT][/PATH/TO/drsn-edge][?sudo], serial:PORT[?baud=N], socket:PATH of an agent, local, or "
    "file:STATE-FOLDER of an image or a stick."
)


def about() -> dict[str, Any]:
    """Return what a gateway says of itself."""
    return {
        "drsn_edge": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "machine": platform.machine(),
        "node": platform.node(),
    }


def local_agent(what: str, state: Path | None = None, gated: bool = True, in_thread: bool = False) -> Agent:
    """Return an agent of a state folder on this machine.

    Args:
        what: Who it is, for others who want to change the store.
        state: The folder; None: this gateway's own, and its folder of trusted keys.
        gated: Whether bundles run here before they are taken: not those of another machine.
        in_thread: See `Agent`.
    """
    from drsn_edge.gateway.local_store import FOLDER, open_store
    from drsn_edge.gateway.paths import state_folder
    from firmware_bridge.gateway.agent import Agent
    from firmware_bridge.gateway.disk import Disk

    trust = None if state is None else state / "trusted"

    def store_of(new_contract: bool) -> Any:
        return open_store(what, state, trust, new_contract=new_contract, gated=gated)

    return Agent(store_of, Disk((state or state_folder()) / FOLDER), about(), in_thread)


def reach(text: str) -> Gateway:
    """Return the gateway that a text names; a remote one is connected at the first question.

    Raises:
        click.BadParameter: If it names none.
    """
    from firmware_bridge.errors import ProtocolError
    from firmware_bridge.gateway.client import LocalGateway, RemoteGateway
    from firmware_bridge.gateway.transports import open_link, parse_address

    try:
        address = parse_address(text)
    except ProtocolError as exc:
        raise click.BadParameter(str(exc)) from exc
    if address.kind == "local":
        return LocalGateway(local_agent("drsn-edge flash"))
    if address.kind == "file":
        return LocalGateway(local_agent("drsn-edge flash", Path(address.place), gated=False))
    return RemoteGateway(lambda: open_link(address, lambda text: click.echo(text, err=True)))
