"""Comma-separated text (.csv): a header, then one line per sample.

A column `time_s` gives the sampling rate and must be evenly spaced; every other column is an axis. If all axis columns
end in `_g`, `_mg` or `_mps2`, that suffix is their unit and not part of the names: `x_g,y_g` are the axes x and y in g.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import RawRecording, Request, Whole, file_bytes, reading
from drsn_edge.signal.units import canonical
from drsn_edge.support.wording import counted

TIME_COLUMN = "time_s"
INDEX_COLUMN = "file"
UNIT_BY_SUFFIX = {f"_{name}": canonical(name) for name in ("g", "mg", "mps2")}

SPACING_TOLERANCE = 0.1
"""Largest deviation of an interval between two time stamps, as a share of the usual interval. Time stamps in whole
microseconds pass up to 100 kHz; a lost sample (1.0) and a jittering timer do not."""


def read_csv(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a .csv file.

    Raises:
        RecordingError: If header, numbers, units or time stamps are not as the module's docstring describes.
    """
    with reading(path, "comma-separated UTF-8 text with a header"):
        lines = file_bytes(path).decode("utf-8-sig").splitlines()
        header = _cells(lines[0]) if lines else []
        _check_header(header, path)
        table = _table(lines, header, path)
    channels = [column for column, name in enumerate(header) if name != TIME_COLUMN]
    stated: dict[str, MetadataValue] = dict(_axes_and_unit([header[column] for column in channels], path))
    if TIME_COLUMN in header:
        rate = _sample_rate_hz(table[:, header.index(TIME_COLUMN)], path)
        stated["sample_rate_hz"] = checked("sample_rate_hz", rate, f"{path}, column {TIME_COLUMN}")
    return [RawRecording(Whole(table[:, channels]), stated)]


def is_index(first_line: bytes) -> bool:
    """Tell whether a CSV file with this first line is an index of files: it has a column `file`."""
    text = first_line.decode("utf-8-sig", "replace").replace("\0", "")  # Python 3.10's csv refuses NUL
    return any(INDEX_COLUMN in _cells(line) for line in text.splitlines()[:1])


def _cells(line: str) -> list[str]:
    return [cell.strip() for row in csv.reader([line]) for cell in row]


def _check_header(header: list[str], path: Path) -> None:
    if INDEX_COLUMN in header:
        words = f"{path} is an index of files (it has a column {INDEX_COLUMN!r}), not a recording. Name a recording."
        raise RecordingError(words, "index", path=path)
    if all(_is_number(cell) for cell in header):
        got = f"holds {', '.join(header)}" if header else "is empty"
        words = f"{path} has no header: the first line {got}. Add the column names there, such as time_s,x_g,y_g,z_g."
        raise RecordingError(words, "no_header", path=path, got=tuple(header))
    if "" in header or len(set(header)) < len(header):
        words = f"{path}: every column needs a name of its own, got {', '.join(map(repr, header))}. Rename them."
        raise RecordingError(words, "column_names", path=path, got=tuple(header))
    if header == [TIME_COLUMN]:
        words = f"{path} has no column beside {TIME_COLUMN}. Add a column for each axis."
        raise RecordingError(words, "no_axis", path=path)
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        words = f"{path}: columns must be separated by commas, got {header[0]!r}. Export it with commas."
        raise RecordingError(words, "wrong_separator", path=path, got=header[0])


def _table(lines: list[str], header: list[str], path: Path) -> NDArray[np.float64]:
    """Return the numbers, shape (n_lines, n_columns)."""
    if not any(lines[1:]):
        raise RecordingError(f"{path} holds no samples. Record or export it again.", "no_samples", path=path)
    try:
        table = np.loadtxt(lines[1:], delimiter=",", comments=None, quotechar='"', ndmin=2)
    except ValueError as exc:
        raise _first_bad_line(lines, header, path, str(exc)) from exc
    if table.shape[1] != len(header):
        raise _first_bad_line(lines, header, path, "its columns do not fit the header")
    return table


