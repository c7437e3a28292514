"""Values that a file states and values that catalogues state in, a complete recording out. Nothing is guessed."""

from __future__ import annotations

import glob
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import Catalogue, values_for
from drsn_edge.recordings.metadata import LEFT_OUT, READER_KEYS, RESERVED_KEYS, Metadata, MetadataValue
from drsn_edge.recordings.raw import RawRecording, Samples
from drsn_edge.recordings.recording import FieldValue
from drsn_edge.recordings.streamed import StreamedRecording
from drsn_edge.signal.units import KNOWN_UNITS
from drsn_edge.support.toml_file import quoted

RATE_TOLERANCE = 1e-3
"""Relative difference up to which the sampling rate in a file (often a mean of time stamps) and the nominal rate in a
catalogue agree. The rate in the catalogue is then used, so that all recordings of one sensor have the same rate."""

VALUE_TOLERANCE = 1e-6
"""Relative difference up to which other numbers agree: 0.1 stored as float32 is still 0.1."""

_MOST_AXES_LISTED = 16

_BLANK = {
    "sample_rate_hz": ("0", "the sampling rate in Hz"),
    "unit": ('""', 'a unit ("g", "mg" or "m/s2"; another name, such as "counts", is never converted)'),
    "full_scale": ("0", "the acceleration at the file's full scale, in that unit"),
}
"""What stands in the entry to write for a missing value, and what is to be filled in."""


@dataclass(frozen=True)
class Source:
    """A file that is to be read, and what is known of it before.

    Attributes:
        path: The file.
        name: Name of its recording, apart from the number of a capture.
        catalogues: Catalogues for the file in order of rising precedence, each with the path by which it knows it.
        advised: Catalogue file that an error names as the place for missing values, whether or not it exists.
        label: Label of recordings for which neither the file nor a catalogue states one.
    """

    path: Path
    name: str
    catalogues: tuple[tuple[Catalogue, str], ...]
    advised: Path
    label: str | None = None

    @property
    def advised_file(self) -> str:
        """Path by which the advised catalogue knows the file."""
        try:
            return self.path.relative_to(self.advised.parent).as_posix()
        except ValueError:
            return self.path.name


def values_before(source: Source) -> Metadata:
    """Return what the user's catalogues state for a file that was not read yet; conditions on its values fail."""
    values: dict[str, MetadataValue] = {}
    for catalogue, known_as in source.catalogues:
        values.update(values_for(catalogue, known_as, values))
    return values


def complete(raw: RawRecording, source: Source, built_in: Sequence[Catalogue] = ()) -> StreamedRecording:
    """Join the values that a file states with those that the catalogues state.

    Args:
        raw: Content of the file.
        source: The file, with the user's catalogues.
        built_in: Catalogues whose values those of the user override.

    Raises:
        RecordingError: If a value is missing or contradictory.
    """
    name = source.name if raw.capture is None else f"{source.name}#{raw.capture}"
    catalogued = catalogued_values(raw, source, built_in)
    of_built_in = catalogued_values(raw, replace(source, catalogues=()), built_in)
    relabelled = relabelled_unit(raw.stated, catalogued, of_built_in)
    _check_agreement(raw.stated, catalogued, source.path, {"unit"} if relabelled else set())
    known = {**{key: value for key, value in raw.stated.items() if key not in READER_KEYS}, **catalogued}
    _check_nothing_missing(raw, known, source)
    axes, columns = chosen_axes(raw, catalogued, source.path)
    label = known.get("label", source.label)
    return StreamedRecording(
        name=name,
        sample_rate_hz=cast(float, known["sample_rate_hz"]),
        axes=axes,
        unit=str(known["unit"]),
        label=None if label is None else str(label),
        group=str(known.get("group", source.name)),
        fields={key: cast(FieldValue, value) for key, value in known.items() if key not in RESERVED_KEYS},
        path=source.path,
        remarks=(*raw.remarks, *relabelled),
        rate_spread=raw.rate_spread,
        source=raw.samples,
        columns=columns,
        factors=factors_of(raw, known),
    )


def factors_of(raw: RawRecording, known: Metadata) -> tuple[float, ...]:
    """Return the factors from stored values to the unit, in order."""
    keys = (*(("full_scale",) if raw.is_relative else ()), *(("scale",) if "scale" in known else ()))
    return tuple(cast(float, known[key]) for key in keys)


def catalogued_values(raw: RawRecording, source: Source, built_in: Sequence[Catalogue]) -> Metadata:
    """Return what catalogues state for a recording, those of the user over the built-in ones."""
    values: dict[str, MetadataValue] = {}
    for catalogue, known_as in (*((each, source.path.name) for each in built_in), *source.catalogues):
        values.update(values_for(catalogue, known_as, {**raw.stated, **values}, raw.capture))
    return values


def relabelled_unit(stated: Metadata, catalogued: Metadata, of_built_in: Metadata) -> tuple[str, ...]:
    """Return a remark if a person states another unit of acceleration than the file, which may have a wrong header.

    Args:
        stated: Values that the file states.
        catalogued: Values that the catalogues state.
        of_built_in: Those that the built-in catalogues state, which correct no file.
    """
    of_file, of_person = stated.get("unit"), catalogued.get("unit")
    if of_person in (of_file, of_built_in.get("unit")) or not {of_file, of_person} <= {*KNOWN_UNITS}:
        return ()
    return (f"The file says {of_file}, but the catalogue says {of_person}, which counts. No value is converted.",)


