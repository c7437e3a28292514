"""Arrays that hold the time of each sample: how one is told from a signal, and the rate that it gives."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.readers.variables import Leaf, n_values

_PIECE = 1 << 18
_HEAD = 1024
_FEWEST = 3
_NAME = re.compile(r"(t|ts|zeit|index|xindex|axis1|sampleno|samplenumber|counter|.*time.*)")
_EVEN = 0.5
"""Largest standard deviation of the steps, as a share of their mean, of an array whose name does not speak of time."""

_UNIT_S = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_UNIT_IN_NAME = re.compile(r"(?:_|\(|\[|in )\s*(s|sec|seconds|ms|us|µs|ns)\s*[)\]]?$", re.IGNORECASE)
_RATES_HZ = (0.1, 1e8)


@dataclass(frozen=True)
class Steps:
    """The steps of an array that rises.

    Attributes:
        mean: Mean step, > 0.
        spread: Standard deviation of the steps as a share of their mean.
        is_counter: Whether every step is exactly 1 and every value is whole, as in the number of a sample.
    """

    mean: float
    spread: float
    is_counter: bool


def is_named_time(name: str) -> bool:
    """Tell whether a name speaks of time or of a sample's number."""
    return _NAME.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def steps_of(leaf: Leaf, name: str) -> Steps | None:
    """Return the steps of an array that rises as stamps do; None for a signal.

    The array is read to its end, in pieces, unless its first values fall.
    """
    total, squares, whole, count, last = 0.0, 0.0, True, 0, math.nan
    for piece in _pieces(leaf):
        joined = piece if math.isnan(last) else np.concatenate(([last], piece))
        steps = np.diff(joined)
        if not np.isfinite(joined).all() or (steps < 0).any():
            return None
        total, squares, count, last = (
            total + float(steps.sum()), squares + float(np.square(steps).sum()), count + len(steps), float(piece[-1])
        )  # fmt: skip
        whole = whole and bool((steps == 1).all())
    if count < _FEWEST - 1 or total <= 0:
        return None
    mean = total / count
    spread = math.sqrt(max(squares / count - mean * mean, 0.0)) / mean
    is_stamps = math.isfinite(spread) and (is_named_time(name) or spread < _EVEN)
    return Steps(mean, spread, whole and last == round(last)) if is_stamps else None


def rate_of(steps: Steps, name: str, unit: str | None) -> float | None:
    """Return the sampling rate in Hz; None if the array counts samples, or its unit makes the rate absurd.

    Args:
        steps: The array's steps.
        name: Its name, which may end in a unit: `time_ms`, `t (us)`.
        unit: Unit of the stamps if the file or a catalogue states it; otherwise the name's, else seconds.
    """
    if steps.is_counter:
        return None
    in_name = _UNIT_IN_NAME.search(name)
    known = _UNIT_S.get((unit or (in_name[1] if in_name else "s")).lower())
    rate = 0.0 if known is None else 1.0 / (steps.mean * known)
    return rate if _RATES_HZ[0] <= rate <= _RATES_HZ[1] else None


def _pieces(leaf: Leaf) -> Iterator[NDArray[np.float64]]:
    """Yield the values in order as float64: few at first, so that a signal is recognised without reading it."""
    along = int(np.argmax(leaf.shape))
    with leaf.opened() as values, np.errstate(all="ignore"):
        first, most = 0, _HEAD
        while first < n_values(leaf):
            key: list[Any] = [0] * len(leaf.shape)
            key[along] = slice(first, first + most)
            piece = np.asarray(values[tuple(key)]).astype(np.float64).reshape(-1)
            if not len(piece):
                return
            yield piece
            first, most = first + len(piece), max(_PIECE, leaf.block[along] if leaf.block else 0)
