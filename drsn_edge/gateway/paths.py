"""Folders and files of a gateway: its state, its trusted keys and the signing key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_STATE = Path("/var/lib/drsn-edge")
SYSTEM_TRUST = Path("/etc/drsn-edge/trusted")
"""Outside the state folder, which the service may write: a bundle must not be able to change the trusted keys."""


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return DRSN_EDGE_STATE if it is set, else the system's folder for root, else the user's own."""
    chosen = environment.get("DRSN_EDGE_STATE")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return SYSTEM_STATE
    home = environment.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "drsn-edge"


def monitor_folders(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the state folders of running monitors: DRSN_EDGE_STATE if it is set, else the user's and the system's."""
    own = state_folder(environment)
    return [own] if environment.get("DRSN_EDGE_STATE") else list(dict.fromkeys([own, SYSTEM_STATE]))


def trust_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return DRSN_EDGE_TRUST if it is set, else the folder of trusted keys that belongs to the state folder."""
    chosen = environment.get("DRSN_EDGE_TRUST")
    if chosen:
        return Path(chosen)
    state = state_folder(environment)
    return SYSTEM_TRUST if state == SYSTEM_STATE else state / "trusted"


def key_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file of this user's signing key."""
    home = environment.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "drsn-edge" / "signing.key"
