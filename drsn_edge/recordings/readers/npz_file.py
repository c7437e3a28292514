"""NumPy archives (.npz), without pickle.

| key | value |
|---|---|
| `x` | the samples: [n], [axes, n] or [captures, axes, n]; the last dimension is always time |
| `fs` or `sample_rate_hz` | sampling rate in Hz |
| `axes` | names of the axes, [axes] |
| `unit`, `label`, `group` | text |
| any other scalar | a field of the recording (`rpm`, `load_hp`, ...) |

Keys of other people, without `x`, are read as the variables of a MATLAB file are, see
`drsn_edge.recordings.readers.choice`.

In a file of captures, an array with one entry per capture gives each capture its own value. Other arrays are not read
as fields, but a built-in catalogue may recognise the data set by their keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import RESERVED_KEYS, Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import (
    RawRecording,
    Request,
    Whole,
    check_memory,
    file_bytes,
    reading,
    real_numbers,
)
from drsn_edge.recordings.readers.choice import recordings_in
from drsn_edge.recordings.readers.found import File
from drsn_edge.recordings.readers.variables import Closed, Group, Node, Texts, leaf_of
from drsn_edge.support.arrays import read_arrays
from drsn_edge.support.invalid import InvalidValueError

Arrays = Mapping[str, NDArray[Any]]

_EXPECTED = "an .npz archive of plain arrays"
_MOST_TEXTS = 256
_MEANING = {"fs": "sample_rate_hz"}


def read_npz(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of one .npz file: one, or one for each capture.

    Raises:
        RecordingError: If the archive is damaged, needs more memory than allowed, or does not say which arrays are the
            samples.
    """
    arrays = _arrays(path, request)
    with reading(path, _EXPECTED):  # NumPy raises SystemError for a text with numbers that are no characters
        return _recordings(arrays, path, request)


def _recordings(arrays: Arrays, path: Path, request: Request) -> list[RawRecording]:
    if "x" not in arrays or "variable" in request.values:
        tree = Group({name: _node(values) for name, values in arrays.items()})
        found = recordings_in(File(tree, path, request, _EXPECTED))
        return [replace(each, keys=frozenset(arrays)) for each in found]
    x = _samples(arrays, path)
    if x.ndim < 3:
        return [RawRecording(Whole(np.atleast_2d(x).T), _stated(arrays, path), frozenset(arrays))]
    return [
        RawRecording(Whole(x[k].T), _stated(_of_capture(arrays, k, len(x)), path), frozenset(arrays), capture=k)
        for k in range(len(x))
    ]


def _arrays(path: Path, request: Request) -> Arrays:
    data = file_bytes(path, request.memory_bytes)
    with reading(path, _EXPECTED):
        try:
            return read_arrays(data, request.memory_bytes - len(data), deflated=True)
        except InvalidValueError as exc:
            if exc.problem != "arrays_too_large":
                raise
            check_memory(path, len(data) + cast(int, exc.facts["got"]), request.memory_bytes)
            raise


def _node(values: NDArray[Any]) -> Node:
    """Return an array as a node of a tree; the fields of a structured array are arrays of their own."""
    if values.dtype.names:
        return Group({name: _node(values[name]) for name in values.dtype.names})
    if values.dtype.kind in "US" and values.size <= _MOST_TEXTS:
        return Texts(tuple(str(_plain(each, "")) for each in values.reshape(-1)))
    if values.dtype.kind in "biufc":
        return leaf_of(values)
    return Closed("text" if values.dtype.kind in "US" else f"values of the type {values.dtype}")


def _samples(arrays: Arrays, path: Path) -> NDArray[Any]:
    x = real_numbers(arrays["x"], path, "x")
    if x.ndim not in (1, 2, 3) or x.size == 0:
        raise RecordingError(
            f"{path}: x must have the shape [n], [axes, n] or [captures, axes, n] and hold samples, got "
            f"{list(x.shape)}. Save it in one of these shapes.",
            "wrong_shape",
            path=path,
            got=list(x.shape),
        )
    return x


def _of_capture(arrays: Arrays, capture: int, n_captures: int) -> Arrays:
    """Replace each array with one entry per capture by the entry of this capture; `axes` is for all captures."""
    return {
        key: values[capture] if values.shape == (n_captures,) and key not in ("axes", "x") else values
        for key, values in arrays.items()
    }


def _stated(arrays: Arrays, path: Path) -> Metadata:
    stated: dict[str, MetadataValue] = {}
    for name, values in arrays.items():
        key = _MEANING.get(name, name)
        if name == "x" or (key not in RESERVED_KEYS and not _is_scalar(values)):
            continue
        value = checked(key, _plain(values, key), f"{path}, key {name}")
        if stated.setdefault(key, value) != value:
            words = f"{path} states {key} twice, as {stated[key]} and as {value}. Keep one of the keys."
            raise RecordingError(words, "stated_twice", path=path, key=key, values=(stated[key], value))
    return stated


def _is_scalar(values: NDArray[Any]) -> bool:
    """Tell whether an array is one boolean, number or text; dates and complex numbers are not fields."""
    return values.size == 1 and values.dtype.kind in "biufUS"


def _plain(values: NDArray[Any], key: str) -> object:
    """Return plain Python values: a list for `axes` and for several values, else a scalar."""
    plain = values.item() if values.size == 1 and key != "axes" else values.tolist()
    return plain.decode("utf-8", "replace") if isinstance(plain, bytes) else plain
