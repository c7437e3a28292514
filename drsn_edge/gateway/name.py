"""The name of a gateway: its host name and four hex digits, since every new Pi is called raspberrypi."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from drsn_edge.gateway.paths import state_folder

MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
ID_FILE = "gateway-id"
_ID = re.compile(r"[0-9a-f]{32}")


def gateway_name(
    machine_ids: Sequence[Path] = MACHINE_IDS,
    state: Path | None = None,
    host: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Return a name such as raspberrypi-3fa1: the same at each start, and different on each gateway.

    The four digits come from the SHA-256 of the machine's id; the id itself stays private. Without a machine id (in
    some containers) an id is made and kept in the state folder. If that folder cannot be written, the digits come from
    the host name alone.

    Args:
        machine_ids: Files of the machine's id, the best first.
        state: The state folder; None: this user's.
        host: The host name; None: this host's.
        tell: Called with a warning if other gateways with this host name would get the same name.
    """
    host = socket.gethostname() if host is None else host
    folder = state_folder() if state is None else state
    known = next((found for path in machine_ids if (found := _read(path))), None) or _kept(folder / ID_FILE)
    if known is None:
        tell(
            f"Other gateways with the host name {host} would use the same MQTT topics: this machine has no id "
            f"({machine_ids[0]}), and {folder} cannot be written. Name this gateway with --mqtt-gateway NAME."
        )
    short = host.split(".")[0] or "gateway"  # without its domain
    return f"{short}-{hashlib.sha256(f'drsn-edge gateway {known or host}'.encode()).hexdigest()[:4]}"


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            text = file.read(64).decode("ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _ID.fullmatch(text) else None


def _kept(path: Path) -> str | None:
    """Return the id that is kept in a file, and make it if it is missing; None if it cannot be kept."""
    if known := _read(path):
        return known
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
        with suppress(FileExistsError):  # another monitor that starts at the same time was first
            os.link(draft, path)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            draft.unlink()
    return _read(path)
