"""What stands beside an array in a file: its sampling rate, unit and names, and the fields of the recording."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import RESERVED_KEYS, Metadata, MetadataValue, checked
from drsn_edge.recordings.readers.variables import Notes
from firmware_bridge.support.shown import printable

MOST_FIELDS = 64
_LONGEST_NAME = 60

_RATE = re.compile(
    r"(?:fs|sr|sfreq|srate|fsamp|fsample|samplerate|samplingrate|samplefreq|samplingfreq|samplefrequency|"
    r"samplingfrequency|samplespersecond)(k?hz)?"
)
_INTERVAL = re.compile(
    r"(?:dt|ts|deltat|timestep|sampletime|sampleinterval|samplinginterval|sampleperiod|samplingperiod|wfincrement|"
    r"increment)"
    r"(s|ms|us)?"
)
_FACTOR = {None: 1.0, "hz": 1.0, "khz": 1e3, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_LONGEST_INTERVAL_S = 10.0
_UNITS = ("unit", "units", "yunit", "yunits", "unitstring")
_LABELS = (
    "axes",
    "axis",
    "axisnames",
    "channels",
    "channelnames",
    "labels",
    "columns",
    "columnnames",
    "names",
    "sensors",
)
_ELSEWHERE = RESERVED_KEYS - {"label", "group", "full_scale"}
"""Keys that steer readers or are found by other means: a field of that name in a foreign file is something else."""

Scopes = Sequence[Notes]
"""What is stated around an array, the nearest first."""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def rate_in(scopes: Scopes, path: Path) -> float | None:
    """Return the sampling rate in Hz of the nearest place that states one; None if none does.

    Raises:
        RecordingError: If one place states two.
    """
    for scope in scopes:
        found = {name: rate for name, value in scope.items() if (rate := _rate(name, value)) is not None}
        if not found:
            continue
        first, *others = found.items()
        for name, rate in others:
            if not math.isclose(rate, first[1], rel_tol=1e-3):
                names = (printable(first[0], _LONGEST_NAME), printable(name, _LONGEST_NAME))
                words = f"{path} states two sampling rates: {first[1]:g} Hz ({names[0]}) and {rate:g} Hz ({names[1]})."
                words += " Correct the file, or choose by variable in the catalogue."
                raise RecordingError(words, "stated_twice", path=path, key="sample_rate_hz", values=(first[1], rate))
        return first[1]
    return None


def _rate(name: str, value: MetadataValue) -> float | None:
    """Return the rate that a number of this name states; `rate` alone is none: MFPT calls the shaft's speed so."""
    number = _number(value)
    if number is None:
        return None
    rate, interval = _RATE.fullmatch(_plain(name)), _INTERVAL.fullmatch(_plain(name))
    if rate:
        return number * _FACTOR[rate[1]]
    if interval and number * _FACTOR[interval[1]] < _LONGEST_INTERVAL_S:
        return 1.0 / (number * _FACTOR[interval[1]])
    return None


def _number(value: MetadataValue) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return number if 1e-12 < number < 1e12 else None


def unit_in(scopes: Scopes) -> str | None:
    """Return the unit that the nearest place states; None if none does."""
    for scope in scopes:
        for name, value in scope.items():
            if _plain(name) in _UNITS and isinstance(value, str) and value.strip():
                return printable(value.strip(), _LONGEST_NAME)
    return None


def labels_in(scopes: Scopes, most: Iterable[int]) -> tuple[str, ...] | None:
    """Return the names of channels that the nearest place states; None if there are none of a number in `most`."""
    counts = set(most)
    for scope in scopes:
        for name, value in scope.items():
            names = re.split(r"\s*[,;]\s*|\s+", value.strip()) if isinstance(value, str) else value
            if isinstance(names, (tuple, list)) and _plain(name) in _LABELS and len(names) in counts:
                return tuple(str(each) for each in names)
    return None


def fields_in(scopes: Scopes) -> Metadata:
    """Return numbers and texts as fields of the recording; the nearest place wins."""
    fields: dict[str, MetadataValue] = {}
    for scope in scopes:
        for name, value in scope.items():
            key = printable(name, _LONGEST_NAME)
            is_used = _rate(name, value) is not None or _plain(name) in (*_UNITS, *_LABELS, "name")
            if not is_used and key not in fields and key not in _ELSEWHERE and len(fields) < MOST_FIELDS:
                fields.update(_field(key, value))
    return fields


def _field(key: str, value: MetadataValue) -> Metadata:
    if isinstance(value, float) and not math.isfinite(value):
        return {}
    try:
        return {key: checked(key, printable(value) if isinstance(value, str) else value, key)}
    except RecordingError:  # a foreign file may mean something else by the name
        return {}
