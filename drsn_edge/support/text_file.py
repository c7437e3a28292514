"""Text files that a person wrote: the text, or a sentence about why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from drsn_edge.errors import DrsnEdgeError
from firmware_bridge.support.regular_file import read_text_file, why_unreadable


def read_text(path: Path, what: str, error: type[DrsnEdgeError]) -> str:
    """Return the text of a file.

    Args:
        path: The file.
        what: Content that the file should have, such as "settings" or "a catalogue".
        error: Class that is raised.

    Raises:
        DrsnEdgeError: As `error`, if the file is missing, not a regular file, too large, or not UTF-8.
    """
    try:
        return read_text_file(path)
    except UnicodeDecodeError as exc:
        words = f"Could not read {what} from {path}: {exc}. Save the file as UTF-8."
        raise error(words, "not_utf8", path=path, what=what) from exc
    except OSError as exc:
        problem = "missing" if isinstance(exc, FileNotFoundError) else "unreadable"
        words = f"Could not read {what} from {path}: {why_unreadable(exc)}"
        raise error(words, problem, path=path, what=what, reason=exc.strerror or str(exc)) from exc
