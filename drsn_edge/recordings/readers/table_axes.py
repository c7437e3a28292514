"""The axes of a table: which of its columns they are, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata, checked
from drsn_edge.signal.units import canonical
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Column, Kind, may_be_labels
from firmware_bridge.tables.names import Name, is_acceleration, name_of, plain

_OF_ACCELERATION = re.compile(
    r"a[ _.-]*[xyz123]?|[xyz]|gF[xyz]|(acc(?!ount)|vib|beschl|schwing).{0,40}|"
    r"(ch|chan|channel|kanal|sensor|axis)[ _.-]*[0-9xyz]{0,3}",
    re.IGNORECASE,
)
_OF_OTHERS = re.compile(
    r"(g|gyr|gyro|gyroscope|m|mag|magn|magnetometer|rot|angular[ _]?velocity|rotation)[ _.-]*[xyz123]|"
    r"temp\w*|humidity|pressure|tacho?|rpm|speed|battery|voltage|current|mic\w*|sound|audio|lat|lon|alt\w*|y_true|y_pred",
    re.IGNORECASE,
)
_OTHER_WORDS = frozenset([
    "temp", "temperature", "humidity", "pressure", "rpm", "speed", "gyro", "gyroscope", "magnetometer", "label",
    "labels", "class", "target", "fault", "anomaly", "current", "voltage", "load", "torque",
])  # fmt: skip
_TOTAL = re.compile(r"a[ _]?t|tgf|a[ _]?(abs|tot)", re.IGNORECASE)
_TOTAL_WORDS = frozenset(["total", "absolute", "magnitude", "resultant", "norm"])
_DIRECTIONS = frozenset("xyz123")
_FEWEST_ROWS = 64
_MOST_LISTED = 12


@dataclass(frozen=True)
class Axes:
    """The axes.

    Attributes:
        columns: The column of each axis.
        names: Their names; empty if neither the file nor a catalogue names them.
        unit: Their unit; empty if the file states none.
        remarks: Sentences about columns that were left out, or that are constant.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    unit: str = ""
    remarks: tuple[str, ...] = ()


def axes_of(columns: Sequence[Column], values: Metadata, path: Path) -> Axes:
    """Choose the axes by the key `axes` of a catalogue, or else by names and units.

    Args:
        columns: All columns of the table.
        values: What catalogues state.
        path: The file, for errors.

    Raises:
        RecordingError: If the catalogue's names do not fit, no column can be an axis, or units or names do not fit.
    """
    wanted = cast("tuple[str, ...] | None", values.get("axes"))
    if wanted is None:
        chosen, remarks = _by_content(columns, path)
        names = _names(chosen, path)
    else:
        by_name = _by_name(columns, wanted, path) or _by_position(columns, wanted, path)
        chosen, names, remarks = list(by_name.values()), tuple(by_name), []
    unit = _unit(chosen, path)
    remarks += [
        f"Column {printable(column.label, 40)} is constant ({printable(column.constant, 20)})."
        for column in chosen
        if column.constant is not None
    ]
    return Axes(tuple(column.index for column in chosen), names, unit, tuple(remarks))


# --- by the catalogue ---------------------------------------------------------------------------------------------


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _by_name(columns: Sequence[Column], wanted: Sequence[str], path: Path) -> dict[str, Column] | None:
    """Return the column of each wanted name; None if none of the names is in the file."""
    found: dict[str, Column] = {}
    named = [name for name in wanted if name != LEFT_OUT]
    for name in named:
        keys = {_key(name), _key(name_of(name).text)}
        fitting = [column for column in columns if column.name.text and _key(column.name.text) in keys]
        exact = [column for column in fitting if column.name.text == name] or fitting
        if len(exact) == 1:
            found[name] = exact[0]
    if not found:
        return None
    if len(found) < len(named) or len({column.index for column in found.values()}) < len(named):
        raise _unknown(columns, wanted, path)
    return found


def _by_position(columns: Sequence[Column], wanted: Sequence[str], path: Path) -> dict[str, Column]:
    """Return the columns in the order of the names, counted over those that are no clock, or over all."""
    for counted_over in ([column for column in columns if column.kind is Kind.NUMBERS], list(columns)):
        if len(counted_over) == len(wanted):
            return {name: column for name, column in zip(wanted, counted_over, strict=True) if name != LEFT_OUT}
    raise _unknown(columns, wanted, path)


def _unknown(columns: Sequence[Column], wanted: Sequence[str], path: Path) -> RecordingError:
    names = [column.name.text for column in columns if column.name.text]
    has = f"the columns {_listed(names)}" if names else f"{counted(len(columns), 'column')} without names"
    return RecordingError(
        f"{path} has {has}, but the catalogue names {_listed(wanted)}. Correct axes: names of columns, or one name for "
        'each column in order, "-" for those to leave out.',
        "unknown_axes",
        path=path,
        file=tuple(names) or len(columns),
        catalogue=tuple(wanted),
    )


def _listed(names: Sequence[str]) -> str:
    shown = [printable(name, 24) for name in names[:_MOST_LISTED]]
    return ", ".join(shown) + (" ..." if len(names) > _MOST_LISTED else "")


