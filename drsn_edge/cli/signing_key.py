"""The private key that signs bundles, for `keys` and `bundle`."""

from __future__ import annotations

import os

import click

from drsn_edge.cli.options import PathType

PASSPHRASE = "DRSN_EDGE_KEY_PASSPHRASE"

key_option = click.option(
    "--key",
    type=PathType,
    metavar="FILE",
    help="Private key that signs bundles.  [default: signing.key in ~/.config/drsn-edge]",
)


def passphrase() -> bytes | None:
    """Return the passphrase of the private key from the environment; None if the key is not encrypted."""
    return os.environ.get(PASSPHRASE, "").encode() or None
