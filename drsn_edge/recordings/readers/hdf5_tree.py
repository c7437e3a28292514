"""An HDF5 file as a tree of variables: what is safe to read of it, and MATLAB 7.3's and pandas' customs.

The library of the HDF Group parses the file. What could make it read other files, load code, take far more memory than
the data have, or never return is left out before any data are read: links but hard ones, virtual datasets, external
storage, filters other than deflate, LZF, shuffle and Fletcher's checksum, and values of variable length other than
short texts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.metadata import MetadataValue
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, opened, reading
from drsn_edge.recordings.readers.variables import (
    MOST_DEPTH,
    MOST_NODES,
    Closed,
    Group,
    Items,
    Leaf,
    Node,
    Notes,
    Texts,
    leaf_of,
    n_values,
)
from drsn_edge.support.invalid import InvalidValueError
from drsn_edge.support.memory_limit import at_most

EXPECTED = "a complete HDF5 file"

_DEFLATE, _SHUFFLE, _FLETCHER, _LZF = 1, 2, 3, 32000
_FILTERS = frozenset((_DEFLATE, _SHUFFLE, _FLETCHER, _LZF))
_MOST_INFLATED = 1032
"""Bytes that one byte of a deflated stream becomes at most."""
_SMALL = 256
"""Most values that are read while the tree is made: texts, limits, names."""
_MOST_FOR_TREE = 256 << 20
"""Memory that names, texts and attributes may take, in bytes."""
_LIBRARY_BYTES = 64 << 20
_ROOM = 4
"""A block is in memory packed, unpacked and unshuffled, and what is taken of it is converted."""
_MOST_ATTRIBUTES = 64
_LONGEST_TEXT = 4096
_PRIVATE = re.compile(
    r"CLASS|VERSION|TITLE|NAME|FLAVOR|NROWS|FIELD_.*|DIMENSION_.*|REFERENCE_LIST|MATLAB_.*|H5PATH|pandas_.*|"
    r"PYTABLES_.*|encoding|errors|ndim|nblocks|.*_variety|index_class|kind|name|freq|tz|transposed|_.*"
)


@dataclass
class Tree:
    """Makes the tree of one open file.

    Attributes:
        h5py: The package.
        path: The file.
        memory_bytes: Most memory that one block of the file may take.
        is_matlab: Whether MATLAB wrote the file: its arrays are transposed.
    """

    h5py: Any
    path: Path
    memory_bytes: int
    is_matlab: bool
    _nodes: int = 0
    _seen: set[int] = field(default_factory=set)

    def group(self, group: Any, depth: int = 0) -> Node:
        """Return a group: a struct, an array of structs, or whatever lies in it."""
        self._count(depth)
        children: dict[str, Node] = {}
        for name in group:
            if self.is_matlab and name.startswith("#"):  # MATLAB's own: what references lead to, and its objects
                continue
            if len(children) >= MOST_NODES:
                break
            link = group.get(name, getlink=True)
            is_hard = isinstance(link, self.h5py.HardLink)
            children[name] = self.node(group[name], depth + 1) if is_hard else Closed("a link, which is not followed")
        notes = self._notes(group)
        if self.is_matlab and children and all(isinstance(child, _Elements) for child in children.values()):
            return _transposed_structs(children)
        return Group(_with_block_names({name: _plain(child) for name, child in children.items()}), notes)

    def node(self, found: Any, depth: int) -> Node:
        """Return a group or a dataset; what was met before is not entered again."""
        key = self.h5py.h5o.get_info(found.id).addr
        if key in self._seen:
            return Closed("the same as another")
        self._seen.add(key)
        if isinstance(found, self.h5py.Group):
            return self.group(found, depth)
        if isinstance(found, self.h5py.Dataset):
            self._count(depth)
            return self._dataset(found, depth)
        return Closed("a type")

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES or depth > MOST_DEPTH:
            words = f"more than {MOST_NODES} variables and fields, or more than {MOST_DEPTH} inside each other"
            raise InvalidValueError(words, "too_many_variables", most=MOST_NODES, most_depth=MOST_DEPTH)

    def _dataset(self, dataset: Any, depth: int) -> Node:
        notes, kind = self._notes(dataset), self._matlab_class(dataset)
        why = self._why_closed(dataset, kind)
        if why:
            return Closed(why)
        if "MATLAB_empty" in dataset.attrs:
            return Texts(("",)) if kind == "char" else leaf_of(np.empty((0, 0)))
        if self.h5py.check_ref_dtype(dataset.dtype) is self.h5py.Reference:
            return self._references(dataset, kind, depth)
        if self.h5py.check_string_dtype(dataset.dtype) is not None:
            return _texts(dataset)
        if kind == "char":
            return _matlab_text(dataset)
        if dataset.dtype.names:
            return self._table(dataset, notes)
        return self._array(dataset, None, notes, kind)

    def _matlab_class(self, dataset: Any) -> str:
        text = self._attribute(dataset, "MATLAB_class") if "MATLAB_class" in dataset.attrs else None
        return text if isinstance(text, str) else ""

    def _why_closed(self, dataset: Any, kind: str) -> str:
        """Return why a dataset is not read; empty if it is."""
        if kind in ("function_handle", "opaque") or "MATLAB_object_decode" in dataset.attrs:
            return "an object that only MATLAB reads"
        if "MATLAB_sparse" in dataset.attrs:
            return "a sparse matrix"
        if dataset.shape is None:
            return "nothing"
        size = dataset.size * dataset.dtype.itemsize
        if size > MAX_RECORDING_BYTES:
            return f"{size / 1e9:.3g} GB, more than the limit"
        return why_unsafe(self.h5py, dataset, self.memory_bytes)

    def _references(self, dataset: Any, kind: str, depth: int) -> Node:
        """Return what references inside the file lead to; those of a cell array, or of one field of many structs."""
        if dataset.size > MOST_NODES:
            return Closed(f"{dataset.size} references")
        items = []
        for reference in np.ravel(dataset[()]):
            found = dataset.file[reference] if reference else None
            items.append(Closed("nothing") if found is None else self.node(found, depth + 1))
        return Items(tuple(items)) if kind == "cell" or not self.is_matlab else _Elements(tuple(items))

    def _table(self, dataset: Any, notes: Notes) -> Node:
        """Return the columns of a table by name."""
        fields: Mapping[str, Any] = dataset.dtype.fields
        plain = {name: each[0].base.kind in "biuf" for name, each in fields.items()}
        return Group(
            {
                name: self._array(dataset, name, notes, "") if plain[name] else Closed("text")
                for name in list(fields)[:MOST_NODES]
            }
        )

    def _array(self, dataset: Any, column: str | None, notes: Notes, kind: str) -> Node:
        dtype = dataset.dtype if column is None else dataset.dtype.fields[column][0]
        shape = (*dataset.shape, *dtype.shape)
        if dtype.base.kind not in "biufc":
            return Closed(f"values of the type {dtype}")
        is_turned = self.is_matlab
        place = Place(self.h5py, self.path, dataset.name, column, is_turned, self.memory_bytes)
        chunks = (*(dataset.chunks or ()), *(dtype.shape if dataset.chunks else ()))
        wanted = np.dtype("?") if kind == "logical" else dtype.base
        order = slice(None, None, -1 if is_turned else 1)
        leaf = Leaf(shape[order], wanted, place.opened, notes, chunks[order])
        if 0 < n_values(leaf) <= _SMALL:
            values = (dataset if column is None else dataset.fields(column))[()]
            return leaf_of(np.asarray(values.T if is_turned else values, wanted), notes)
        return leaf if dataset.name else Closed("an array without a name")

    def _notes(self, found: Any) -> Notes:
        """Return the numbers and texts among the attributes, without those of programs."""
        notes: dict[str, MetadataValue] = {}
        for name in list(found.attrs)[:_MOST_ATTRIBUTES]:
            value = None if _PRIVATE.fullmatch(name) else self._attribute(found, name)
            if value is not None:
                notes[name] = value
        kind = self._attribute(found, "kind") if "kind" in found.attrs else None
        if isinstance(kind, str) and kind.startswith("datetime64"):  # pandas counts nanoseconds
            notes["unit"] = "ns"
        return notes

    def _attribute(self, found: Any, name: str) -> MetadataValue | None:
        """Return a small attribute; the shape is looked at first, because a damaged one may claim any number."""
        attribute = found.attrs.get_id(name)
        if attribute.shape is None or int(np.prod(attribute.shape, dtype=object)) > _SMALL:
            return None
        text = self.h5py.check_string_dtype(attribute.dtype)
        if text is None and attribute.dtype.kind not in "biuf":
            return None
        return _value(np.asarray(found.attrs[name]))


@dataclass(frozen=True)
class _Elements(Items):
    """References without a class: one field of an array of structs, in MATLAB's files."""


