"""Checks whether users other than its owner could replace a folder or its files, and says what to type against it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER_MODE = 0o755
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Exposure:
    """A reason why another user could have put files into a folder. As a string: a clause, and what to type.

    Attributes:
        words: The reason and the command against it; it completes a sentence that ends with "but".
        problem: "foreign_owner" or "writable_by_others".
        path: The folder, or the one above it, that is exposed.
    """

    words: str
    problem: str
    path: Path

    def __str__(self) -> str:
        """Return the words."""
        return self.words


def why_not_ours_alone(folder: Path, strict: int = 1) -> Exposure | None:
    """Return why another user could have put files into a folder; None if nobody could.

    The folder and all folders above it are checked, because a user who may write one of them can replace the next. A
    sticky folder such as /tmp may be above: it lets nobody replace files of others. Allowed owners are root and this
    user; for root also the owners of the strict folders, because the files of a service belong to the service.

    Args:
        folder: An existing folder.
        strict: Number of folders, this one first, that only their owner may write. Folders above those may also be
            writable by the owner's private group, as home folders are on systems where each user has one.
    """
    path = folder.resolve()
    chain = (path, *path.parents)
    states = [each.stat() for each in chain]
    owners = {0, os.geteuid()}
    if os.geteuid() == 0:
        owners |= {state.st_uid for state in states[:strict]}
    for place, (each, state) in enumerate(zip(chain, states, strict=True)):
        if state.st_uid not in owners:
            words = f"{each} belongs to user {state.st_uid}. Run the command as that user, or with sudo"
            return Exposure(words, "foreign_owner", each)
        writers = state.st_mode & _OTHERS_WRITE
        if place >= strict and (state.st_mode & stat.S_ISVTX or (writers == stat.S_IWGRP and _is_private(state))):
            continue
        if writers:
            words = f"other users may write {each}. Check what is in it, then type: chmod go-w {each}"
            return Exposure(words, "writable_by_others", each)
    return None


def make_folder(folder: Path) -> None:
    """Create a folder and the missing ones above it, writable by the owner alone whatever the umask.

    A folder that root creates belongs to the owner of the folder above, so that a service can write its own state.
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
    """Return whether a group is private to its owner: it has the owner's name and no other member."""
    try:
        user, group = pwd.getpwuid(state.st_uid), grp.getgrgid(state.st_gid)
    except KeyError:
        return False
    return user.pw_name == group.gr_name and set(group.gr_mem) <= {user.pw_name}
