"""Addresses of Dask schedulers, checked without Dask."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from drsn_edge.errors import JobsError

SCHEMES = ("tcp", "tls")


def check_address(address: str) -> None:
    """Check that an address has the form tcp://HOST:PORT or tls://HOST:PORT.

    Raises:
        JobsError: If it does not.
    """
    parts = _split(address)
    if parts is None or parts.scheme not in SCHEMES or parts.path or parts.username is not None:
        raise JobsError(
            f"{address!r} is not the address of a Dask scheduler. Type tcp://HOST:PORT or tls://HOST:PORT, such as "
            "tcp://127.0.0.1:8786.",
            "not_an_address",
            address=address,
        )


def is_readable_on_the_way(address: str) -> bool:
    """Tell whether an address leads to another machine without encryption."""
    parts = _split(address)
    return parts is not None and parts.scheme == "tcp" and not _is_loopback(str(parts.hostname))


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        return parts if parts.hostname and parts.port else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