def _first_bad_line(lines: list[str], header: list[str], path: Path, otherwise: str) -> RecordingError:
    """Return an error with the first wrong line; NumPy's message counts lines differently and advises on its arguments.

    Args:
        lines: The file, header included.
        header: Names of the columns.
        path: The file.
        otherwise: Why the file cannot be read if no line is wrong.
    """
    for number, line in enumerate(lines[1:], start=2):
        cells = _cells(line)
        if cells and len(cells) != len(header):
            words = f"{path}, line {number}: expected {len(header)} values as in the header, got {len(cells)}. Add or "
            facts = {"path": path, "line": number, "expected": len(header), "got": len(cells)}
            return RecordingError(f"{words}remove values there.", "value_count", **facts)
        for name, cell in zip(header, cells, strict=False):
            if not _is_number(cell):
                words = f"{path}, line {number}, column {name}: expected a number, got {cell!r}. Correct it there."
                return RecordingError(words, "not_a_number", path=path, line=number, column=name, got=cell)
    return RecordingError(f"{path} cannot be read as a table: {otherwise}. Export it again.", "not_csv", path=path)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _axes_and_unit(columns: list[str], path: Path) -> Metadata:
    suffixes = {next((suffix for suffix in UNIT_BY_SUFFIX if name.endswith(suffix)), "") for name in columns}
    if len(suffixes) > 1:
        raise RecordingError(
            f"{path}: all axis columns must have the same unit suffix ({', '.join(UNIT_BY_SUFFIX)}) or none, got "
            f"{', '.join(columns)}. Convert or remove the columns that differ.",
            "mixed_units",
            path=path,
            columns=tuple(columns),
        )
    suffix = suffixes.pop()
    axes = checked("axes", [name.removesuffix(suffix) for name in columns], f"{path}, header")
    return {"axes": axes, "unit": UNIT_BY_SUFFIX[suffix]} if suffix else {"axes": axes}


def _sample_rate_hz(time_s: NDArray[np.float64], path: Path) -> float:
    """Return the mean rate of the time stamps to nine digits; further digits are noise of their decimal notation."""
    finite = int(np.isfinite(time_s).sum())
    if finite < max(2, len(time_s)):
        bad = f"has {len(time_s) - finite} values that are not finite" if len(time_s) > 1 else "has a single value"
        raise RecordingError(
            f"{path}: {TIME_COLUMN} {bad}, so the sampling rate is unknown. Correct the column, or remove it and state "
            "sample_rate_hz in a catalogue.",
            "too_few_times",
            path=path,
            finite=finite,
            lines=len(time_s),
        )
    intervals = np.diff(time_s)
    usual = float(np.median(intervals))
    if usual <= 0:
        raise RecordingError(
            f"{path}: {TIME_COLUMN} must rise from line to line, but its steps are {usual:.6g} s. Correct the column, "
            "or remove it and state sample_rate_hz in a catalogue.",
            "times_do_not_rise",
            path=path,
            step_s=usual,
        )
    uneven = np.flatnonzero(np.abs(intervals - usual) > SPACING_TOLERANCE * usual)
    if len(uneven):
        raise _uneven(uneven, intervals, time_s, path)
    return float(f"{len(intervals) / (time_s[-1] - time_s[0]):.9g}")


def _uneven(
    uneven: NDArray[np.intp], intervals: NDArray[np.float64], time_s: NDArray[np.float64], path: Path
) -> RecordingError:
    at, usual = int(uneven[0]), float(np.median(intervals))
    return RecordingError(
        f"{path} has a sample every {usual:.6g} s, except for {counted(len(uneven), 'interval')} (more than "
        f"{SPACING_TOLERANCE:.0%} off), the first of {intervals[at]:.6g} s after sample {at} ({TIME_COLUMN} = "
        f"{time_s[at]:.6g}). Samples may be missing there. Cut the file, or remove {TIME_COLUMN} and state "
        "sample_rate_hz in a catalogue.",
        "uneven_times",
        path=path,
        step_s=round(usual, 9),
        count=len(uneven),
        got_s=round(float(intervals[at]), 9),
        sample=at,
        time_s=float(time_s[at]),
    )
