"""Values that a file states and values that catalogues state in, a complete `Recording` out. Nothing is guessed."""

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
from drsn_edge.recordings.raw import RawRecording, whole
from drsn_edge.recordings.recording import FieldValue, Recording
from drsn_edge.support.toml_file import quoted
from drsn_edge.support.wording import counted

RATE_TOLERANCE = 1e-3
"""Relative difference up to which the sampling rate in a file (often a mean of time stamps) and the nominal rate in a
catalogue agree. The rate in the catalogue is then used, so that all recordings of one sensor have the same rate."""

VALUE_TOLERANCE = 1e-6
"""Relative difference up to which other numbers agree: 0.1 stored as float32 is still 0.1."""

_MOST_AXES_LISTED = 16

_LINES = {
    "sample_rate_hz": "sample_rate_hz = 0   # fill in the sampling rate in Hz",
    "unit": 'unit = ""   # fill in "g", "mg" or "m/s2"; any other name, such as "counts", is never converted',
    "full_scale": "full_scale = 0   # fill in the acceleration, in the unit above, at the file's full scale",
}


def complete(raw: RawRecording, path: Path, catalogues: Sequence[Catalogue], advised: Path) -> Recording:
    """Join the values that a file states with those that the catalogues state.

    Args:
        raw: Content of the file.
        path: The file.
        catalogues: Catalogues in order of rising precedence.
        advised: Catalogue file that an error names as the place for missing values.

    Raises:
        RecordingError: If a value is missing or contradictory, or a sample is not finite.
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
    """Compare all values but the axes, because a catalogue may choose some axes of the file."""
    for key in sorted((stated.keys() & catalogued.keys()) - {"axes"}):
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


def _check_nothing_missing(raw: RawRecording, known: Metadata, path: Path, advised: Path) -> None:
    needed = ("sample_rate_hz", "axes", "unit", *(("full_scale",) if raw.is_relative else ()))
    missing = tuple(key for key in needed if key not in known)
    if not missing:
        return
    problem = f"Neither {path} nor a catalogue states {', '.join(missing)}."
    if advised.suffix.lower() == ".csv":
        advice = f"Fill in the columns {', '.join(missing)} for this file in {advised}."
    else:
        lines = [_axes_line(whole(raw.samples).shape) if key == "axes" else _LINES[key] for key in missing]
        advice = f"Write into {advised}:\n\n" + "\n".join(["[[recordings]]", _file_line(path), *lines])
    raise RecordingError(f"{problem} {advice}", "incomplete", path=path, missing=missing, advised=advised)


def _file_line(path: Path) -> str:
    """Quote the file name for TOML, and escape it as a glob, where brackets have a meaning."""
    return f"file = {quoted(glob.escape(path.name))}   # or a glob for several files"


def _axes_line(shape: tuple[int, ...]) -> str:
    if shape[1] > _MOST_AXES_LISTED:
        return f'axes = [""]   # {shape[1]} names for {shape[0]} samples each; is time the last dimension of the array?'
    names = ", ".join(['""'] * shape[1])
    return f"axes = [{names}]   # fill in one name per channel, in the order of the file"


def _chosen_axes(raw: RawRecording, catalogued: Metadata, path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return samples and names of the axes: the catalogue names channels without a name, or chooses among the named."""
    of_file = cast("tuple[str, ...] | None", raw.stated.get("axes"))
    of_catalogue = cast("tuple[str, ...] | None", catalogued.get("axes"))
    names = of_file or of_catalogue or ()
    chosen = of_catalogue or names
    values = whole(raw.samples)
    if len(names) != values.shape[1]:
        samples, channels = values.shape
        raise RecordingError(
            f"{path}: axes has {len(names)} names ({', '.join(names)}), but the file has {channels} channels of "
            f"{samples} samples. Correct axes, or transpose the array.",
            "wrong_axis_count",
            path=path,
            names=names,
            channels=channels,
            samples=samples,
        )
    if not set(chosen) <= set(names):
        raise RecordingError(
            f"{path} has the axes {', '.join(names)}, but the catalogue names {', '.join(chosen)}. Correct the "
            "catalogue.",
            "unknown_axes",
            path=path,
            file=names,
            catalogue=chosen,
        )
    return values[:, [names.index(axis) for axis in chosen]], chosen


def _scaled(samples: NDArray[Any], raw: RawRecording, known: Metadata) -> NDArray[Any]:
    return samples * cast(float, known["full_scale"]) if raw.is_relative else samples


def _finite(samples: NDArray[Any], axes: tuple[str, ...], path: Path, name: str) -> NDArray[np.float32]:
    """Return samples as float32; values too large for float32 count as infinite."""
    if not len(samples):
        raise RecordingError(f"{path} holds no samples. Record or export it again.", "no_samples", path=path)
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(samples, dtype=np.float32)
    bad = np.argwhere(~np.isfinite(result))
    if len(bad):
        index, axis = int(bad[0][0]), axes[bad[0][1]]
        raise RecordingError(
            f"{path} holds {counted(len(bad), 'NaN or infinite value')} in recording {name}, the first at sample "
            f"{index} of axis {axis}. Cut the samples out, or record it again.",
            "not_finite",
            path=path,
            recording=name,
            count=len(bad),
            sample=index,
            axis=axis,
        )
    return result
