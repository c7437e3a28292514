"""Comma-separated text (.csv): a header, then one line per sample.

A column `time_s` gives the sample rate and must be evenly spaced; every other column is an axis. Where all axis columns
end in `_g`, `_mg` or `_mps2`, that is their unit and not part of the axis' name: `x_g,y_g` are the axes x and y in g.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import RawRecording, reading
from drsn_edge.signal.units import canonical

TIME_COLUMN = "time_s"
INDEX_COLUMN = "file"
UNIT_BY_SUFFIX = {f"_{name}": canonical(name) for name in ("g", "mg", "mps2")}

SPACING_TOLERANCE = 0.1
"""Share of the sample interval by which two time stamps may be off. Stamps in whole microseconds pass up to 100 kHz;
a lost sample (1.0) and a timer that jitters do not."""


def read_csv(data: bytes, path: Path) -> list[RawRecording]:
    """Read the one recording of a .csv file.

    Raises:
        RecordingError: If header, numbers, units or time stamps are not as this module's text says.
    """
    with reading(path, "comma-separated UTF-8 text with a header"):
        lines = data.decode("utf-8-sig").splitlines()
        header = _cells(lines[0]) if lines else []
        _check_header(header, path)
        table = _table(lines, header, path)
    channels = [column for column, name in enumerate(header) if name != TIME_COLUMN]
    stated: dict[str, MetadataValue] = dict(_axes_and_unit([header[column] for column in channels], path))
    if TIME_COLUMN in header:
        rate = _sample_rate_hz(table[:, header.index(TIME_COLUMN)], path)
        stated["sample_rate_hz"] = checked("sample_rate_hz", rate, f"{path}, column {TIME_COLUMN}")
    return [RawRecording(table[:, channels], stated)]


def is_index(first_line: bytes) -> bool:
    """Tell whether a CSV that starts so lists files instead of holding samples: it has a column `file`."""
    text = first_line.decode("utf-8-sig", "replace").replace("\0", "")  # Python 3.10's csv refuses NUL
    return any(INDEX_COLUMN in _cells(line) for line in text.splitlines()[:1])


def _cells(line: str) -> list[str]:
    return [cell.strip() for row in csv.reader([line]) for cell in row]


def _check_header(header: list[str], path: Path) -> None:
    if INDEX_COLUMN in header:
        raise RecordingError(f"{path}: Expected samples, got an index of files (column {INDEX_COLUMN!r}).")
    if all(_is_number(cell) for cell in header):
        raise RecordingError(
            f"{path}: Expected column names in the first line (time_s,x_g,y_g,z_g), "
            f"got {', '.join(header) or 'nothing'}. Add them."
        )
    if "" in header or len(set(header)) < len(header):
        raise RecordingError(
            f"{path}: Expected a different name for every column, got {', '.join(map(repr, header))}. Rename them."
        )
    if header == [TIME_COLUMN]:
        raise RecordingError(f"{path}: Expected at least one axis beside {TIME_COLUMN}, got none.")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise RecordingError(f"{path}: Expected columns separated by commas, got {header[0]!r}. Export it with commas.")


def _table(lines: list[str], header: list[str], path: Path) -> NDArray[np.float64]:
    """Return the numbers, shape (n_lines, n_columns)."""
    if not any(lines[1:]):
        raise RecordingError(f"{path}: Expected lines of numbers after the header, got none.")
    try:
        table = np.loadtxt(lines[1:], delimiter=",", comments=None, quotechar='"', ndmin=2)
    except ValueError as exc:
        raise RecordingError(f"{path}: {_first_bad_line(lines, header) or exc}") from exc
    if table.shape[1] != len(header):
        raise RecordingError(f"{path}: {_first_bad_line(lines, header)}")
    return table


def _first_bad_line(lines: list[str], header: list[str]) -> str:
    """Say what is wrong where; NumPy's own words count lines differently and advise on NumPy's arguments."""
    for number, line in enumerate(lines[1:], start=2):
        cells = _cells(line)
        if cells and len(cells) != len(header):
            return f"Expected {len(header)} values as in the header, got {len(cells)} in line {number}."
        for name, cell in zip(header, cells, strict=False):
            if not _is_number(cell):
                return f"Expected a number, got {cell!r} in line {number}, column {name}."
    return ""


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
            f"{path}: Expected one unit suffix ({', '.join(UNIT_BY_SUFFIX)}) on all axis columns or none, "
            f"got {', '.join(columns)}. Convert or remove the odd ones."
        )
    suffix = suffixes.pop()
    axes = checked("axes", [name.removesuffix(suffix) for name in columns], f"{path}, header")
    return {"axes": axes, "unit": UNIT_BY_SUFFIX[suffix]} if suffix else {"axes": axes}


def _sample_rate_hz(time_s: NDArray[np.float64], path: Path) -> float:
    """Return the mean rate of the time stamps, to nine digits: the rest is noise of their decimal notation."""
    if len(time_s) < 2 or not np.isfinite(time_s).all():
        raise RecordingError(f"{path}: Expected at least two finite times in {TIME_COLUMN}, got {len(time_s)} lines.")
    intervals = np.diff(time_s)
    usual = float(np.median(intervals))
    if usual <= 0:
        raise RecordingError(f"{path}: Expected {TIME_COLUMN} to rise from line to line, got steps of {usual:.6g} s.")
    uneven = np.flatnonzero(np.abs(intervals - usual) > SPACING_TOLERANCE * usual)
    if len(uneven):
        at = int(uneven[0])
        raise RecordingError(
            f"{path}: Expected a sample every {usual:.6g} s (within {SPACING_TOLERANCE:.0%}), got {len(uneven)} other "
            f"intervals, the first of {intervals[at]:.6g} s after sample {at} ({TIME_COLUMN} = {time_s[at]:.6g}). "
            f"Cut the file there, or remove {TIME_COLUMN} and state sample_rate_hz in a catalogue."
        )
    return float(f"{len(intervals) / (time_s[-1] - time_s[0]):.9g}")
