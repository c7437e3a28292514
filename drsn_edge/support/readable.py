"""Why this user may not read a file, and what to type so that they may."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from drsn_edge.errors import OutputError


class NotReadableError(OutputError):
    """A file that this user may not read; the message says why, and what helps."""


def not_readable(path: Path) -> NotReadableError:
    """Return what to raise where reading a file was not allowed."""
    return NotReadableError(f"Not allowed to read {path} as {_user()}. {_why(path, os.getgroups())}")


def _why(path: Path, groups: Collection[int]) -> str:
    barred = _barred(path)
    if barred is None:
        return "Call it with sudo."
    place, found, needed = barred
    if not found.st_mode & needed:
        return f"The group of {place} may not {'enter' if needed == stat.S_IXGRP else 'read'} it. Call it with sudo."
    try:
        group = grp.getgrgid(found.st_gid)
    except KeyError:
        return f"{place} belongs to a group without a name ({found.st_gid}). Call it with sudo."
    if group.gr_name == "root":
        return f"{place} belongs to root. Call it with sudo."
    if found.st_gid in groups:
        return "Call it with sudo."
    if _user() in group.gr_mem:
        return f"{_user()} is in the group {group.gr_name} from the next login on: log in again."
    return (
        f"{place} is for the group {group.gr_name}: sudo usermod -aG {group.gr_name} {_user()}, then log in again; or "
        "call it with sudo."
    )


def _barred(path: Path) -> tuple[Path, os.stat_result, int] | None:
    """Return what bars the way to a file, from the root on: it, what it is, and the bit that its group would need."""
    path = path.absolute()
    for place in (*reversed(path.parents), path):
        with suppress(OSError):
            found = os.stat(place)
            is_folder = stat.S_ISDIR(found.st_mode)
            if not os.access(place, os.X_OK if is_folder else os.R_OK):
                return place, found, stat.S_IXGRP if is_folder else stat.S_IRGRP
    return None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()
