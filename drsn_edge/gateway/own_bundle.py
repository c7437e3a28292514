"""What `drsn-edge learn --install` leaves on a gateway: a bundle of this site's own, beside the store.

It is not signed and never enters the store, so it cannot be confirmed, exported or flashed to another gateway. The
monitor uses it where the store has no active bundle.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.errors import BundleError, OutputError
from drsn_edge.gateway.paths import state_folder
from firmware_bridge.errors import NoBundleError
from firmware_bridge.gateway.state import Slot
from firmware_bridge.gateway.store import Running, SlotStore

FILE = "learned.drsn"


def own_bundle(state: Path | None = None) -> Path:
    """Return the file of this site's own bundle, whether it exists or not.

    Args:
        state: State folder of the gateway; None: the one of `drsn_edge.gateway.paths`.
    """
    return (state or state_folder()) / FILE


def make_room_for(path: Path) -> None:
    """Create the folder of this site's own bundle if it is missing.

    Raises:
        OutputError: If it cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        why = exc.strerror or str(exc)
        words = f"Could not create the folder {path.parent}: {why}. Set DRSN_EDGE_STATE to a folder that you may write."
        raise OutputError(words, "cannot_write", path=path.parent, reason=why) from exc


def active_or_own(store: SlotStore, own: Path | None = None) -> Path:
    """Return the active bundle of a store, without counting a start; this site's own where the store has none.

    Args:
        store: The store.
        own: This site's own bundle; None: the one of this gateway.

    Raises:
        NoBundleError: If there is neither.
    """
    try:
        return store.active().path
    except NoBundleError as exc:
        return own_instead(own or own_bundle(), exc).path


def own_instead(own: Path, why: NoBundleError) -> Running:
    """Return this site's own bundle, to run where a store has no active one.

    Args:
        own: The bundle.
        why: Why the store has no bundle to run. A damaged store is no reason to use this site's own.

    Raises:
        NoBundleError: The given one, if this site has no bundle of its own, or it is damaged.
    """
    if why.problem != "none_active" or not own.is_file():
        raise why
    try:
        manifest, data = read_bundle(own).manifest, own.read_bytes()
    except (BundleError, OSError) as exc:
        words = f"{why} This site's own bundle cannot be used: {exc} Learn it again: drsn-edge learn --install --force"
        raise NoBundleError(words, "own_damaged", path=own) from exc
    digest = hashlib.sha256(data).hexdigest()
    return Running(own, Slot(digest, len(data), manifest.name, manifest.version, manifest.lowest_version), False)
