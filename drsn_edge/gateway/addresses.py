"""From the address of a gateway to an object that can be asked."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drsn_edge import __version__

if TYPE_CHECKING:
    from firmware_bridge.gateway.agent import Agent
    from firmware_bridge.gateway.client import Gateway
    from firmware_bridge.gateway.transports import GatewayAddress


def about() -> dict[str, Any]:
    """Return the description of this gateway: versions, machine and node."""
    return {
        "drsn_edge": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "machine": platform.machine(),
        "node": platform.node(),
    }


def local_agent(what: str, state: Path | None = None, gated: bool = True, in_thread: bool = False) -> Agent:
    """Return the agent of a state folder on this machine.

    Args:
        what: Name of the agent, shown to others who want to change the store.
        state: The folder, with its folder of trusted keys; None: the folders of this gateway.
        gated: Whether a bundle must run here before it is accepted; False for the folder of another machine.
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


def reach(address: GatewayAddress, tell: Callable[[str], object]) -> Gateway:
    """Return the gateway at an address; the connection to a remote one opens at the first request.

    Args:
        address: See `parse_address`.
        tell: Called with messages of the other end for people.
    """
    from firmware_bridge.gateway.client import LocalGateway, RemoteGateway
    from firmware_bridge.gateway.transports import open_link

    if address.kind == "local":
        return LocalGateway(local_agent("drsn-edge flash"))
    if address.kind == "file":
        return LocalGateway(local_agent("drsn-edge flash", Path(address.place), gated=False))
    return RemoteGateway(lambda: open_link(address, tell))