# --- by names and units -------------------------------------------------------------------------------------------


def _by_content(columns: Sequence[Column], path: Path) -> tuple[list[Column], list[str]]:
    numbers = [column for column in columns if column.kind is Kind.NUMBERS]
    n_texts = sum(column.kind is Kind.TEXT for column in columns)
    if not numbers or (n_texts > 1 and all(column.constant is not None for column in numbers)):
        words = f"{path} has no column that can be an axis: {_what(columns)}. Add a column for each axis."
        raise RecordingError(words, "no_axis", path=path)
    if any(column.name.text for column in numbers):
        _check_names(numbers, path)
    aside = _aside(numbers)
    labels = [column for column in numbers if column not in aside and _is_label(column, numbers)]
    remarks = [_of_label(column) for column in labels]
    numbers = [column for column in numbers if column not in aside and column not in labels]
    chosen = [column for column in numbers if is_acceleration(column.name.unit)] or numbers
    left = [column for column in numbers if column not in chosen]
    if any(not column.name.unit and not _is_other(column) for column in left):
        raise _mixed(numbers, path)
    left = [*aside, *left]
    if not left:
        return chosen, remarks
    what = _listed([f"{each.name.text} ({each.name.unit})" if each.name.unit else each.name.text for each in left])
    return chosen, [f"Left out, because other columns are acceleration: {what}.", *remarks]


def _aside(columns: Sequence[Column]) -> list[Column]:
    """Return the columns whose names are of another quantity, if others are named as axes are."""
    totals = [column for column in columns if _is_total(column.name)]
    likely = [
        column
        for column in columns
        if column not in totals and (is_acceleration(column.name.unit) or _OF_ACCELERATION.fullmatch(column.name.text))
    ]
    return [column for column in columns if likely and column not in likely and (column in totals or _is_other(column))]


def _is_total(name: Name) -> bool:
    """Tell whether a name is that of the length of the vector of acceleration."""
    own = name.words
    is_of_all = bool(own) and own[-1] not in _DIRECTIONS and not _TOTAL_WORDS.isdisjoint(own)
    return is_of_all or _TOTAL.fullmatch(name.text) is not None


def _is_other(column: Column) -> bool:
    is_named = not _OTHER_WORDS.isdisjoint(column.name.words)
    return is_named or _OF_OTHERS.fullmatch(column.name.text) is not None


def _is_label(column: Column, columns: Sequence[Column]) -> bool:
    """Tell whether a column holds few whole numbers that change rarely, and another one numbers with decimals."""
    values = column.values
    if column.constant is not None or values is None or len(values) < _FEWEST_ROWS or not may_be_labels(values):
        return False
    is_axis = column.name.unit or _OF_ACCELERATION.fullmatch(column.name.text)
    others = [each.values for each in columns if each.values is not None and each is not column]
    return not is_axis and any(bool((other != np.rint(other)).mean() > 0.5) for other in others)


def _of_label(column: Column) -> str:
    label = printable(column.label, 40)
    return f"Column {label} holds few whole numbers, may be a label and is no axis; if it is one, name it by axes."


def _what(columns: Sequence[Column]) -> str:
    what = ["constant" if each.kind is Kind.NUMBERS else each.kind.value for each in columns[:_MOST_LISTED]]
    return ", ".join(f"{printable(each.label, 24)} is {kind}" for each, kind in zip(columns, what, strict=False))


def _names(chosen: Sequence[Column], path: Path) -> tuple[str, ...]:
    names = [_axis_name(column.name.text) for column in chosen]
    return cast("tuple[str, ...]", checked("axes", names, f"{path}, header")) if any(names) else ()


def _check_names(columns: Sequence[Column], path: Path) -> None:
    names = [_axis_name(column.name.text) for column in columns]
    if not all(names) or len(set(names)) < len(names):
        shown = ", ".join(repr(printable(name, 24)) for name in names[:_MOST_LISTED])
        words = f"{path}: every axis needs a name of its own, got {shown}. Rename the columns, or name them by axes = "
        raise RecordingError(f"{words}[...] in a catalogue.", "column_names", path=path, got=tuple(names))


def _axis_name(text: str) -> str:
    """Return a name as axes can have it: without commas, and not beginning with a minus sign."""
    return printable(" ".join(text.replace(",", " ").lstrip("- ").split()), 60)


def _unit(chosen: Sequence[Column], path: Path) -> str:
    units = {canonical(plain(column.name.unit)) if column.name.unit else "" for column in chosen}
    if len(units) > 1:
        raise _mixed(chosen, path)
    return units.pop()


def _mixed(columns: Sequence[Column], path: Path) -> RecordingError:
    shown = _listed([f"{each.label} ({each.name.unit or 'no unit'})" for each in columns])
    return RecordingError(
        f"{path}: all axes must have the same unit, got {shown}. Choose the columns of one unit by axes = [...] in a "
        "catalogue, or convert the others.",
        "mixed_units",
        path=path,
        columns=tuple(each.label for each in columns),
    )
