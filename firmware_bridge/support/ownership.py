"""Who, beside its owner, could put something else into the place of a folder, and what to type against it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o755
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def why_not_ours_alone(folder: Path, strict: int = 1) -> str | None:
    """Return why a folder may hold what somebody else put there, and what to type; None: it cannot.

    Looked at are the folder and all above it: whoever may write one of them can put another in the place of the next. A
    sticky one such as /tmp lets nobody touch what is another's, and may be above. Owners may be root and this user, and
    for root the owners of the strict ones: what a service runs belongs to the service.

    Args:
        folder: That there is.
        strict: How many, this one first, nobody but their owner may write. Above those the owner's private group may:
            where each user has a group of their own, folders of homes are made so.
    """
    path = folder.resolve()
    chain = (path, *path.parents)
    states = [each.stat() for each in chain]
    owners = {0, os.geteuid()}
    if os.geteuid() == 0:
        owners |= {state.st_uid for state in states[:strict]}
    for place, (each, state) in enumerate(zip(chain, states, strict=True)):
        if state.st_uid not in owners:
            return f"it belongs to user {state.st_uid} as far as {each}. Call it as that user, or with sudo"
        writers = state.st_mode & _OTHERS_WRITE
        if place >= strict and (state.st_mode & stat.S_ISVTX or (writers == stat.S_IWGRP and _is_private(state))):
            continue
        if writers:
            return f"others may write {each}. Look at what is in it, then type: chmod go-w {each}"
    return None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, for nobody else to write, whatever the umask says.

    What root makes belongs to whom the folder above belongs: a service must be able to write what it runs from.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        above = each.parent.stat()
        with suppress(FileExistsError):
            each.mkdir(mode=FOLDER_MODE)
            if os.geteuid() == 0 and above.st_uid != 0:
                os.chown(each, above.st_uid, above.st_gid)


def _is_private(state: os.stat_result) -> bool:
    """Tell whether a group is its owner's own: of the same name, and of nobody else."""
    try:
        user, group = pwd.getpwuid(state.st_uid), grp.getgrgid(state.st_gid)
    except KeyError:
        return False
    return user.pw_name == group.gr_name and set(group.gr_mem) <= {user.pw_name}
