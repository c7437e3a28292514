"""What a gateway is called among others: its host name and four hex digits, as every Pi is called raspberrypi."""

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
    """Return e.g. raspberrypi-3fa1: the same at each start, another one on each gateway.

    The four digits are of the SHA-256 of the machine's id, which itself is nobody else's business. Without one (some
    containers) an id is made and kept in the state folder; where that cannot be written the host name is all there is.

    Args:
        machine_ids: Files of the machine's id, in the order of their worth.
        state: The state folder; None: this user's.
        host: The host name; None: this host's.
        tell: Given a sentence when other gateways of that host name would be called alike.
    """
    host = socket.gethostname() if host is None else host
    folder = state_folder() if state is None else state
    known = next((found for path in machine_ids if (found := _read(path))), None) or _kept(folder / ID_FILE)
    if known is None:
        tell(
            f"This machine has no id ({machine_ids[0]}) and {folder} cannot be written: other gateways called {host} "
            "would have its MQTT topics. Name it with --mqtt-gateway NAME."
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
    """Return the id that is kept there, after making one if there is none; None where it cannot be kept."""
    if known := _read(path):
        return known
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
        with suppress(FileExistsError):  # another monitor that starts now was first
            os.link(draft, path)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            draft.unlink()
    return _read(path)
