"""The counters of a table: columns that number the samples, and the samples that are missing by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata
from drsn_edge.recordings.readers.table_clock import WAY_OUT, Rows
from drsn_edge.support.wording import counted
from firmware_bridge.errors import TableError
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import Column, Kind
from firmware_bridge.tables.counting import Count, CountMeter, step_of
from firmware_bridge.tables.numbers import Numbers

_MOST = 8
"""Counters that are followed."""


class Counters:
    """The columns that count samples, and how they go on."""

    def __init__(self, columns: Sequence[Column]) -> None:
        """Begin with columns that count."""
        self._meters = [(column, CountMeter(_step(column))) for column in columns]

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns that `add` needs."""
        return tuple(column.index for column, _ in self._meters)

    def add(self, grid: Rows) -> None:
        """Take in the next rows."""
        for column, meter in self._meters:
            meter.add(_numbers(grid, column.index))

    def remarks(self, path: Path) -> tuple[str, ...]:
        """Return sentences about counters that jump too often to be counters of samples.

        Raises:
            RecordingError: If samples are missing by a counter.
        """
        counts = [(column, meter.count()) for column, meter in self._meters]
        for column, count in counts:
            if count.is_steady and count.jumps:
                raise _missing(column, count, path)
        return tuple(
            f"Column {printable(column.label, 40)} jumps after {count.jumps / count.steps:.1%} of the lines, so that "
            "it was not taken as a counter of samples. Samples may be missing."
            for column, count in counts
            if count.jumps and count.is_mostly_steady
        )


def counters_of(columns: Sequence[Column], values: Metadata) -> Counters:
    """Return the counters among columns that are neither an axis nor the clock.

    Args:
        columns: These columns.
        values: What catalogues state: `time_column`, of which "-" says that no column counts.
    """
    if values.get("time_column") == LEFT_OUT:
        return Counters(())
    return Counters([column for column in columns if _step(column)][:_MOST])


def _step(column: Column) -> float:
    """Return by how much a column counts from row to row; 0 if it does not."""
    if column.values is None or column.is_text:
        return 0.0
    return step_of(column.values) if column.kind is Kind.COUNTER else 0.0


def _numbers(grid: Rows, column: int) -> Numbers:
    """Return the numbers of a column, NaN for cells that are none."""
    try:
        return grid.numbers([column])[:, 0]
    except TableError:
        return np.array([_number(cell) for cell in grid.texts(column)])


def _number(cell: bytes) -> float:
    return float(cell) if cell.isdigit() and len(cell) < 16 else np.nan


def _missing(column: Column, count: Count, path: Path) -> RecordingError:
    label = printable(column.label, 40)
    places = f" in {count.jumps} places, the first {count.first}" if count.jumps > 1 else ""
    return RecordingError(
        f"{path} lacks {counted(count.missing, 'sample')}{places} after sample {count.sample} ({label} = "
        f"{count.value:.16g}), by its counter {label}. Cut the file, or {WAY_OUT}.",
        "missing_samples",
        path=path,
        missing=count.missing,
        count=count.jumps,
        sample=count.sample,
        column=column.label,
    )
