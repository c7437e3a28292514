"""The arrays of a file: where each stands, and what is stated around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from drsn_edge.recordings.metadata import MetadataValue
from drsn_edge.recordings.raw import Request
from drsn_edge.recordings.readers.columns import dimensions, length_of
from drsn_edge.recordings.readers.surroundings import unit_in
from drsn_edge.recordings.readers.variables import Group, Items, Leaf, Node, Notes, n_values, stated_in
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.names import Name, is_acceleration, name_of

LONGEST_SHOWN = 60
_BESIDE = re.compile(
    r"x|x_?(?:values|data|axis)|time|abscissa|info|meta(?:_?data)?|param(?:eter)?s?|settings|config|header|attributes|"
    r"properties|acquisition",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class File:
    """A file's variables and how they are asked for.

    Attributes:
        root: The tree.
        path: The file.
        request: How the file is to be read.
        expected: The format in words, for errors: "a MATLAB 5 file".
        separator: What stands between names in a path: a point in MATLAB's words, a slash in HDF5's.
        most_dimensions: 3 if the first of three dimensions counts captures; 2 if arrays of three are no samples.
    """

    root: Group
    path: Path
    request: Request
    expected: str
    separator: str = "."
    most_dimensions: int = 3


@dataclass(frozen=True)
class Scope:
    """A group around arrays, whose numbers and texts are looked at once for all of them."""

    group: Group

    @cached_property
    def stated(self) -> Notes:
        """Numbers and texts of the group."""
        return stated_in(self.group)

    @cached_property
    def beside(self) -> Notes:
        """What groups in it state that are named for that, such as `x_values` and `parameters`."""
        beside: dict[str, MetadataValue] = {}
        for name, child in self.group.children.items():
            if isinstance(child, Group) and _BESIDE.fullmatch(name):
                beside.update(stated_in(child))
        return beside


@dataclass(frozen=True)
class Found:
    """An array that may hold samples, and where it stands.

    Attributes:
        path: Its path.
        name: Its name; that of the list for an element of a list.
        parent: Path of the group, or of the element of a list, that holds it.
        leaf: The array.
        scopes: The groups around it, the nearest first.
    """

    path: str
    name: str
    parent: str
    leaf: Leaf
    scopes: tuple[Scope, ...]

    @cached_property
    def spoken(self) -> Name:
        """Name and unit, as far as the name or a note states them."""
        return name_of(self.name, unit_in([self.leaf.notes]) or "")

    @property
    def axis(self) -> str:
        """The name of the axis: the array's name without a unit of acceleration at its end."""
        return self.spoken.text if is_acceleration(self.spoken.unit) else self.name

    @property
    def shown(self) -> str:
        """The array's path, as messages show it."""
        return printable(self.path, LONGEST_SHOWN)

    @cached_property
    def length(self) -> int:
        """Length of the longest dimension, or of the longer one of a capture."""
        return length_of(self.leaf.shape)

    @property
    def is_flat(self) -> bool:
        """Whether it has one dimension and no captures."""
        captures, others = dimensions(self.leaf.shape)
        return captures is None and len(others) == 1


def opened_root(root: Group, path: Path) -> Group:
    """Return what lies in the only variable if it is a group named like the file, as in Paderborn's files.

    A path then serves for all files. A name that begins with the file's own still leads there.
    """
    only = root.children.get(path.stem)
    return only if len(root.children) == 1 and isinstance(only, Group) else root


def arrays_of(file: File) -> list[Found]:
    """Return the arrays of a file that may be samples or their times, in the order of the file."""
    return [each for each in _arrays(file.root, "", "", "", (), file.separator) if _can_be_samples(each.leaf, file)]


def _arrays(
    node: Node, path: str, name: str, parent: str, scopes: tuple[Scope, ...], separator: str
) -> Iterator[Found]:
    if isinstance(node, Leaf):
        yield Found(path, name, parent, node, scopes)
    elif isinstance(node, Group):
        around = (Scope(node), *scopes)
        for key, child in node.children.items():
            yield from _arrays(child, f"{path}{separator}{key}" if path else key, key, path, around, separator)
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            at = f"{path}[{index}]"
            yield from _arrays(item, at, name, at, scopes, separator)


def _can_be_samples(leaf: Leaf, file: File) -> bool:
    """Tell whether an array is real numbers of at most two dimensions beside captures and beside those of one value."""
    if leaf.dtype.kind not in "iuf" or n_values(leaf) <= 1:
        return False
    captures, others = dimensions(leaf.shape)
    return len(others) <= 2 and (captures is None or file.most_dimensions == 3)
