"""NumPy archives (.npz), without pickle.

| key | value |
|---|---|
| `x` | the samples: [n], [axes, n] or [captures, axes, n]; the last dimension is always time |
| `fs` or `sample_rate_hz` | sampling rate in Hz |
| `axes` | names of the axes, [axes] |
| `unit`, `label`, `group` | text |
| any other scalar | a field of the recording (`rpm`, `load_hp`, ...) |

In a file of captures, an array with one entry per capture gives each capture its own value. Other arrays are not read
as fields, but a built-in catalogue may recognise the data set by their keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import RESERVED_KEYS, Metadata, MetadataValue, checked
from drsn_edge.recordings.raw import (
    MAX_RECORDING_BYTES,
    RawRecording,
    Request,
    Whole,
    file_bytes,
    reading,
    real_numbers,
)
from drsn_edge.support.arrays import read_arrays

Arrays = Mapping[str, NDArray[Any]]

_MEANING = {"fs": "sample_rate_hz"}


def read_npz(path: Path, request: Request) -> list[RawRecording]:
    """Read the recordings of one .npz file: one, or one for each capture.

    Raises:
        RecordingError: If the archive is damaged, or `x` or a stated value is unusable.
    """
    arrays = _arrays(file_bytes(path), path)
    x = _samples(arrays, path)
    if x.ndim < 3:
        return [RawRecording(Whole(np.atleast_2d(x).T), _stated(arrays, path), frozenset(arrays))]
    return [
        RawRecording(Whole(x[k].T), _stated(_of_capture(arrays, k, len(x)), path), frozenset(arrays), capture=k)
        for k in range(len(x))
    ]


def _arrays(data: bytes, path: Path) -> Arrays:
    with reading(path, "an .npz archive of plain arrays"):
        return read_arrays(data, MAX_RECORDING_BYTES, deflated=True)


def _samples(arrays: Arrays, path: Path) -> NDArray[Any]:
    if "x" not in arrays:
        raise RecordingError(
            f"{path} has no key x for the samples; its keys are {', '.join(sorted(arrays)) or '(none)'}. Save the "
            "samples as x, with time as the last dimension.",
            "no_x",
            path=path,
            keys=tuple(sorted(arrays)),
        )
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
