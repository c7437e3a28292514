"""The one reader of NumPy archives (.npz): it loads no pickle, and takes no memory for bytes that are not there.

An archive may lie about itself: a header of 100 bytes can claim petabytes, a megabyte of deflated zeros becomes a
gigabyte, and a directory can name a million members. So the directory, the sizes of all members and the shape of each
array are checked against the bytes that are there, and against a limit, before an array is made.
"""

from __future__ import annotations

import io
import math
import reprlib
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.support.invalid import InvalidValueError

MOST_MEMBERS = 256
MAX_ARRAYS_BYTES = 8 << 20
"""Limit of golden.npz and of novelty.npz, each about 10 kB."""

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
    """Return the arrays of an archive by name; each is read completely and its checksum is verified.

    Args:
        data: The archive.
        most_bytes: Limit of all arrays together, unpacked.
        most_members: Limit of the number of members.
        deflated: Whether members may be compressed, as `np.savez_compressed` does; an uncompressed member holds no
            more than the archive itself.

    Raises:
        InvalidValueError: If it is not an archive of plain arrays, is damaged, or holds or claims more than the limits.
    """
    try:
        _check_directory(data, most_members)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_members(infos, most_bytes, deflated)
            return {info.filename.removesuffix(".npy"): _array(_content(archive, info), info) for info in infos}
    except MemoryError as exc:
        raise InvalidValueError("there is not enough memory for it", "no_memory") from exc
    except InvalidValueError:
        raise
    except Exception as exc:  # on damaged files zipfile, zlib and NumPy raise far more than they document
        words = " ".join(str(exc).split())[:_LONGEST_REASON]  # NumPy quotes whole headers
        raise InvalidValueError(words.rstrip(".") or type(exc).__name__, "damaged_archive") from exc


class Form(NamedTuple):
    """The form that an array must have.

    Attributes:
        dtype: A floating-point type accepts any plain numbers; text may have any length; a single whole number may be
            narrower, as 32-bit machines write it; an array of whole numbers has exactly this type.
        ndim: Number of dimensions; 0 for a scalar.
        exact: Whether a floating-point type accepts this type alone.
    """

    dtype: type[np.generic]
    ndim: int
    exact: bool = False


def typed_arrays(
    data: bytes, most_bytes: int, forms: Mapping[str, Form], *together: Mapping[str, Form]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive that are named here, each in its form; further arrays are ignored.

    Args:
        data: The archive.
        most_bytes: Limit of all arrays together.
        forms: Forms of the arrays that must be there, by name.
        together: Sets of forms of arrays of which either all or none are there, by name.

    Raises:
        InvalidValueError: If it is not an archive of plain arrays, exceeds the limit, or lacks an array of its form.
    """
    arrays = read_arrays(data, most_bytes)
    there = [each for each in together if any(name in arrays for name in each)]
    wanted = {name: form for each in (forms, *there) for name, form in each.items()}
    return {name: _of_form(name, arrays.get(name), form) for name, form in wanted.items()}


def archive_of(**arrays: Any) -> bytes:
    """Return the bytes of an archive of arrays; the same values give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _of_form(name: str, array: NDArray[Any] | None, form: Form) -> NDArray[Any]:
    if array is None:
        raise InvalidValueError(f"it has no array {name}", "missing_array", array=name)
    got, wanted = array.dtype, np.dtype(form.dtype)
    if not form.exact and wanted.kind == "f" and got.kind not in "fiu":
        raise InvalidValueError(f"{name} holds no plain numbers, but {got}", "no_numbers", array=name, got=got)
    if not _is_taken(array, form):
        words = f"{name} has the type {got}, expected {wanted}"
        raise InvalidValueError(words, "wrong_dtype", array=name, expected=wanted, got=got)
    if array.ndim != form.ndim:
        words = f"{name} has {array.ndim} dimensions, expected {form.ndim}"
        raise InvalidValueError(words, "wrong_ndim", array=name, expected=form.ndim, got=array.ndim)
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
    """Refuse a large directory, which `zipfile` would read into memory before anything can be checked."""
    at = data.rfind(b"PK\5\6", max(0, len(data) - _END.size - _LONGEST_COMMENT))
    if at < 0 or len(data) - at < _END.size:
        raise InvalidValueError("it is not a zip file, or it is cut short", "not_a_zip")
    _, _, _, here, total, size, _, _ = _END.unpack_from(data, at)
    has_64_bits = data[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(b"PK\6\7")
    if max(here, total) > most_members or size > most_members * _ENTRY_BYTES or has_64_bits:
        words = f"it holds more than {most_members} members, which is the limit"
        raise InvalidValueError(words, "too_many_members", limit=most_members)


def _check_members(infos: list[zipfile.ZipInfo], most_bytes: int, deflated: bool) -> None:
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if deflated else (zipfile.ZIP_STORED,)
    names = [info.filename.removesuffix(".npy") for info in infos]
    if len(set(names)) < len(names):
        raise InvalidValueError("two of its members have the same name", "duplicate_member")
    for info in infos:
        if info.compress_type not in kinds:
            words = f"{reprlib.repr(info.filename)} is compressed in a way that is not read"
            raise InvalidValueError(words, "compression", member=info.filename)
    total = sum(info.file_size for info in infos)
    if total > most_bytes:
        words = f"its arrays take {total} bytes; the limit is {most_bytes}"
        raise InvalidValueError(words, "arrays_too_large", got=total, limit=most_bytes)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(info.file_size + 1)  # read() without a limit would unpack everything, whatever was declared


def _array(content: bytes, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Return the array in a member whose header claims exactly the bytes that follow it."""
    stream = io.BytesIO(content)
    header = _HEADERS.get(np.lib.format.read_magic(stream))
    if header is None:
        raise _bad_member(info, "it has a later version of NumPy's format", "format_version")
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise _bad_member(info, "it holds Python objects, and loading them would run code", "objects")
    if dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise _bad_member(info, "it is not an array of plain values", "not_plain")
    claimed, there = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if claimed != there:
        raise _bad_member(info, f"it claims {claimed} bytes and holds {there}", "wrong_size")
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _bad_member(info: zipfile.ZipInfo, words: str, problem: str) -> InvalidValueError:
    return InvalidValueError(f"{reprlib.repr(info.filename)}: {words}", problem, member=info.filename)
