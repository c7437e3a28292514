"""The interface of a link for bytes: a port, a pipe or a socket."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Received(NamedTuple):
    """Result of one read.

    Attributes:
        data: Bytes received; empty if none came in time.
        has_more: Whether more bytes are already waiting.
    """

    data: bytes
    has_more: bool


class ByteLink(Protocol):
    """A link for bytes in both directions."""

    def read(self) -> Received:
        """Return the bytes that come within about 50 ms; raise PortLostError if the other end is gone."""

    def write(self, data: bytes) -> None:
        """Send all of `data`; raise PortLostError if the other end is gone."""