@dataclass(frozen=True)
class Place:
    """Where an array lies, to be opened again when its samples are asked for."""

    h5py: Any
    path: Path
    name: str
    column: str | None
    is_turned: bool
    memory_bytes: int

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open the file and give the array."""
        with open_hdf5(self.h5py, self.path) as file:
            dataset = file[self.name]
            why = why_unsafe(self.h5py, dataset, self.memory_bytes)
            if why:
                raise InvalidValueError(f"{self.name} is {why}", "unsafe")
            _check_chunks(dataset, self.memory_bytes)
            values = _Bounded(dataset, self.column)
            yield _Turned(values) if self.is_turned else values


class _Bounded:
    """An array whose blocks may not swell: the library gives a deflated block all memory that it asks for."""

    def __init__(self, dataset: Any, column: str | None) -> None:
        self._values = dataset if column is None else dataset.fields(column)
        self._shape, self._item_bytes = dataset.shape, dataset.dtype.itemsize
        self._block_bytes = int(np.prod(dataset.chunks or (0,), dtype=object)) * self._item_bytes

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) and Ellipsis not in key else (slice(None),) * len(self._shape)
        taken = [
            len(range(*k.indices(n))) if isinstance(k, slice) else 1 for k, n in zip(keys, self._shape, strict=False)
        ]
        wanted = int(np.prod(taken, dtype=object)) * self._item_bytes
        with at_most(_ROOM * (self._block_bytes + wanted) + _LIBRARY_BYTES):
            return np.asarray(self._values[key])


class _Turned:
    """An array as MATLAB shows it: HDF5 lists the dimensions in the opposite order."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        found: NDArray[Any] = np.asarray(self._values[keys[::-1] if Ellipsis not in keys else ...])
        return found.T


