"""Recordings of arrays that belong together: their channels, axes, unit, rate, clock and fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import RawRecording
from drsn_edge.recordings.readers.columns import MOST_CHANNELS, Columns, Part, part_of
from drsn_edge.recordings.readers.found import LONGEST_SHOWN, File, Found
from drsn_edge.recordings.readers.surroundings import fields_in, labels_in, rate_in, unit_in
from drsn_edge.recordings.readers.table_clock import NO_CLOCK, RATE_TOLERANCE, Reading
from drsn_edge.recordings.readers.time_vector import reading_of
from drsn_edge.recordings.readers.variables import Notes, sizes
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Kind
from firmware_bridge.tables.names import is_acceleration

MOST_CAPTURES = 10_000

_Clock = tuple[Found, Kind]


class Clocks:
    """The arrays of a file that are a clock or a counter, by their lengths and by the groups that hold them."""

    def __init__(self, clocks: Sequence[_Clock]) -> None:
        """Sort the clocks."""
        self._by_length: dict[int, list[_Clock]] = {}
        self._by_group: dict[tuple[str, int], list[_Clock]] = {}
        for clock in clocks:
            self._by_length.setdefault(clock[0].length, []).append(clock)
            self._by_group.setdefault((clock[0].parent, clock[0].length), []).append(clock)

    def lengths_in(self, shape: Sequence[int]) -> set[int]:
        """Return the dimensions of an array that some clock has as its length."""
        return self._by_length.keys() & set(shape)

    def nearest(self, found: Sequence[Found], n_samples: int) -> _Clock | None:
        """Return the clock of as many samples that stands nearest to some arrays; a counter only for want of one."""
        parents = {each.parent: None for each in found}
        beside = [clock for parent in parents for clock in self._by_group.get((parent, n_samples), ())]
        fitting = beside or self._by_length.get(n_samples, [])
        above = [clock for clock in fitting if all(_is_above(clock[0].parent, parent) for parent in parents)]
        return min(beside or above or fitting, key=lambda clock: clock[1] is Kind.COUNTER, default=None)


def recordings_of(found: Sequence[Found], times: Clocks, remarks: Sequence[str], file: File) -> list[RawRecording]:
    """Return the recording of these arrays, or one for each capture of an array of three dimensions.

    Args:
        found: Arrays of equal length.
        times: All arrays of the file that are a clock or a counter.
        remarks: What was said already.
        file: The file.

    Raises:
        RecordingError: If it is not clear which dimension is time, or by their clock samples are missing.
    """
    scopes = _scopes(found)
    parts = tuple(_part(each, found, times, scopes, file) for each in found)
    stated: dict[str, MetadataValue] = {**fields_in(scopes), **_axes(found, parts, scopes, file)}
    stated.update(_accepted("unit", _unit(found, scopes)))
    rate = rate_in([*scopes, *(scope.beside for scope in found[0].scopes[:3])], file.path)
    clock = _clock(found, parts[0].n_samples, times, rate, file)
    if rate is not None or clock.rate_hz is not None:
        stated["sample_rate_hz"] = checked("sample_rate_hz", rate or clock.rate_hz, str(file.path))
    remarks = [*remarks, *clock.remarks, *_disagreement(rate, clock.rate_hz)]
    spread = clock.spread
    return [
        RawRecording(Columns(each, file.path, file.expected), stated, remarks=tuple(remarks), rate_spread=spread)
        for each in _captures(parts, file)
    ]


def _captures(parts: tuple[Part, ...], file: File) -> list[tuple[Part, ...]]:
    """Return the parts of each capture."""
    counts = {1 if part.capture is None else part.leaf.shape[part.capture[0]] for part in parts}
    if len(counts) > 1 or max(counts) > MOST_CAPTURES:
        words = f"{file.path} holds arrays of {', '.join(map(str, sorted(counts)))} captures; all must have the same"
        words += f" number, at most {MOST_CAPTURES}. Choose one by variable in the catalogue."
        raise RecordingError(words, "captures_differ", path=file.path, counts=sorted(counts))
    return [
        tuple(part if part.capture is None else replace(part, capture=(part.capture[0], number)) for part in parts)
        for number in range(max(counts))
    ]


def _scopes(found: Sequence[Found]) -> list[Notes]:
    """Return what is stated around arrays, the nearest first: what all arrays have in common, then group by group."""
    first, *others = [each.leaf.notes for each in found]
    common = {key: value for key, value in first.items() if all(each.get(key) == value for each in others)}
    return [common, *(scope.stated for scope in found[0].scopes)]


def _part(each: Found, found: Sequence[Found], times: Clocks, scopes: list[Notes], file: File) -> Part:
    labels = _labels(each, found, scopes, file)
    lengths = times.lengths_in(each.leaf.shape)
    part = part_of(each.leaf, len(labels) or None, min(lengths) if len(lengths) == 1 else None)
    if part is None:
        here = sizes([(each.path, each.leaf)])
        words = f"{file.path}: it is not clear which dimension of {here} is time. State axes in the catalogue, one name"
        words += f" per channel, at most {MOST_CHANNELS}; save windows of a longer recording as that recording."
        raise RecordingError(words, "which_is_time", path=file.path, variable=each.path, shape=each.leaf.shape)
    return part


def _labels(each: Found, found: Sequence[Found], scopes: list[Notes], file: File) -> tuple[str, ...]:
    """Return names of an array's channels, by the file or by the catalogue; none if there are none."""
    of_file = labels_in([each.leaf.notes, *scopes], {size for size in each.leaf.shape if size > 1})
    axes = cast("tuple[str, ...]", file.request.values.get("axes", ()))
    of_catalogue = axes if len(found) == 1 and len(axes) in each.leaf.shape else ()
    return of_file or of_catalogue


