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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import RawRecording, Request
from drsn_edge.recordings.readers.columns import MOST_CHANNELS, Columns, Part, dimensions, length_of, part_of
from drsn_edge.recordings.readers.surroundings import fields_in, labels_in, rate_in, unit_in
from drsn_edge.recordings.readers.table_clock import NO_CLOCK, RATE_TOLERANCE, Reading
from drsn_edge.recordings.readers.time_vector import kind_of, reading_of
from drsn_edge.recordings.readers.variables import (
    Group,
    Items,
    Leaf,
    Node,
    Notes,
    found_at,
    n_values,
    simplified,
    sizes,
    stated_in,
    walk,
)
from drsn_edge.support.toml_file import quoted
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Kind
from firmware_bridge.tables.names import Name, is_acceleration, name_of

_SHORT = 64
"""Arrays with fewer values are no samples where a longer array is: dates, limits, numbers of channels."""
_MOST_CAPTURES = 10_000
_VIBRATION = re.compile(r"vib|acc(?!ount)|schwing|beschl|(?:^|[^a-z])gs?$", re.IGNORECASE)
_AXIS = re.compile(r"[xyz]|(?:ch|chan|channel|axis|sensor)[ _-]?[0-9xyz]{1,3}", re.IGNORECASE)
_BESIDE = re.compile(
    r"x|x_?(?:values|data|axis)|time|abscissa|info|meta(?:_?data)?|param(?:eter)?s?|settings|config|header|attributes|"
    r"properties|acquisition",
    re.IGNORECASE,
)
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class File:
    """A file's variables and how they are asked for.

    Attributes:
        root: The tree.
        path: The file.
        request: How the file is to be read.
        expected: The format in words, for errors: "a MATLAB 5 file".
        separator: What stands between names in a path: a point in MATLAB's words, a slash in HDF5's.
        most_dimensions: 3 if the first of three dimensions counts captures; 2 if arrays of three are no samples.
    """

    root: Group
    path: Path
    request: Request
    expected: str
    separator: str = "."
    most_dimensions: int = 3


@dataclass(frozen=True)
class _Found:
    """An array that may hold samples, and where it stands."""

    path: str
    name: str
    parent: str
    leaf: Leaf
    scopes: tuple[Group, ...]

    @property
    def spoken(self) -> Name:
        """Name and unit, as far as the name or a note states them."""
        return name_of(self.name, unit_in([self.leaf.notes]) or "")

    @property
    def length(self) -> int:
        """Length of the longest dimension, or of the longer one of a capture."""
        return length_of(self.leaf.shape)


def recordings_in(file: File) -> list[RawRecording]:
    """Return the recordings of a file: one, or one for each capture.

    Raises:
        RecordingError: If the file holds no samples, or several arrays that could be the samples.
    """
    file = replace(file, root=_opened(cast(Group, simplified(file.root)), file.path))
    arrays = [each for each in _arrays(file.root, "", "", "", (), file.separator) if _can_be_samples(each.leaf, file)]
    asked = file.request.values.get("variable")
    if isinstance(asked, tuple):
        remarks: list[str] = []
        sets, times = [_listed(asked, arrays, file)], _times(arrays, file)
    else:
        inside = arrays if asked is None else _inside(str(asked), arrays, file)
        times = _times(arrays, file)
        times = {path: steps for path, steps in times.items() if [each.path for each in inside] != [path]}
        chosen, remarks = _chosen([each for each in inside if each.path not in times], file)
        sets = _sets(chosen, file)
    stamps = [(each, times[each.path]) for each in arrays if each.path in times]
    found = [each for one in sets for each in _recordings(one, stamps, remarks, len(sets) > 1, file)]
    return [replace(raw, capture=number if counts else None) for number, (raw, counts) in enumerate(found)]


def _opened(root: Group, path: Path) -> Group:
    """Return what lies in the only variable if it is a group named like the file, as in Paderborn's files.

    A path then serves for all files. A name that begins with the file's own still leads there.
    """
    only = root.children.get(path.stem)
    return only if len(root.children) == 1 and isinstance(only, Group) else root


def _arrays(
    node: Node, path: str, name: str, parent: str, scopes: tuple[Group, ...], separator: str
) -> Iterator[_Found]:
    if isinstance(node, Leaf):
        yield _Found(path, name, parent, node, scopes)
    elif isinstance(node, Group):
        for key, child in node.children.items():
            yield from _arrays(child, f"{path}{separator}{key}" if path else key, key, path, (node, *scopes), separator)
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            at = f"{path}[{index}]"
            yield from _arrays(item, at, name, at, scopes, separator)


