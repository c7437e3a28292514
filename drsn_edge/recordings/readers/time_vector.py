"""Arrays that hold the time of each sample: which they are, by name and values, and the rate that they give.

What a clock and a counter are, and what a clock says, is the same as in a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.metadata import Metadata
from drsn_edge.recordings.readers.table_clock import NO_CLOCK, Reading, clock_of
from drsn_edge.recordings.readers.variables import Leaf, n_values
from firmware_bridge.tables.columns import Column, Kind, is_even, role_of
from firmware_bridge.tables.names import Name

_PIECE = 1 << 16
_LOOKED_AT = 4096


def kind_of(leaf: Leaf, name: Name, is_asked: bool) -> Kind:
    """Return whether an array of one dimension is a clock, a counter, or numbers such as those of a signal.

    Args:
        leaf: The array.
        name: Its name and unit.
        is_asked: Whether a catalogue says that it is the clock.
    """
    values = next(_pieces(leaf, _LOOKED_AT), np.empty(0))
    if is_asked:
        return Kind.CLOCK
    if len(values) < 2 or not np.isfinite(values).all():
        return Kind.NUMBERS
    is_whole = bool((values == np.rint(values)).all())
    quantum = max(1.0, 2 * float(np.spacing(np.abs(values).max()))) if is_whole else 0.0
    role = role_of(name, values, quantum, bool((values == values[0]).all()))
    named = role_of(name, values[:2], quantum, is_constant=False)  # two values say nothing: what the name alone says
    if role is Kind.NUMBERS or named is not Kind.NUMBERS:
        return role
    return role if all(is_even(piece, quantum) for piece in (values, _last(leaf))) else Kind.NUMBERS


def reading_of(leaf: Leaf, name: Name, values: Metadata, path: Path) -> Reading:
    """Return what an array that is a clock says; it is read to its end, in pieces.

    Args:
        leaf: The array.
        name: Its name, as messages call it, and its unit.
        values: What catalogues state for the file.
        path: The file, for errors.

    Raises:
        RecordingError: If samples are missing by its stamps, or a catalogue's choice of it is wrong.
    """
    first = next(_pieces(leaf, _LOOKED_AT), np.empty(0))
    others = {key: value for key, value in values.items() if key != "time_column"}
    clock = clock_of([Column(0, name, Kind.CLOCK, values=first)], others, path)
    if clock is None:
        return NO_CLOCK
    for piece in _pieces(leaf, _PIECE):
        clock.add_times(piece)
    known_hz = values.get("sample_rate_hz")
    return clock.reading(path, known_hz if isinstance(known_hz, float) else None)


def _pieces(leaf: Leaf, most: int) -> Iterator[NDArray[np.float64]]:
    """Yield the values in order as float64; blocks of the file are read as a whole."""
    along = int(np.argmax(leaf.shape))
    at_once = max(most, leaf.block[along] if leaf.block else 0)
    with leaf.opened() as values, np.errstate(all="ignore"):
        for first in range(0, n_values(leaf), at_once):
            yield from _split(_sliced(values, leaf, along, first, first + at_once), most)


def _split(values: NDArray[np.float64], most: int) -> Iterator[NDArray[np.float64]]:
    for first in range(0, len(values), most):
        yield values[first : first + most]


def _sliced(values: Any, leaf: Leaf, along: int, first: int, stop: int) -> NDArray[np.float64]:
    key: list[Any] = [0] * len(leaf.shape)
    key[along] = slice(first, stop)
    return np.asarray(values[tuple(key)]).astype(np.float64).reshape(-1)


def _last(leaf: Leaf) -> NDArray[np.float64]:
    along, size = int(np.argmax(leaf.shape)), n_values(leaf)
    with leaf.opened() as values:
        return _sliced(values, leaf, along, max(0, size - _LOOKED_AT), size)
