"""A file's variables as a tree of named arrays, whatever the format: what a path leads to, and how a list shows them.

MATLAB's structs, cell arrays and struct arrays, HDF5's groups and the keys of an `.npz` archive all become this tree;
`drsn_edge.recordings.readers.choice` finds the samples in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.recordings.metadata import MetadataValue
from firmware_bridge.support.shown import printable

MOST_NODES = 10_000
"""Most variables, fields and elements of one file; Paderborn's files have about 150."""
MOST_DEPTH = 16

_LONGEST_TEXT = 200
_SHOWN = 60
_MOST_SHOWN = 6

Notes = Mapping[str, MetadataValue]
"""Numbers and texts that stand beside an array, such as the attributes of an HDF5 dataset."""


@dataclass(frozen=True)
class Leaf:
    """An array of numbers, in memory or still in the file.

    Attributes:
        shape: Its shape as the file's own program shows it.
        dtype: Its type.
        opened: Gives, inside a `with` block, something that is sliced as an array and returns arrays.
        notes: What is stated for this array alone.
        block: Samples that are best read at once along each dimension, as the file stores them; empty if any are.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], AbstractContextManager[Any]]
    notes: Notes = field(default_factory=dict)
    block: tuple[int, ...] = ()


@dataclass(frozen=True)
class Texts:
    """One or several texts."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Closed:
    """Something that is not read; `what` says what it is."""

    what: str


@dataclass(frozen=True)
class Items:
    """The elements of a cell array or of an array of structs, in the order of the file."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Group:
    """A struct, a group, or the file itself: nodes by name."""

    children: Mapping[str, Node]
    notes: Notes = field(default_factory=dict)


Node = Leaf | Texts | Closed | Items | Group


def leaf_of(values: NDArray[Any], notes: Notes | None = None) -> Leaf:
    """Return a leaf of an array in memory."""
    return Leaf(values.shape, values.dtype, lambda: nullcontext(values), notes or {})


def plain_value(node: Node) -> MetadataValue | None:
    """Return the number, the truth value or the text that a node holds; several texts as a tuple; None for others."""
    if isinstance(node, Texts):
        short = tuple(text for text in node.values if len(text) <= _LONGEST_TEXT)
        return None if len(short) < len(node.values) or not short else short[0] if len(short) == 1 else short
    if isinstance(node, Items) and node.items and all(isinstance(item, Texts) for item in node.items):
        return plain_value(Texts(tuple(text for item in node.items for text in getattr(item, "values", ()))))
    if not isinstance(node, Leaf) or int(np.prod(node.shape, dtype=object)) != 1 or node.dtype.kind not in "biuf":
        return None
    with node.opened() as values:
        found: MetadataValue = np.asarray(values[...]).reshape(-1)[0].item()
    return found


def stated_in(group: Group) -> Notes:
    """Return the numbers and texts of a group by name: its notes, then its children."""
    values = {name: plain_value(child) for name, child in group.children.items()}
    return {**group.notes, **{name: value for name, value in values.items() if value is not None}}


_NAME_OF_ITEM = re.compile(r"name|channel|channel_?name|signal_?name", re.IGNORECASE)
_OF_RECORDINGS = re.compile(r"label|class|fault|condition|state|rpm|speed|load", re.IGNORECASE)
"""Fields of a whole recording: an array of structs with one holds recordings, not channels."""


def simplified(node: Node) -> Node:
    """Return the tree without arrays of one element, and with elements that bear a name under their name.

    Measuring programs write channels as an array of structs with the fields `Name` and `Data` and some more. Each is
    one array with that name; its other fields are the array's notes.
    """
    if isinstance(node, Group):
        return replace(node, children={name: simplified(child) for name, child in node.children.items()})
    if not isinstance(node, Items):
        return node
    items = [simplified(item) for item in node.items]
    if len(items) == 1:
        return items[0]
    named = [_named(item) for item in items]
    if not named or any(each is None for each in named) or not any(isinstance(each[1], Leaf) for each in named if each):
        return Items(tuple(items))
    children: dict[str, Node] = {}
    for name, found in (each for each in named if each is not None):
        children[name if name not in children else f"{name} {len(children)}"] = found
    return Group(children)


def _named(item: Node) -> tuple[str, Node] | None:
    """Return the name of a struct, and its one long array or the struct; None if it has no name or is a recording."""
    if not isinstance(item, Group) or any(_OF_RECORDINGS.fullmatch(key) for key in item.children):
        return None
    stated = stated_in(item)
    names = [value for key, value in stated.items() if _NAME_OF_ITEM.fullmatch(key) and isinstance(value, str)]
    long = [each for each in item.children.values() if isinstance(each, Leaf) and n_values(each) > 1]
    data = [each for name, each in item.children.items() if isinstance(each, Leaf) and name.lower() == "data"]
    arrays = data or long
    if not names:
        return None
    if len(arrays) != 1:
        return names[0], item
    return names[0], replace(arrays[0], notes={**stated, **arrays[0].notes})


def n_values(leaf: Leaf) -> int:
    """Return the number of values of an array."""
    return int(np.prod(leaf.shape, dtype=object))


def walk(node: Node, at: str, separator: str) -> Iterator[tuple[str, Node]]:
    """Yield the path of every node that is no group and no list, in the order of the file."""
    if isinstance(node, Group):
        for name, child in node.children.items():
            yield from walk(child, f"{at}{separator}{name}" if at else name, separator)
    elif isinstance(node, Items) and plain_value(node) is None:
        for index, item in enumerate(node.items):
            yield from walk(item, f"{at}[{index}]", separator)
    else:
        yield at, node


_INDEX = re.compile(r"\[([0-9]{1,6})\]|\(([0-9]{1,6})\)")


def found_at(node: Node, path: str) -> Node | None:
    """Return what a path leads to: names joined by `.` or `/`, elements as `[0]`; None if it leads nowhere."""
    rest = path.lstrip("./")
    if not rest:
        return node
    if isinstance(node, Leaf) and node.notes and rest.lower() == "data":  # a struct that became its array
        return node
    index = _INDEX.match(rest)
    if index and isinstance(node, (Items, Group)):
        number = int(index[1]) if index[1] else int(index[2]) - 1
        items = node.items if isinstance(node, Items) else tuple(node.children.values())
        return found_at(items[number], rest[index.end() :]) if 0 <= number < len(items) else None
    children = node.children if isinstance(node, Group) else {}
    for name in sorted(children, key=len, reverse=True):
        if rest == name or (rest.startswith(name) and rest[len(name)] in "./[("):
            found = found_at(children[name], rest[len(name) :])
            if found is not None:
                return found
    return None


def sizes(nodes: list[tuple[str, Node]], most: int = _MOST_SHOWN) -> str:
    """Return paths with what is there, for one line of an error: `bearing.gs (6000 x 1), note (text)`."""
    shown = [f"{printable(path, _SHOWN) or 'the array'} ({_kind(node)})" for path, node in nodes[:most]]
    more = [f"{len(nodes) - most} more"] if len(nodes) > most else []
    return ", ".join([*shown, *more]) or "nothing"


def _kind(node: Node) -> str:
    if isinstance(node, Leaf):
        kind = {"c": "complex ", "b": "true or false "}.get(node.dtype.kind, "")
        return kind + (" x ".join(map(str, node.shape)) or "one number")
    if isinstance(node, Closed):
        return printable(node.what, _SHOWN)
    return "text"
