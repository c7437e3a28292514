"""Other classes than the recordings' own labels: what a field of theirs says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.recording import Recording


def labelled_by(recordings: Sequence[Recording], field: str) -> list[Recording]:
    """Return the recordings with the value of `field` as label; "group" and "name" count as fields.

    Raises:
        RecordingError: If a recording lacks the field.
    """
    return [replace(recording, label=_label(recording, field)) for recording in recordings]


def _label(recording: Recording, field: str) -> str:
    if field not in recording.known:
        raise RecordingError(
            f"Expected a field {field!r} in {recording.name} to take its class from, got "
            f"{', '.join(sorted(recording.known))}. State it in the catalogue, or choose another --label-field."
        )
    return str(recording.known[field])
