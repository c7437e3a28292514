"""The note in a raw log that says what was recorded: `recording: {"group": "lathe 1", "label": "healthy"}`.

`record --label --group` writes it at the beginning of each file, so that a kill or a copy parts it from no bytes.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping

from drsn_edge.errors import RecordingError

_BEGIN = "recording: "
_KEYS = ("label", "group")
MAX_VALUE = 200
"""Characters of a label or a group."""
_MAX_NOTE = 4096


def check_name(text: str) -> str:
    """Return the text of a label or a group.

    Raises:
        RecordingError: If it is empty, too long, has blanks at its ends, or characters that cannot be seen.
    """
    if not text or text != text.strip() or len(text) > MAX_VALUE or not text.isprintable():
        raise RecordingError(
            f"Expected a name of 1 to {MAX_VALUE} characters that can be seen, without spaces at its ends, got "
            f"{reprlib.repr(text)}."
        )
    return text


def note_of(values: Mapping[str, str]) -> str:
    """Return the text of the note that says these values; empty where there are none."""
    return _BEGIN + json.dumps(dict(values), sort_keys=True) if values else ""


def values_of(text: str) -> dict[str, str] | None:
    """Return what a note says of the recording, None for any other note; a value that cannot be is left out."""
    if not text.startswith(_BEGIN) or len(text) > _MAX_NOTE:
        return None
    try:
        found = json.loads(text.removeprefix(_BEGIN))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {key: value for key in _KEYS if (value := _name(found.get(key))) is not None}


def _name(value: object) -> str | None:
    try:
        return check_name(value) if isinstance(value, str) else None
    except RecordingError:
        return None
