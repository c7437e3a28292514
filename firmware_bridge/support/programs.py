"""Programs of this machine, found where its owner put them and not where this process happens to stand."""

from __future__ import annotations

import os
import shutil


def find_program(name: str) -> str | None:
    """Return the path of a program on the PATH; None where there is none.

    Relative entries of the PATH, and empty ones, are the current folder's and not searched: whoever can write there
    would choose what runs. A name with a slash is a path, and taken as it is.
    """
    if os.sep in name:
        return name if os.access(name, os.X_OK) else None
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(filter(os.path.isabs, entries)))
