"""What bytes come and go by, be it a port, a pipe or a socket."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Received(NamedTuple):
    """What one read gave.

    Attributes:
        data: The bytes, none if nothing came in time.
        has_more: Whether others wait to be read already.
    """

    data: bytes
    has_more: bool


class ByteLink(Protocol):
    """A way for bytes in both directions."""

    def read(self) -> Received:
        """Return what came within some 50 ms; PortLostError when the other end is gone."""

    def write(self, data: bytes) -> None:
        """Send all of it; PortLostError when the other end is gone."""
