"""The one reader of NumPy archives (.npz): no pickle, and no memory before it is known that the bytes are there.

An archive may lie about itself: a header of 100 bytes can claim petabytes, a megabyte of deflated zeros becomes a
gigabyte, and a directory can name a million members. So the directory, the sizes of all members and the shape of each
array are checked against what lies there, and against a bound, before anything is made of them.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_MEMBERS = 256
MAX_ARRAYS_BYTES = 8 << 20
"""Of golden.npz and of novelty.npz, which take some ten kilobytes."""

_END = struct.Struct("<4s4H2IH")  # of the central directory, APPNOTE.TXT 4.3.16
assert _END.size == 22
_LONGEST_COMMENT, _LONGEST_REASON = 65_535, 200
_ENTRY_BYTES = 46 + 512
_ZIP64_LOCATOR_BYTES = 20
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(
    data: bytes, most_bytes: int, most_members: int = MOST_MEMBERS, deflated: bool = False
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by their names, each read whole, its checksum included.

    Args:
        data: The archive.
        most_bytes: Of all arrays together, unpacked.
        most_members: How many there may be.
        deflated: Whether members may be compressed, as `np.savez_compressed` does it; those that are not can hold no
            more than the archive itself.

    Raises:
        ValueError: If it is no archive of plain arrays, is damaged, or holds or claims more than it may.
    """
    try:
        _check_directory(data, most_members)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_members(infos, most_bytes, deflated)
            return {info.filename.removesuffix(".npy"): _array(_content(archive, info), info) for info in infos}
    except MemoryError as exc:
        raise ValueError("there is not enough memory for it") from exc
    except Exception as exc:  # on damaged files zipfile, zlib and NumPy raise far more than they document
        words = " ".join(str(exc).split())[:_LONGEST_REASON]  # NumPy quotes whole headers
        raise ValueError(words.rstrip(".") or type(exc).__name__) from exc


class Form(NamedTuple):
    """What an array may be.

    Attributes:
        dtype: Floating point takes any plain numbers, text is of any length, a whole number may be a narrower one, as
            machines of 32 bits write it; arrays of whole numbers are exactly this.
        ndim: Number of dimensions; 0: a scalar.
        exact: Whether floating point takes nothing but this type.
    """

    dtype: type[np.generic]
    ndim: int
    exact: bool = False


def typed_arrays(
    data: bytes, most_bytes: int, forms: Mapping[str, Form], together: Mapping[str, Form] | None = None
) -> dict[str, NDArray[Any]]:
    """Return those arrays of an archive that have these names, each of its form.

    Args:
        data: The archive.
        most_bytes: Of all arrays together.
        forms: Of the arrays that it must have.
        together: Of those that it has all or none of.

    Raises:
        ValueError: If it is no archive of plain arrays, holds more than it may, or lacks an array of that form.
    """
    arrays = read_arrays(data, most_bytes)
    more = together or {}
    wanted = {**forms, **more} if any(name in arrays for name in more) else forms
    return {name: _of_form(name, arrays.get(name), form) for name, form in wanted.items()}


def archive_of(**arrays: Any) -> bytes:
    """Return the bytes of an archive of arrays, the same for the same values."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _of_form(name: str, array: NDArray[Any] | None, form: Form) -> NDArray[Any]:
    if array is None:
        raise ValueError(f"it has no array {name}")
    if not form.exact and np.dtype(form.dtype).kind == "f" and array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds no plain numbers: {array.dtype}")
    if not _is_taken(array, form):
        raise ValueError(f"{name} is of {array.dtype}, expected {np.dtype(form.dtype)}")
    if array.ndim != form.ndim:
        raise ValueError(f"{name} has {array.ndim} dimensions, expected {form.ndim}")
    return array.astype(form.dtype, copy=False)


def _is_taken(array: NDArray[Any], form: Form) -> bool:
    kind = np.dtype(form.dtype).kind
    if kind == "U":
        return array.dtype.kind == "U"
    if kind == "f" and not form.exact:
        return True
    narrower = form.ndim == 0 and array.dtype.kind == kind and np.can_cast(array.dtype, form.dtype, "safe")
    return array.dtype == form.dtype or (kind in "iu" and narrower)


def _check_directory(data: bytes, most_members: int) -> None:
    """Refuse what `zipfile` would spend memory on: it reads the whole directory before anything can be asked."""
    at = data.rfind(b"PK\5\6", max(0, len(data) - _END.size - _LONGEST_COMMENT))
    if at < 0 or len(data) - at < _END.size:
        raise ValueError("it is no zip file, or cut short")
    _, _, _, here, total, size, _, _ = _END.unpack_from(data, at)
    has_64_bits = data[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(b"PK\6\7")
    if max(here, total) > most_members or size > most_members * _ENTRY_BYTES or has_64_bits:
        raise ValueError(f"it holds more than the {most_members} members that it may")


def _check_members(infos: list[zipfile.ZipInfo], most_bytes: int, deflated: bool) -> None:
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if deflated else (zipfile.ZIP_STORED,)
    names = [info.filename.removesuffix(".npy") for info in infos]
    if len(set(names)) < len(names):
        raise ValueError("it holds several members of one name")
    for info in infos:
        if info.compress_type not in kinds:
            raise ValueError(f"{info.filename!r} is compressed, or in another way than deflated")
    total = sum(info.file_size for info in infos)
    if total > most_bytes:
        raise ValueError(f"its arrays take {total} bytes, and may take {most_bytes}")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(info.file_size + 1)  # read() without a limit would unpack all of it, whatever was declared


def _array(content: bytes, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Return the array in a member whose header says no more than what follows it."""
    stream = io.BytesIO(content)
    header = _HEADERS.get(np.lib.format.read_magic(stream))
    if header is None:
        raise ValueError(f"{info.filename!r} is of a later version of NumPy's format")
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError(f"{info.filename!r}: Object arrays cannot be loaded without running what is in them")
    if dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise ValueError(f"{info.filename!r} is no array of plain values")
    said, there = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if said != there:
        raise ValueError(f"{info.filename!r} says that it holds {said} bytes, and holds {there}")
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