def _can_be_samples(leaf: Leaf, file: File) -> bool:
    """Tell whether an array is real numbers of at most two dimensions beside captures and beside those of one value."""
    if leaf.dtype.kind not in "iuf" or n_values(leaf) <= 1:
        return False
    captures, others = dimensions(leaf.shape)
    return len(others) <= 2 and (captures is None or file.most_dimensions == 3)


def _listed(names: Sequence[str], arrays: Sequence[_Found], file: File) -> list[_Found]:
    found = [_inside(name, arrays, file) for name in names]
    for name, each in zip(names, found, strict=True):
        if len(each) != 1:
            raise _ambiguous(each, file, f"{printable(name, _LONGEST_SHOWN)} holds")
    chosen = [each[0] for each in found]
    if len({each.length for each in chosen}) > 1:
        words = (
            f"{file.path}: the variables must be equally long: {sizes([(each.path, each.leaf) for each in chosen])}."
        )
        raise RecordingError(f"{words} Choose others.", "channel_shapes", path=file.path, variables=tuple(names))
    return chosen


def _inside(name: str, arrays: Sequence[_Found], file: File) -> list[_Found]:
    """Return the arrays at or beneath a path that the catalogue names."""
    node = found_at(file.root, name) or found_at(Group({file.path.stem: file.root}), name)
    leaves = [] if node is None else [id(each) for _, each in walk(node, "", file.separator)]
    inside = [each for each in arrays if id(each.leaf) in leaves]
    if not inside:
        here = sizes([(each.path, each.leaf) for each in arrays])
        shown = printable(name, _LONGEST_SHOWN)
        words = f"{file.path} has no variable of samples {shown}; it holds {here}. Correct variable in the catalogue."
        raise RecordingError(words, "unknown_variable", path=file.path, name=shown, known=_paths(arrays))
    return inside


def _times(arrays: Sequence[_Found], file: File) -> dict[str, Kind]:
    """Return the arrays that are a clock or a counter, by their paths; none if nothing else would remain."""
    asked = file.request.values.get("time_column")
    long = _long_enough(arrays)
    found: dict[str, Kind] = {}
    for each in long if len(long) > 1 or asked is not None else []:
        is_asked = asked is not None and str(asked) in (each.name, each.path)
        kind = kind_of(each.leaf, each.spoken, is_asked) if _is_flat(each.leaf) else Kind.NUMBERS
        if kind is not Kind.NUMBERS:
            found[each.path] = kind
    is_there = any(str(asked) in (each.name, each.path) for each in long)
    if asked is not None and asked != LEFT_OUT and not is_there:
        here = sizes([(each.path, each.leaf) for each in arrays])
        words = f"{file.path} has no array of times {printable(str(asked), _LONGEST_SHOWN)}; it holds {here}. Correct"
        raise RecordingError(f"{words} time_column.", "time_column", path=file.path, wanted=asked)
    return found if len(found) < len(long) else {}


def _is_flat(leaf: Leaf) -> bool:
    captures, others = dimensions(leaf.shape)
    return captures is None and len(others) == 1


def _long_enough(arrays: Sequence[_Found]) -> list[_Found]:
    longest = max((each.length for each in arrays), default=0)
    return [each for each in arrays if each.length >= min(longest, _SHORT)]


def _chosen(arrays: Sequence[_Found], file: File) -> tuple[list[_Found], list[str]]:
    """Return the arrays that hold the samples, and remarks about those that do not."""
    arrays = _long_enough(arrays)
    if not arrays:
        here = sizes(list(walk(file.root, "", file.separator)))
        words = f"{file.path} holds no array of real numbers that could be samples; it holds {here}. Check the file."
        raise RecordingError(words, "no_samples_found", path=file.path)
    axes = [name for name in cast("tuple[str, ...]", file.request.values.get("axes", ())) if name != LEFT_OUT]
    by_axes = [each for each in arrays if _axis_name(each) in axes]
    if axes and {_axis_name(each) for each in by_axes} == set(axes):
        return by_axes, []
    measured = [each for each in arrays if is_acceleration(each.spoken.unit)]
    named = [each for each in arrays if _VIBRATION.search(each.name)]
    for some, why in ((measured, "their unit is one of acceleration"), (named, "their names speak of vibration")):
        if some and len(some) < len(arrays):
            others = sizes([(each.path, each.leaf) for each in arrays if each not in some])
            taken = sizes([(each.path, each.leaf) for each in some])
            return some, [f"Taken: {taken}, because {why}; not taken: {others}."]
    return list(arrays), []


