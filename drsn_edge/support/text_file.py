"""Files of text that a person wrote: their text, or a sentence on why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from drsn_edge.errors import DrsnEdgeError
from firmware_bridge.support.regular_file import read_text_file, why_unreadable


def read_text(path: Path, what: str, error: type[DrsnEdgeError]) -> str:
    """Return the text of a file.

    Args:
        path: Of the file.
        what: The file should hold, such as "settings" or "a catalogue".
        error: What is raised.

    Raises:
        DrsnEdgeError: As `error`, if the file is missing, no regular file, too large, or not UTF-8.
    """
    try:
        return read_text_file(path)
    except UnicodeDecodeError as exc:
        raise error(f"Expected {what} in {path}, could not read it: {exc}. Save it as UTF-8.") from exc
    except OSError as exc:
        raise error(f"Expected {what} in {path}, could not read it: {why_unreadable(exc)}") from exc
