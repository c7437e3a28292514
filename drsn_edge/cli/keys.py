"""`drsn-edge keys`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drsn_edge.cli.options import PathType, json_option
from drsn_edge.cli.output import print_json, print_text
from drsn_edge.cli.signing_key import key_option, passphrase

if TYPE_CHECKING:
    from drsn_edge.bundle.signing import PublicKey


@click.group()
def keys() -> None:
    """Manage the keys that sign bundles.

    The private key stays on the workstation, encrypted if DRSN_EDGE_KEY_PASSPHRASE is set. A gateway accepts bundles
    that are signed by a key it trusts.

    \b
    Example:
      drsn-edge keys new
      drsn-edge keys show | ssh pi@gateway sudo drsn-edge keys trust -
    """


@keys.command()
@key_option
@click.option("--name", metavar="NAME", help="Name of the key's owner.  [default: USER@HOST]")
@json_option
def new(key: Path | None, name: str | None, as_json: bool) -> None:
    """Make a private key and its public key.

    The public key is written beside the private key. An existing key is never replaced.

    \b
    Example:
      drsn-edge keys new --name works
    """
    import getpass
    import platform
    import re
    import shlex

    from drsn_edge.bundle.signing import new_private, public_path
    from drsn_edge.gateway.paths import key_path
    from drsn_edge.support.files import write_file

    path = key or key_path()
    own = re.sub(r"[^\w.@-]", "-", f"{getpass.getuser()}@{platform.node() or 'here'}")[:64]
    public = new_private(path, name or own, passphrase())
    write_file(public_path(path), f"{public.line}\n".encode())
    if as_json:
        print_json("key", {**_values(public), "private": str(path)})
    else:
        print_text(f"wrote {path} (private, keep it on this machine) and {public_path(path)}\n{_words(public)}")
        own_key = "" if key is None else f" --key {shlex.quote(str(path))}"
        print_text(
            f"on the way to each gateway: drsn-edge keys show{own_key} | ssh GATEWAY sudo drsn-edge keys trust -"
        )
        print_text(f"on this machine: drsn-edge keys trust {shlex.quote(str(public_path(path)))}")


@keys.command()
@key_option
@click.option("--trusted", is_flag=True, help="Print the keys that this gateway trusts instead of the public key.")
@json_option
def show(key: Path | None, trusted: bool, as_json: bool) -> None:
    """Print the public key, or the trusted keys with --trusted.

    The public key is printed in the form that `drsn-edge keys trust -` reads.

    \b
    Example:
      drsn-edge keys show --trusted
    """
    from drsn_edge.bundle.signing import public_path, read_public, trusted_keys
    from drsn_edge.errors import KeyFileError
    from drsn_edge.gateway.paths import key_path, trust_folder

    own = key or key_path()
    if not (trusted or public_path(own).exists() or own.exists()):
        raise KeyFileError(
            f"There is no key at {own} yet. Make one: drsn-edge keys new{f' --key {own}' if key else ''}",
            "missing",
            path=own,
        )
    found = trusted_keys(trust_folder()) if trusted else [read_public(public_path(own))]
    if as_json:
        print_json("keys", {"keys": [_values(each) for each in found]})
    elif trusted:
        print_text("\n".join(map(_words, found)) or f"this gateway trusts no key ({trust_folder()})")
    else:
        print_text(found[0].line)


@keys.command()
@click.argument("key", metavar="KEY.pub")
@click.option(
    "--state",
    type=PathType,
    metavar="FOLDER",
    help="State folder to change, such as that on a disk image.  [default: this machine's]",
)
@json_option
def trust(key: str, state: Path | None, as_json: bool) -> None:
    """Trust a public key: accept bundles that its owner signed.

    KEY.pub is a file; - reads the key from standard input.

    \b
    Example:
      drsn-edge keys trust signing.key.pub
    """
    from drsn_edge.bundle.signing import parse_public, read_public
    from drsn_edge.bundle.signing import trust as add
    from drsn_edge.gateway.paths import trust_folder

    public = parse_public(sys.stdin.readline(4096), "standard input") if key == "-" else read_public(Path(key))
    path = add(public, trust_folder() if state is None else state / "trusted")
    if as_json:
        print_json("key", {**_values(public), "file": str(path)})
    else:
        print_text(f"trusted: {_words(public)}\nto undo this: drsn-edge keys untrust {public.id}")


@keys.command()
@click.argument("key", metavar="ID|NAME|KEY.pub")
@click.option(
    "--state",
    type=PathType,
    metavar="FOLDER",
    help="State folder to change, such as that on a disk image.  [default: this machine's]",
)
@json_option
def untrust(key: str, state: Path | None, as_json: bool) -> None:
    """Stop trusting a key: refuse bundles that its owner signed.

    Name the key by its id, its owner's name or its file. A running bundle keeps running.

    \b
    Example:
      drsn-edge keys untrust works
    """
    from drsn_edge.bundle.signing import trusted_keys
    from drsn_edge.bundle.signing import untrust as remove
    from drsn_edge.gateway.paths import state_folder, trust_folder

    folder = trust_folder() if state is None else state / "trusted"
    public = remove(key, folder)
    left, held = trusted_keys(folder), _signed_by(public.id, state or state_folder())
    if as_json:
        values = {**_values(public), "left": [each.id for each in left], "bundles": held}
        print_json("untrusted", values)
        return
    print_text(f"no longer trusted: {_words(public)}\nbundles that this key signed can no longer be flashed here")
    for name in held:
        print_text(f"{name} is on this gateway and signed by this key: it keeps running, and cannot be flashed again")
    print_text(f"still trusted: {', '.join(map(_words, left)) or 'no key, so no bundle can be flashed here'}")


def _signed_by(key_id: str, state: Path) -> list[str]:
    """Return the readable bundles of a gateway that a key has signed."""
    from drsn_edge.bundle.bundle import bundle_from_bytes
    from drsn_edge.bundle.signing import signer_id
    from drsn_edge.errors import DrsnEdgeError
    from drsn_edge.gateway.local_store import FOLDER, open_store
    from firmware_bridge.errors import FirmwareBridgeError

    found = []
    with suppress(DrsnEdgeError, FirmwareBridgeError, OSError):
        slots = open_store("drsn-edge keys", state).state().slots.values() if (state / FOLDER).is_dir() else ()
        for slot in slots:
            if signer_id(bundle_from_bytes((state / FOLDER / slot.file).read_bytes())) == key_id:
                found.append(f"{slot.name} {slot.version}")
    return found


def _values(key: PublicKey) -> dict[str, str]:
    return {"id": key.id, "name": key.name, "public": key.line}


def _words(key: PublicKey) -> str:
    return f"{key.id}  {key.name}"
