"""The gateway that a person names to `gateway` and `flash`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.completion import any_of
from drsn_edge.cli.output import note

if TYPE_CHECKING:
    from firmware_bridge.gateway.client import Gateway

ADDRESS_HELP = (
    "Address of the gateway: ssh://[USER@]HOST[:PORT][/PATH/TO/drsn-edge][?sudo], serial:PORT[?baud=N], socket:PATH "
    "of an agent, local for this machine, or file:FOLDER for a state folder on a disk image or a USB stick."
)


complete_address = any_of("local", "ssh://", "serial:", "socket:", "file:")


@contextmanager
def reached(text: str) -> Iterator[Gateway]:
    """Yield the gateway at an address, and close the connection after the block.

    Raises:
        click.BadParameter: If the text is not an address.
    """
    from drsn_edge.gateway.addresses import reach
    from firmware_bridge.errors import ProtocolError
    from firmware_bridge.gateway.transports import parse_address

    try:
        address = parse_address(text)
    except ProtocolError as exc:
        raise click.BadParameter(str(exc)) from exc
    found = reach(address, note)
    try:
        yield found
    finally:
        found.close()