def _check_agreement(stated: Metadata, catalogued: Metadata, path: Path, corrected: Set[str]) -> None:
    """Compare all values but those corrected, the axes, which a catalogue may choose, and the keys of readers alone."""
    for key in sorted((stated.keys() & catalogued.keys()) - {"axes", *corrected, *READER_KEYS}):
        if not _agree(key, stated[key], catalogued[key]):
            raise RecordingError(
                f"{path} states {key} = {stated[key]!r}, but the catalogue states {catalogued[key]!r}. Correct the "
                "wrong one.",
                "contradiction",
                path=path,
                key=key,
                file=stated[key],
                catalogue=catalogued[key],
            )


def _agree(key: str, a: MetadataValue, b: MetadataValue) -> bool:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=RATE_TOLERANCE if key == "sample_rate_hz" else VALUE_TOLERANCE)
    return a == b


def _check_nothing_missing(raw: RawRecording, known: Metadata, source: Source) -> None:
    needed = ("sample_rate_hz", "axes", "unit", *(("full_scale",) if raw.is_relative else ()))
    missing = tuple(key for key in needed if key not in known)
    if not missing:
        return
    path, advised = source.path, source.advised
    problem = f"Neither {path} nor a catalogue states {', '.join(missing)}."
    if advised.suffix.lower() == ".csv":
        advice = f"Fill in the columns {', '.join(missing)} for this file in {advised}."
    else:
        blank = {**_BLANK, "axes": _blank_axes(raw.samples)}
        values = {key: blank[key][0] for key in missing}
        what = ", ".join(blank[key][1] for key in missing)
        advice = _entry_to_write(glob.escape(source.advised_file), values, what, advised)
    raise RecordingError(f"{problem} {advice}", "incomplete", path=path, missing=missing, advised=advised)


def _entry_to_write(file: str, values: Mapping[str, str], what: str, advised: Path) -> str:
    """Return what to type for values that no file and no catalogue states: `look`, or an entry in one line.

    Args:
        file: File of the entry, as a glob.
        values: Values in TOML by key.
        what: What is to be filled in.
        advised: Catalogue to write into.
    """
    keys = ", ".join(f"{key} = {value}" for key, value in {"file": quoted(file), **values}.items())
    fill_in = f"   # fill in {what}"
    if advised.exists():
        return f"Add an entry under [[recordings]] to {advised}, each key in a line of its own:\n\n{keys}{fill_in}"
    return (
        f"Type `drsn-edge look {advised.parent} --write-catalogue`, which proposes values, or write into {advised}:\n\n"
        f"recordings = [{{{keys}}}]{fill_in}"
    )


def _blank_axes(samples: Samples) -> tuple[str, str]:
    channels = samples.n_channels
    if channels > _MOST_AXES_LISTED:
        each = "" if samples.n_samples is None else f" for {samples.n_samples} samples each"
        return '[""]', f"{channels} names of axes{each} (is time the last dimension of the array?)"
    names = ", ".join(['""'] * channels)
    return f"[{names}]", "a name for each channel, in the order of the file"


def chosen_axes(raw: RawRecording, catalogued: Metadata, path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of the axes and their channels: a catalogue chooses among the file's names, or gives names."""
    of_file = cast("tuple[str, ...] | None", raw.stated.get("axes"))
    of_catalogue = cast("tuple[str, ...] | None", catalogued.get("axes"))
    asked = of_catalogue or of_file or ()
    wanted = tuple(name for name in asked if name != LEFT_OUT)
    if of_file is not None and len(of_file) == raw.samples.n_channels:
        columns = _by_name(wanted, of_file)
        if columns is not None:
            return wanted, columns
        if set(wanted) & set(of_file) or len(asked) != len(of_file):
            raise _unknown_axes(wanted, of_file, path)
    if len(asked) != raw.samples.n_channels:
        raise _wrong_count(asked, raw.samples, path)
    return wanted, tuple(number for number, name in enumerate(asked) if name != LEFT_OUT)


def _by_name(wanted: Sequence[str], of_file: Sequence[str]) -> tuple[int, ...] | None:
    """Return the channel of each name, None if a name is missing; case counts only where the file needs it."""
    for alike in (str, str.casefold):
        names = [alike(name) for name in of_file]
        if len(set(names)) == len(names) and {alike(name) for name in wanted} <= set(names):
            return tuple(names.index(alike(name)) for name in wanted)
    return None


def _unknown_axes(wanted: tuple[str, ...], of_file: tuple[str, ...], path: Path) -> RecordingError:
    return RecordingError(
        f"{path} has the axes {', '.join(of_file)}, but the catalogue names {', '.join(wanted)}. Correct the "
        "catalogue.",
        "unknown_axes",
        path=path,
        file=of_file,
        catalogue=wanted,
    )


def _wrong_count(names: tuple[str, ...], samples: Samples, path: Path) -> RecordingError:
    of = "" if samples.n_samples is None else f" of {samples.n_samples} samples"
    return RecordingError(
        f"{path}: axes has {len(names)} names ({', '.join(names)}), but the file has {samples.n_channels} "
        f"channels{of}. Correct axes, or transpose the array.",
        "wrong_axis_count",
        path=path,
        names=names,
        channels=samples.n_channels,
        samples=samples.n_samples,
    )