def _axes(found: Sequence[Found], parts: Sequence[Part], scopes: list[Notes], file: File) -> Metadata:
    """Return the key `axes` if every channel has a name, unless the catalogue gives as many other names."""
    names: list[str] = []
    are_unique = len({each.axis for each in found}) == len(found)
    for each, part in zip(found, parts, strict=True):
        of_file = labels_in([each.leaf.notes, *scopes], {part.n_channels}) if part.channel is not None else None
        name = each.axis if are_unique else each.path
        if of_file is None and part.channel is not None and len(found) == 1:
            return {}
        own = [name] if part.channel is None else [f"{name} {number + 1}" for number in range(part.n_channels)]
        names += of_file or own
    if not all(names) or names == [file.path.stem]:  # the name of a file is none of an axis
        return {}
    asked = cast("tuple[str, ...]", file.request.values.get("axes", ()))
    if len(asked) == len(names) and not set(asked) <= {*names, LEFT_OUT}:
        return {}
    return _accepted("axes", [printable(name.replace(",", ";"), LONGEST_SHOWN).lstrip("-") for name in names])


def _accepted(key: str, value: object) -> Metadata:
    """Return a key with a value if it takes the value: a foreign file may have other names than ours allow."""
    try:
        return {key: checked(key, value, key)}
    except RecordingError:
        return {}


def _unit(found: Sequence[Found], scopes: list[Notes]) -> str | None:
    """Return the unit that a place around the arrays states, or the one of acceleration in the names of all."""
    named = {each.spoken.unit for each in found if is_acceleration(each.spoken.unit)}
    is_named = len(named) == 1 and all(is_acceleration(each.spoken.unit) for each in found)
    return named.pop() if is_named else unit_in(scopes)


def _clock(
    found: Sequence[Found],
    n_samples: int,
    times: Clocks,
    stated_hz: float | None,
    file: File,
) -> Reading:
    """Return what the clock of the samples says: the array of equal length that stands nearest."""
    nearest = times.nearest(found, n_samples)
    if nearest is None or file.request.values.get("time_column") == LEFT_OUT:
        return NO_CLOCK
    time, kind = nearest
    no_axis = (f"{time.shown} is {kind.value} and no axis.",)
    if kind is Kind.COUNTER:
        return Reading(None, None, no_axis)
    said = reading_of(time.leaf, replace(time.spoken, text=time.path), file.request.values, file.path)
    return said if said.rate_hz is not None or stated_hz is None else said._replace(remarks=no_axis)


def _is_above(path: str, other: str) -> bool:
    return not path or other == path or (other.startswith(path) and other[len(path)] in "./[")


def _disagreement(stated_hz: float | None, measured_hz: float | None) -> list[str]:
    if stated_hz is None or measured_hz is None or abs(stated_hz - measured_hz) <= RATE_TOLERANCE * stated_hz:
        return []
    return [f"The file states {stated_hz:.6g} Hz, which counts; its clock gives {measured_hz:.6g} Hz."]
