"""Which of a file's variables hold the samples: found by their sizes and names, or named by the key `variable`.

- Arrays of equal length beside each other are the channels of one recording, called by their names. In a matrix, time
  is the long dimension.
- An array that rises as stamps do is the time of the others: it gives the rate and is no axis.
- Groups, structs or cells that hold the same names are captures.
- If the name of some arrays speaks of vibration, those alone are taken, and a remark names the others. If several
  lengths remain, the error lists the arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT
from drsn_edge.recordings.raw import RawRecording
from drsn_edge.recordings.readers.columns import MOST_CHANNELS
from drsn_edge.recordings.readers.described import MOST_CAPTURES, Clocks, recordings_of
from drsn_edge.recordings.readers.found import LONGEST_SHOWN, File, Found, arrays_of, opened_root
from drsn_edge.recordings.readers.time_vector import kind_of
from drsn_edge.recordings.readers.variables import (
    Group,
    found_at,
    simplified,
    sizes,
    walk,
)
from drsn_edge.support.toml_file import quoted
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Kind
from firmware_bridge.tables.names import is_acceleration

_SHORT = 64
"""Arrays with fewer values are no samples where a longer array is: dates, limits, numbers of channels."""
_VIBRATION = re.compile(r"vib|acc(?!ount)|schwing|beschl|(?:^|[^a-z])gs?$", re.IGNORECASE)
_AXIS = re.compile(r"[xyz]|(?:ch|chan|channel|axis|sensor)[ _-]?[0-9xyz]{1,3}", re.IGNORECASE)


def recordings_in(file: File) -> list[RawRecording]:
    """Return the recordings of a file: one, or one for each capture.

    Raises:
        RecordingError: If the file holds no samples, or several arrays that could be the samples.
    """
    file = replace(file, root=opened_root(cast(Group, simplified(file.root)), file.path))
    arrays = arrays_of(file)
    times = _times(arrays, file)
    asked = file.request.values.get("variable")
    remarks: list[str] = []
    if isinstance(asked, tuple):
        sets = [_listed(asked, arrays, file)]
    else:
        inside = arrays if asked is None else _inside(str(asked), arrays, file)
        candidates = [each for each in inside if each.path not in times] or inside
        chosen, remarks = _chosen(candidates, file)
        sets = _sets(chosen, file)
    clocks = Clocks([(each, times[each.path]) for each in arrays if each.path in times])
    found = [raw for one in sets for raw in recordings_of(one, clocks, remarks, file)]
    return found if len(found) == 1 else [replace(raw, capture=number) for number, raw in enumerate(found)]


def _listed(names: Sequence[str], arrays: Sequence[Found], file: File) -> list[Found]:
    found = [_inside(name, arrays, file) for name in names]
    for name, each in zip(names, found, strict=True):
        if len(each) != 1:
            raise _ambiguous(each, file, f"{printable(name, LONGEST_SHOWN)} holds")
    chosen = [each[0] for each in found]
    if len({each.length for each in chosen}) > 1:
        words = (
            f"{file.path}: the variables must be equally long: {sizes([(each.path, each.leaf) for each in chosen])}."
        )
        raise RecordingError(f"{words} Choose others.", "channel_shapes", path=file.path, variables=tuple(names))
    return chosen


def _inside(name: str, arrays: Sequence[Found], file: File) -> list[Found]:
    """Return the arrays at or beneath a path that the catalogue names."""
    node = found_at(file.root, name) or found_at(Group({file.path.stem: file.root}), name)
    leaves = set() if node is None else {id(each) for _, each in walk(node, "", file.separator)}
    inside = [each for each in arrays if id(each.leaf) in leaves]
    if not inside:
        here = sizes([(each.path, each.leaf) for each in arrays])
        shown = printable(name, LONGEST_SHOWN)
        words = f"{file.path} has no variable of samples {shown}; it holds {here}. Correct variable in the catalogue."
        raise RecordingError(words, "unknown_variable", path=file.path, name=shown, known=_paths(arrays))
    return inside


def _times(arrays: Sequence[Found], file: File) -> dict[str, Kind]:
    """Return the arrays that are a clock or a counter, by their paths; none if nothing else would remain."""
    asked = file.request.values.get("time_column")
    long = _long_enough(arrays)
    kinds: dict[tuple[str, str], Kind] = {}
    found: dict[str, Kind] = {}
    for each in long if len(long) > 1 or asked is not None else []:
        alike = (each.name, re.sub("[0-9]+", "0", each.parent))  # of thousands of captures, one tells
        if each.is_flat and alike not in kinds:
            is_asked = asked is not None and str(asked) in (each.name, each.path)
            kinds[alike] = kind_of(each.leaf, each.spoken, is_asked)
        if each.is_flat and kinds[alike] is not Kind.NUMBERS:
            found[each.path] = kinds[alike]
    is_there = any(str(asked) in (each.name, each.path) for each in long)
    if asked is not None and asked != LEFT_OUT and not is_there:
        here = sizes([(each.path, each.leaf) for each in arrays])
        words = f"{file.path} has no array of times {printable(str(asked), LONGEST_SHOWN)}; it holds {here}. Correct"
        raise RecordingError(f"{words} time_column.", "time_column", path=file.path, wanted=asked)
    return found if len(found) < len(long) else {}


def _long_enough(arrays: Sequence[Found]) -> list[Found]:
    longest = max((each.length for each in arrays), default=0)
    return [each for each in arrays if each.length >= min(longest, _SHORT)]


def _chosen(arrays: Sequence[Found], file: File) -> tuple[list[Found], list[str]]:
    """Return the arrays that hold the samples, and remarks about those that do not."""
    arrays = _long_enough(arrays)
    if not arrays:
        here = sizes(list(walk(file.root, "", file.separator)))
        words = f"{file.path} holds no array of real numbers that could be samples; it holds {here}. Check the file."
        raise RecordingError(words, "no_samples_found", path=file.path)
    axes = cast("tuple[str, ...]", file.request.values.get("axes", ()))
    by_axes = [each for each in arrays if each.axis in axes]
    if axes and {each.axis for each in by_axes} == set(axes) - {LEFT_OUT}:
        return by_axes, []
    if len(axes) == len(arrays) > 1:  # names for the arrays in their order
        return list(arrays), []
    measured = [each for each in arrays if is_acceleration(each.spoken.unit)]
    named = [each for each in arrays if _VIBRATION.search(each.name)]
    for some, why in ((measured, "their unit is one of acceleration"), (named, "their names speak of vibration")):
        if some and len(some) < len(arrays):
            paths = {each.path for each in some}
            others = sizes([(each.path, each.leaf) for each in arrays if each.path not in paths])
            taken = sizes([(each.path, each.leaf) for each in some])
            return some, [f"Taken: {taken}, because {why}; not taken: {others}."]
    return list(arrays), []


def _sets(arrays: Sequence[Found], file: File) -> list[list[Found]]:
    """Return the arrays of each recording; raise RecordingError if they do not belong together."""
    parents: dict[str, list[Found]] = {}
    for each in arrays:
        parents.setdefault(each.parent, []).append(each)
    sets = list(parents.values())
    if len(sets) > 1 and len(arrays) == len(sets) and len({each.length for each in arrays}) == 1:
        lasts = [re.split(r"[./]", each.parent)[-1] for each in arrays]
        if all(_AXIS.fullmatch(last) for last in lasts):
            return [[replace(each, name=last) for each, last in zip(arrays, lasts, strict=True)]]
    is_even = all(len({each.length for each in one}) == 1 for one in sets)
    are_alike = len({tuple(each.name for each in one) for one in sets}) == 1
    if not is_even or not are_alike or len(sets) > MOST_CAPTURES:
        raise _ambiguous(arrays, file, "It holds")
    return sets


def _ambiguous(arrays: Sequence[Found], file: File, holds: str) -> RecordingError:
    likely = [each for each in arrays if _VIBRATION.search(each.path)]
    best = max(likely or arrays, key=lambda each: each.length)
    here = sizes([(each.path, each.leaf) for each in arrays])
    words = f"{file.path} does not say which variable is the vibration. {holds} {here}.\n"
    words += f"Write into the catalogue: variable = {quoted(printable(best.path, LONGEST_SHOWN))}"
    return RecordingError(words, "ambiguous", path=file.path, variables=_paths(arrays), likely=best.path)


def _paths(arrays: Sequence[Found]) -> tuple[str, ...]:
    return tuple(printable(each.path, LONGEST_SHOWN) for each in arrays[:MOST_CHANNELS])