def tree_of(h5py: Any, path: Path, memory_bytes: int, is_matlab: bool) -> Node:
    """Return the tree of a file; see `Tree`.

    Raises:
        RecordingError: If the file is damaged, or asks for memory that it has no use for: the library takes what a text
            states as its length.
    """
    with opened(path) as file, reading(path, EXPECTED), at_most(_MOST_FOR_TREE), h5py.File(file, "r") as found:
        return Tree(h5py, path, memory_bytes, is_matlab).group(found)


@contextmanager
def open_hdf5(h5py: Any, path: Path) -> Iterator[Any]:
    """Open a file for reading; only regular files are opened."""
    with opened(path) as file, reading(path, EXPECTED), h5py.File(file, "r") as found:
        yield found


def why_unsafe(h5py: Any, dataset: Any, memory_bytes: int) -> str:
    """Return why no data of a dataset are read; empty if they are."""
    if dataset.is_virtual or dataset.external:
        return "data in another file"
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    unknown = [code for code in filters if code not in _FILTERS]
    if unknown or len(set(filters)) < len(filters):
        return f"compressed by filter {unknown[0]}, which is not used" if unknown else "compressed several times"
    if h5py.check_vlen_dtype(dataset.dtype) is not None or (dataset.dtype.kind == "V" and not dataset.dtype.names):
        return "values of variable length"
    if dataset.chunks and 2 * int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize > memory_bytes:
        return "stored in blocks that take more memory than allowed"
    if dataset.chunks and _has_impossible_block(dataset):
        return "stored in blocks of impossible sizes"
    stored = dataset.id.get_storage_size()
    if dataset.size * dataset.dtype.itemsize > _MOST_INFLATED * stored:
        return "mostly never written" if stored else "never written"
    return ""


