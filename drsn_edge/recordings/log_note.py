"""The note in a raw log that states label and group: `recording: {"group": "lathe 1", "label": "healthy"}`.

`record --label --group` writes the note at the beginning of each file, so that the note survives an interrupted
recording and a copied file.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping

from drsn_edge.errors import RecordingError

_BEGIN = "recording: "
_KEYS = ("label", "group")
MAX_VALUE = 200
"""Most characters of a label or a group."""
_MAX_NOTE = 4096


def check_name(text: str) -> str:
    """Return the text of a label or a group.

    Raises:
        RecordingError: If the text is empty, too long, begins or ends with a space, or is not printable.
    """
    if not text or text != text.strip() or len(text) > MAX_VALUE or not text.isprintable():
        raise RecordingError(
            f"A name must have 1 to {MAX_VALUE} printable characters and no space at its ends, got "
            f"{reprlib.repr(text)}. Choose another name.",
            "bad_name",
            got=text,
            limit=MAX_VALUE,
        )
    return text


def note_of(values: Mapping[str, str]) -> str:
    """Return the text of the note with these values; empty if there are no values."""
    return _BEGIN + json.dumps(dict(values), sort_keys=True) if values else ""


def values_of(text: str) -> dict[str, str] | None:
    """Return label and group of a note, None for any other note; an invalid value is left out."""
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
