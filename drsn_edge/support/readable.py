"""Why this user may not read a file, and what to type to get the permission."""

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

_SUDO = "Run the command with sudo."


class NotReadableError(OutputError):
    """This user may not read a file; the message says why and what to type."""


def not_readable(path: Path) -> NotReadableError:
    """Return the error to raise after a file could not be read for lack of permission."""
    problem, words, facts = _why(path, os.getgroups())
    return NotReadableError(f"{_user()} may not read {path}. {words}", problem, path=path, user=_user(), **facts)


def _why(path: Path, groups: Collection[int]) -> tuple[str, str, dict[str, object]]:
    """Return the problem, what to read about it, and its facts."""
    barred = _barred(path)
    if barred is None:
        return "not_permitted", _SUDO, {}
    place, found, needed = barred
    if not found.st_mode & needed:
        verb = "enter" if needed == stat.S_IXGRP else "read"
        return "group_not_permitted", f"The group of {place} may not {verb} it. {_SUDO}", {"place": place}
    try:
        entry = grp.getgrgid(found.st_gid)
    except KeyError:
        words = f"{place} belongs to a group without a name (id {found.st_gid}). {_SUDO}"
        return "nameless_group", words, {"place": place, "group": found.st_gid}
    group = entry.gr_name
    facts: dict[str, object] = {"place": place, "group": group}
    if group == "root":
        return "belongs_to_root", f"{place} belongs to root. {_SUDO}", facts
    if found.st_gid in groups:
        return "not_permitted", _SUDO, facts
    if _user() in entry.gr_mem:
        return "log_in_again", f"{_user()} joined the group {group} after this login: log in again.", facts
    words = f"{place} is readable by the group {group}. Type: sudo usermod -aG {group} {_user()}, then log in again; "
    return "not_in_group", f"{words}or run the command with sudo.", facts


def _barred(path: Path) -> tuple[Path, os.stat_result, int] | None:
    """Return the first folder or file on the way to a file that bars it, its status, and the mode bit its group needs.

    None: nothing on the way bars this user.
    """
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