def _has_impossible_block(dataset: Any) -> bool:
    """Tell whether a block has no bytes, or more than the file: HDF5's checksum filter then ends the process."""
    most, wrong = dataset.file.id.get_filesize(), []

    def look_at(chunk: Any) -> None:
        if not 0 < chunk.size <= most:
            wrong.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look_at)
    return bool(wrong)


def _check_chunks(dataset: Any, memory_bytes: int) -> None:
    """Refuse a block of the file that would swell: the library gives a deflated block all memory that it asks for."""
    plist = dataset.id.get_create_plist()
    if dataset.chunks is None or _DEFLATE not in [plist.get_filter(n)[0] for n in range(plist.get_nfilters())]:
        return
    expected = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    large: list[tuple[int, ...]] = []

    def look_at(chunk: Any) -> None:
        if chunk.size * _MOST_INFLATED > memory_bytes:
            large.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look_at)
    for offset in large:
        mask, stored = dataset.id.read_direct_chunk(offset)
        is_deflated = not mask & 1 << [plist.get_filter(n)[0] for n in range(plist.get_nfilters())].index(_DEFLATE)
        if is_deflated and _swells(stored, expected):
            raise InvalidValueError("a compressed block is larger than it may be", "swells", limit=expected)


def _swells(stored: bytes, expected: int) -> bool:
    unpacking = zlib.decompressobj()
    found = len(unpacking.decompress(stored, expected + 1))
    return found > expected


def _plain(node: Node) -> Node:
    return Items(node.items) if isinstance(node, _Elements) else node


def _transposed_structs(children: Mapping[str, Node]) -> Node:
    """Return an array of structs from one list of values for each field."""
    lists = {name: child.items for name, child in children.items() if isinstance(child, Items)}
    count = min(len(items) for items in lists.values())
    return Items(tuple(Group({name: items[at] for name, items in lists.items()}) for at in range(count)))


def _with_block_names(children: Mapping[str, Node]) -> dict[str, Node]:
    """Give pandas' blocks the names of their columns: `block0_values` has those in `block0_items`."""
    named = dict(children)
    for name, child in children.items():
        items = children.get(name.removesuffix("_values") + "_items")
        if name.endswith("_values") and isinstance(child, Leaf) and isinstance(items, Texts):
            named[name] = replace(child, notes={**child.notes, "columns": items.values})
    return named


def _texts(dataset: Any) -> Node:
    is_long = dataset.dtype.kind == "S" and dataset.dtype.itemsize > _LONGEST_TEXT
    if dataset.size > _SMALL or is_long:
        return Closed("text")
    value = _value(np.asarray(dataset[()]))
    return Texts(value if isinstance(value, tuple) else (str(value),))


def _matlab_text(dataset: Any) -> Node:
    if dataset.size > _LONGEST_TEXT:
        return Closed("text")
    rows = np.atleast_2d(np.asarray(dataset[()]).T).astype(np.uint16)
    return Texts(tuple(bytes(row.astype("<u2")).decode("utf-16-le", "replace").rstrip() for row in rows))


def _value(values: NDArray[Any]) -> MetadataValue | None:
    """Return the plain value of an attribute: a number, a text, or several texts."""
    flat = [_decoded(each) for each in values.reshape(-1).tolist()]
    if len(flat) == 1 and isinstance(flat[0], (str, int, float)):
        return flat[0]
    return tuple(flat) if flat and all(isinstance(each, str) for each in flat) else None


def _decoded(value: object) -> Any:
    return value.decode("utf-8", "replace").rstrip("\0") if isinstance(value, bytes) else value
