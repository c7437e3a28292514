"""Lookup of programs on the PATH, without the current folder."""

from __future__ import annotations

import os
import shutil


def find_program(name: str) -> str | None:
    """Return the path of a program on the PATH; None if there is none.

    Relative and empty entries of the PATH mean the current folder and are not searched: a user who can write there
    could choose the program that runs. A name with a slash is a path and taken as it is.
    """
    if os.sep in name:
        return name if os.access(name, os.X_OK) else None
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(filter(os.path.isabs, entries)))
