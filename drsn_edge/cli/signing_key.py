"""The private key that signs, of `keys` and `bundle`."""

from __future__ import annotations

import os

import click

from drsn_edge.cli.options import PathType

PASSPHRASE = "DRSN_EDGE_KEY_PASSPHRASE"

key_option = click.option(
    "--key", type=PathType, metavar="FILE", help="Private key.  [default: signing.key in ~/.config/drsn-edge]"
)


def passphrase() -> bytes | None:
    """Return what encrypts the private key, from the environment; None: nothing does."""
    return os.environ.get(PASSPHRASE, "").encode() or None
