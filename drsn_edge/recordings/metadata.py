"""The keys with which files and catalogues describe a recording, and the values that each key takes."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable, Mapping

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.recording import FieldValue
from drsn_edge.signal.units import canonical

MetadataValue = FieldValue | tuple[str, ...]
Metadata = Mapping[str, MetadataValue]
"""Values by key. Any key outside `RESERVED_KEYS` is a free field of the recording."""


LEFT_OUT = "-"
"""Stands in `axes` for a channel that is not read."""

TIME_UNITS = ("s", "ms", "us", "ns")
"""What a column of time stamps may count."""


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value <= sys.float_info.max else None


def _names(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)) or not value or not all(_is_axis(name) for name in value):
        return None
    named = [name for name in value if name != LEFT_OUT]
    return tuple(value) if named and len(set(named)) == len(named) else None


def _is_axis(name: object) -> bool:
    """Tell whether a sensor could send the name: on the wire a comma separates axes, and a leading - inverts one."""
    return name == LEFT_OUT or (
        _text(name) is not None and str(name).isprintable() and "," not in str(name) and not str(name).startswith("-")
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _unit(value: object) -> str | None:
    text = _text(value)
    return None if text is None else canonical(text)


def _text_or_number(value: object) -> str | None:
    """Accept 3 as "3": some data sets number their classes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _scalar(value: object) -> FieldValue | None:
    return value if isinstance(value, (str, int, float, bool)) else None


def _one_or_more(value: object) -> MetadataValue | None:
    if isinstance(value, (list, tuple)):
        return tuple(value) if value and all(_text(name) is not None for name in value) else None
    return _text(value)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None


def _time_unit(value: object) -> str | None:
    return value if isinstance(value, str) and value in TIME_UNITS else None


_RULES: Mapping[str, tuple[Callable[[object], MetadataValue | None], str]] = {
    "sample_rate_hz": (_positive, "a number > 0"),
    "full_scale": (_positive, "a number > 0"),
    "axes": (
        _names,
        'a list of different names such as ["X", "Y", "Z"], without a comma and without a leading - ("-" leaves a '
        "channel out)",
    ),
    "unit": (_unit, 'a name such as "g"'),
    "label": (_text_or_number, "a name"),
    "group": (_text_or_number, "a name"),
    "format": (_text, 'the name of a format such as "table"'),
    "variable": (_one_or_more, 'a name such as "bearing.gs", or a list of names'),
    "dtype": (_text, 'the type of a number such as "int16"'),
    "skip_bytes": (_count, "a whole number, 0 or above"),
    "scale": (_positive, "a number > 0"),
    "time_column": (_text_or_number, "a name"),
    "time_unit": (_time_unit, f"one of {', '.join(TIME_UNITS)}"),
}
_FREE_FIELD_RULE = (_scalar, "text, a number, true or false")

RESERVED_KEYS = frozenset(_RULES)

READER_KEYS = frozenset({"format", "variable", "dtype", "skip_bytes", "scale", "time_column", "time_unit"})
"""Keys that say how a file is read. Only a catalogue states them, and no recording has them as fields."""

NUMBER_KEYS = frozenset({"sample_rate_hz", "full_scale", "skip_bytes", "scale"})
"""Reserved keys whose value is a number, also where it is read from text."""

MEANINGS: Mapping[str, str] = {
    "sample_rate_hz": "Sampling rate, a number above 0, in Hz.",
    "axes": 'Names of the axes, such as `["x", "y", "z"]`: different, without commas, none beginning with `-`. Names '
    "of the file choose its channels; otherwise they name the channels in their order, and `-` leaves one out.",
    "unit": "Unit of the samples: `g`, `mg`, `ug`, `m/s2`, `mm/s2`, `cm/s2`, `um/s2`, `in/s2`, `ft/s2`, `Gal`, `mGal`. "
    "Another name, such as `counts` or `mm/s`, is never converted.",
    "full_scale": "Value of full scale in `unit`, a number above 0, for files that hold shares of it (`.wav`).",
    "label": "Condition of the machine: the class.",
    "group": "Recordings that belong together, such as those of one machine or session; folds keep them on one side.",
    "format": "Format of a file whose name does not tell it, such as `table`.",
    "variable": "Variable or variables that hold the samples, in a file with several: `bearing.gs`, `group/channel`.",
    "dtype": "Type of the numbers of a file without a header, such as `int16` or `>f4`.",
    "skip_bytes": "Bytes before the first number of a file without a header; 0 if not given.",
    "scale": "Factor from stored values to `unit`, a number above 0, for files that hold counts; 1 if not given.",
    "time_column": "Column of a table that holds time stamps, by its name or its number from 1; `-` for none.",
    "time_unit": "Unit of the time stamps: `s`, `ms`, `us` or `ns`.",
}
"""What each reserved key means, for the reference."""


def checked(key: str, value: object, source: str) -> MetadataValue:
    """Return the value in the type of its key (rates as float, axes as tuple, labels as text).

    Raises:
        RecordingError: If the key does not take such a value; `source` is the place that the error names.
    """
    parse, expected = _RULES.get(key, _FREE_FIELD_RULE)
    parsed = parse(value)
    if parsed is None:
        got = reprlib.repr(value)
        words = f"{source}: {key} must be {expected}, got {got}. Correct it there."
        raise RecordingError(words, "wrong_value", place=source, key=key, expected=expected, got=got)
    return parsed
