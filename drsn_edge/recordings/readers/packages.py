"""Packages of the extra `formats`, imported when a file of their format is met."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from drsn_edge.errors import RecordingError
from drsn_edge.support.extras import pip_line


def package_for(path: Path, files: str, package: str, module: str) -> Any:
    """Import a module that reads a file.

    Args:
        path: The file.
        files: Its kind, such as "TDMS files".
        package: Name of the package, as pip takes it.
        module: Module of the package.

    Raises:
        RecordingError: If the package is not installed; the message says what to type.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        words = f"{path} cannot be read: {files} need {package}, which is not installed. Type: {pip_line('formats')}"
        raise RecordingError(words, "package_missing", path=path, package=package, extra="formats") from exc