def _sets(arrays: Sequence[_Found], file: File) -> list[list[_Found]]:
    """Return the arrays of each recording; raise RecordingError if they do not belong together."""
    parents: dict[str, list[_Found]] = {}
    for each in arrays:
        parents.setdefault(each.parent, []).append(each)
    sets = list(parents.values())
    if len(sets) > 1 and len(arrays) == len(sets) and len({each.length for each in arrays}) == 1:
        lasts = [re.split(r"[./]", each.parent)[-1] for each in arrays]
        if all(_AXIS.fullmatch(last) for last in lasts):
            return [[replace(each, name=last) for each, last in zip(arrays, lasts, strict=True)]]
    is_even = all(len({each.length for each in one}) == 1 for one in sets)
    are_alike = len({tuple(each.name for each in one) for one in sets}) == 1
    if not is_even or not are_alike or len(sets) > _MOST_CAPTURES:
        raise _ambiguous(arrays, file, "It holds")
    return sets


def _ambiguous(arrays: Sequence[_Found], file: File, holds: str) -> RecordingError:
    likely = [each for each in arrays if _VIBRATION.search(each.path)]
    best = max(likely or arrays, key=lambda each: each.length)
    here = sizes([(each.path, each.leaf) for each in arrays])
    words = f"{file.path} does not say which variable is the vibration. {holds} {here}.\n"
    words += f"Write into the catalogue: variable = {quoted(printable(best.path, _LONGEST_SHOWN))}"
    return RecordingError(words, "ambiguous", path=file.path, variables=_paths(arrays), likely=best.path)


def _paths(arrays: Sequence[_Found]) -> tuple[str, ...]:
    return tuple(printable(each.path, _LONGEST_SHOWN) for each in arrays[:MOST_CHANNELS])


def _recordings(
    found: Sequence[_Found],
    times: Sequence[tuple[_Found, Kind]],
    remarks: Sequence[str],
    is_capture: bool,
    file: File,
) -> list[tuple[RawRecording, bool]]:
    """Return the recording of these arrays, or one for each capture of an array of three dimensions."""
    scopes = _scopes(found)
    parts = tuple(_part(each, found, times, scopes, file) for each in found)
    stated: dict[str, MetadataValue] = {**fields_in(scopes), **_axes(found, parts, scopes, file)}
    stated.update(_accepted("unit", _unit(found, scopes)))
    rate = rate_in([*scopes, _beside(found[0])], file.path)
    clock = _clock(found, parts[0].n_samples, times, rate, file)
    if rate is not None or clock.rate_hz is not None:
        stated["sample_rate_hz"] = checked("sample_rate_hz", rate or clock.rate_hz, str(file.path))
    remarks = [*remarks, *clock.remarks, *_disagreement(rate, clock.rate_hz)]
    spread = clock.spread
    raws = [
        RawRecording(Columns(each, file.path, file.expected), stated, remarks=tuple(remarks), rate_spread=spread)
        for each in _captures(parts, file)
    ]
    return [(raw, is_capture or len(raws) > 1) for raw in raws]


def _captures(parts: tuple[Part, ...], file: File) -> list[tuple[Part, ...]]:
    """Return the parts of each capture."""
    counts = {1 if part.capture is None else part.leaf.shape[part.capture[0]] for part in parts}
    if len(counts) > 1 or max(counts) > _MOST_CAPTURES:
        words = f"{file.path} holds arrays of {', '.join(map(str, sorted(counts)))} captures; all must have the same"
        words += f" number, at most {_MOST_CAPTURES}. Choose one by variable in the catalogue."
        raise RecordingError(words, "captures_differ", path=file.path, counts=sorted(counts))
    return [
        tuple(part if part.capture is None else replace(part, capture=(part.capture[0], number)) for part in parts)
        for number in range(max(counts))
    ]


def _scopes(found: Sequence[_Found]) -> list[Notes]:
    """Return what is stated around arrays, the nearest first: what all arrays have in common, then group by group."""
    first, *others = [each.leaf.notes for each in found]
    common = {key: value for key, value in first.items() if all(each.get(key) == value for each in others)}
    return [common, *(stated_in(group) for group in found[0].scopes)]


def _beside(each: _Found) -> Notes:
    """Return what is stated in groups beside the array that are named for it, such as `x_values` and `parameters`."""
    beside: dict[str, MetadataValue] = {}
    for scope in each.scopes[:3]:
        for name, child in scope.children.items():
            if isinstance(child, Group) and _BESIDE.fullmatch(name):
                beside.update(stated_in(child))
    return beside


