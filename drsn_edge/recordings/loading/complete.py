"""From what a file says and what the catalogues say to a complete `Recording`. Nothing is guessed."""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import Catalogue, values_for
from drsn_edge.recordings.metadata import RESERVED_KEYS, Metadata, MetadataValue
from drsn_edge.recordings.raw import RawRecording
from drsn_edge.recordings.recording import FieldValue, Recording
from drsn_edge.support.toml_file import quoted

RATE_TOLERANCE = 1e-3
"""Relative difference up to which a file's rate (often a mean of time stamps) and a catalogue's (nominal) agree;
the catalogue's then counts, so that recordings of one sensor have one rate."""

VALUE_TOLERANCE = 1e-6
"""Relative difference up to which other numbers agree: 0.1 stored as float32 is still 0.1."""

_MOST_AXES_LISTED = 16

_LINES = {
    "sample_rate_hz": "sample_rate_hz = 0   # put in the samples per second",
    "unit": 'unit = ""   # put in "g", "mg" or "m/s2"; any other name, such as "counts", is never converted',
    "full_scale": "full_scale = 0   # put in the value, in unit, that the file's full scale means",
}


def complete(raw: RawRecording, path: Path, catalogues: Sequence[Catalogue], advised: Path) -> Recording:
    """Join a file's and the catalogues' statements.

    Args:
        raw: What the file says.
        path: The file.
        catalogues: In order of rising precedence.
        advised: Catalogue file into which the user is told to write what is missing.

    Raises:
        RecordingError: If something is missing, or contradictory, or a sample is not finite.
    """
    name = path.stem if raw.capture is None else f"{path.stem}#{raw.capture}"
    catalogued = _catalogued(raw, path, catalogues)
    _check_agreement(raw.stated, catalogued, path)
    known = {**raw.stated, **catalogued}
    _check_nothing_missing(raw, known, path, advised)
    samples, axes = _chosen_axes(raw, catalogued, path)
    label = known.get("label")
    return Recording(
        name=name,
        samples=_finite(_scaled(samples, raw, known), axes, path, name),
        sample_rate_hz=cast(float, known["sample_rate_hz"]),
        axes=axes,
        unit=str(known["unit"]),
        label=None if label is None else str(label),
        group=str(known.get("group", path.stem)),
        fields={key: cast(FieldValue, value) for key, value in known.items() if key not in RESERVED_KEYS},
    )


def _catalogued(raw: RawRecording, path: Path, catalogues: Sequence[Catalogue]) -> Metadata:
    values: dict[str, MetadataValue] = {}
    for catalogue in catalogues:
        values.update(values_for(catalogue, path.name, {**raw.stated, **values}))
    return values


def _check_agreement(stated: Metadata, catalogued: Metadata, path: Path) -> None:
    """Compare all but the axes, where a catalogue may choose among those of the file."""
    for key in sorted((stated.keys() & catalogued.keys()) - {"axes"}):
        if not _agree(key, stated[key], catalogued[key]):
            raise RecordingError(
                f"{path}: Expected file and catalogue to agree, got {key} = {stated[key]!r} from the file and "
                f"{catalogued[key]!r} from the catalogue. Correct the one that is wrong."
            )


def _agree(key: str, a: MetadataValue, b: MetadataValue) -> bool:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=RATE_TOLERANCE if key == "sample_rate_hz" else VALUE_TOLERANCE)
    return a == b


def _check_nothing_missing(raw: RawRecording, known: Metadata, path: Path, advised: Path) -> None:
    needed = ("sample_rate_hz", "axes", "unit", *(("full_scale",) if raw.is_relative else ()))
    missing = [key for key in needed if key not in known]
    if missing and advised.suffix.lower() == ".csv":
        raise RecordingError(
            f"{path}: Expected {', '.join(needed)} from the file or a catalogue, got no {', '.join(missing)}. "
            f"Fill in the columns {', '.join(missing)} for it in {advised}."
        )
    if missing:
        lines = [_axes_line(raw.samples.shape) if key == "axes" else _LINES[key] for key in missing]
        raise RecordingError(
            f"{path}: Expected {', '.join(needed)} from the file or a catalogue, got no {', '.join(missing)}. "
            f"Write into {advised}:\n\n" + "\n".join(["[[recordings]]", _file_line(path), *lines])
        )


def _file_line(path: Path) -> str:
    """Quote the name for TOML, and for globs, in which brackets mean something."""
    return f"file = {quoted(glob.escape(path.name))}   # or a glob for more files"


def _axes_line(shape: tuple[int, ...]) -> str:
    if shape[1] > _MOST_AXES_LISTED:
        return f'axes = [""]   # {shape[1]} names for {shape[0]} samples each; is the array\'s last dimension time?'
    names = ", ".join(['""'] * shape[1])
    return f"axes = [{names}]   # put in one name per channel, in the file's order"


def _chosen_axes(raw: RawRecording, catalogued: Metadata, path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Let the catalogue name the channels where the file does not, and choose among them where it does."""
    of_file = cast("tuple[str, ...] | None", raw.stated.get("axes"))
    of_catalogue = cast("tuple[str, ...] | None", catalogued.get("axes"))
    names = of_file or of_catalogue or ()
    chosen = of_catalogue or names
    if len(names) != raw.samples.shape[1]:
        raise RecordingError(
            f"{path}: Expected as many axes as channels, got {len(names)} names ({', '.join(names)}) for "
            f"{raw.samples.shape[1]} channels of {raw.samples.shape[0]} samples. Correct axes, or transpose the array."
        )
    if not set(chosen) <= set(names):
        raise RecordingError(
            f"{path}: Expected the catalogue's axes to be among the file's, got {', '.join(chosen)} from the catalogue "
            f"and {', '.join(names)} from the file. Correct the catalogue."
        )
    return raw.samples[:, [names.index(axis) for axis in chosen]], chosen


def _scaled(samples: NDArray[Any], raw: RawRecording, known: Metadata) -> NDArray[Any]:
    return samples * cast(float, known["full_scale"]) if raw.is_relative else samples


def _finite(samples: NDArray[Any], axes: tuple[str, ...], path: Path, name: str) -> NDArray[np.float32]:
    """Return float32 samples; values too large for it count as infinite."""
    if not len(samples):
        raise RecordingError(f"{path}: Expected samples, got none. Record or export it again.")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(samples, dtype=np.float32)
    bad = np.argwhere(~np.isfinite(result))
    if len(bad):
        index, axis = bad[0]
        raise RecordingError(
            f"{path}: Expected finite samples, got {len(bad)} NaN or infinite values in {name}, the first at sample "
            f"{index} of axis {axes[axis]}. Cut them out or record again."
        )
    return result