def _part(
    each: _Found, found: Sequence[_Found], times: Sequence[tuple[_Found, Kind]], scopes: list[Notes], file: File
) -> Part:
    labels = _labels(each, found, scopes, file)
    lengths = {time.length for time, _ in times} & set(each.leaf.shape)
    part = part_of(each.leaf, len(labels) or None, min(lengths) if len(lengths) == 1 else None)
    if part is None:
        here = sizes([(each.path, each.leaf)])
        words = f"{file.path}: it is not clear which dimension of {here} is time. State axes in the catalogue, one name"
        words += f" per channel, at most {MOST_CHANNELS}; save windows of a longer recording as that recording."
        raise RecordingError(words, "which_is_time", path=file.path, variable=each.path, shape=each.leaf.shape)
    return part


def _labels(each: _Found, found: Sequence[_Found], scopes: list[Notes], file: File) -> tuple[str, ...]:
    """Return names of an array's channels, by the file or by the catalogue; none if there are none."""
    of_file = labels_in([each.leaf.notes, *scopes], {size for size in each.leaf.shape if size > 1})
    axes = cast("tuple[str, ...]", file.request.values.get("axes", ()))
    of_catalogue = axes if len(found) == 1 and len(axes) in each.leaf.shape else ()
    return of_file or of_catalogue


def _axis_name(each: _Found) -> str:
    """Return the name of an array without a unit of acceleration behind it."""
    return each.spoken.text if is_acceleration(each.spoken.unit) else each.name


def _axes(found: Sequence[_Found], parts: Sequence[Part], scopes: list[Notes], file: File) -> Metadata:
    """Return the key `axes` if every channel has a name, unless the catalogue gives as many other names."""
    names: list[str] = []
    are_unique = len({_axis_name(each) for each in found}) == len(found)
    for each, part in zip(found, parts, strict=True):
        of_file = labels_in([each.leaf.notes, *scopes], {part.n_channels}) if part.channel is not None else None
        name = _axis_name(each) if are_unique else each.path
        if of_file is None and part.channel is not None and len(found) == 1:
            return {}
        own = [name] if part.channel is None else [f"{name} {number + 1}" for number in range(part.n_channels)]
        names += of_file or own
    if not all(names) or names == [file.path.stem]:  # the name of a file is none of an axis
        return {}
    asked = cast("tuple[str, ...]", file.request.values.get("axes", ()))
    if len(asked) == len(names) and not set(asked) <= {*names, LEFT_OUT}:
        return {}
    return _accepted("axes", [printable(name.replace(",", ";"), _LONGEST_SHOWN).lstrip("-") for name in names])


def _accepted(key: str, value: object) -> Metadata:
    """Return a key with a value if it takes the value: a foreign file may have other names than ours allow."""
    try:
        return {key: checked(key, value, key)}
    except RecordingError:
        return {}


def _unit(found: Sequence[_Found], scopes: list[Notes]) -> str | None:
    """Return the unit that a place around the arrays states, or the one of acceleration in the names of all."""
    named = {each.spoken.unit for each in found if is_acceleration(each.spoken.unit)}
    is_named = len(named) == 1 and all(is_acceleration(each.spoken.unit) for each in found)
    return named.pop() if is_named else unit_in(scopes)


def _clock(
    found: Sequence[_Found],
    n_samples: int,
    times: Sequence[tuple[_Found, Kind]],
    stated_hz: float | None,
    file: File,
) -> Reading:
    """Return what the clock of the samples says: the array of equal length that stands nearest."""
    parents = {each.parent for each in found}
    fitting = [each for each in times if each[0].length == n_samples]
    beside = [each for each in fitting if each[0].parent in parents]
    above = [each for each in fitting if all(parent.startswith(each[0].parent) for parent in parents)]
    chosen = beside or above or fitting
    if not chosen or file.request.values.get("time_column") == LEFT_OUT:
        return NO_CLOCK
    time, kind = min(chosen, key=lambda each: each[1] is Kind.COUNTER)
    no_axis = (f"{printable(time.path, _LONGEST_SHOWN)} is {kind.value} and no axis.",)
    if kind is Kind.COUNTER:
        return Reading(None, None, no_axis)
    said = reading_of(time.leaf, replace(time.spoken, text=time.path), file.request.values, file.path)
    return said if said.rate_hz is not None or stated_hz is None else said._replace(remarks=no_axis)


def _disagreement(stated_hz: float | None, measured_hz: float | None) -> list[str]:
    if stated_hz is None or measured_hz is None or abs(stated_hz - measured_hz) <= RATE_TOLERANCE * stated_hz:
        return []
    return [f"The file states {stated_hz:.6g} Hz, which counts; its clock gives {measured_hz:.6g} Hz."]
