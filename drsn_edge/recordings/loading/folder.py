"""The files of a folder and its sub-folders: each once, in order, within bounds. Nothing is opened."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import unreadable
from firmware_bridge.support.shown import printable

MOST_LEVELS = 16
"""Most folders inside each other below the one that is searched."""
MOST_ENTRIES = 500_000
"""Most files and folders in the one that is searched, together."""

_OF_THE_SYSTEM = frozenset({"lost+found", "System Volume Information", "$RECYCLE.BIN", "__MACOSX", "@eaDir"})
_MOST_KINDS = 5
_LONGEST_NAME = 60
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9_]{0,11}")

_Identity = tuple[int, int]
"""Device and number of a folder on it."""
_Place = tuple[Path, tuple[_Identity, ...]]
"""A path, and the folders around it."""


@dataclass
class Listing:
    """What a folder holds.

    Attributes:
        folder: The folder that was searched.
        files: Regular files, each once, sorted by folder and stem.
        others: What is neither a file nor a folder: pipes, devices, sockets, links that lead nowhere.
        repeated: Files and folders that a link leads to once more.
    """

    folder: Path
    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    repeated: list[Path] = field(default_factory=list)


def list_folder(folder: Path) -> Listing:
    """Return the files of a folder and of its sub-folders; hidden files and folders are left out.

    Links to files and folders are followed. What is reached twice is taken once, under its own name where it has one
    in the folder.

    Raises:
        RecordingError: If a folder cannot be read, a link leads back to a folder around it, or there are more than
            `MOST_LEVELS` levels or `MOST_ENTRIES` entries.
    """
    listing = Listing(folder)
    _Search(listing).run()
    listing.files.sort(key=lambda path: (path.parent.parts, path.stem, path.name))
    return listing


class _Search:
    """One search: folders first, then the links, so that a file keeps its own name."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._folders: set[_Identity] = set()
        self._files: set[str] = set()  # without links: overlay file systems give numbers of files twice
        self._entries = 0

    def run(self) -> None:
        waiting: list[_Place] = [(self._listing.folder, ())]
        links: deque[_Place] = deque()
        while waiting or links:
            if waiting:
                self._search(*waiting.pop(), waiting, links)
            else:
                path, above = links.popleft()
                if self._follow(path, above):
                    waiting.append((path, above))

    def _search(self, path: Path, above: tuple[_Identity, ...], waiting: list[_Place], links: deque[_Place]) -> None:
        identity, entries = self._opened(path, len(above))
        real = os.path.realpath(path)
        for entry in entries:
            child = path / entry.name
            if entry.is_symlink():
                links.append((child, (*above, identity)))
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((child, (*above, identity)))
            elif entry.is_file(follow_symlinks=False):
                self._take(child, os.path.join(real, entry.name))
            else:
                self._listing.others.append(child)

    def _opened(self, path: Path, level: int) -> tuple[_Identity, list[os.DirEntry[str]]]:
        """Return a folder's identity and what it holds; nothing if it was searched before."""
        try:
            found = path.stat()
            identity = (found.st_dev, found.st_ino)
            if identity in self._folders:
                return identity, []
            self._folders.add(identity)
            with os.scandir(path) as entries:
                shown = [each for each in entries if each.name[0] != "." and each.name not in _OF_THE_SYSTEM]
        except (OSError, ValueError) as exc:
            raise unreadable(path, exc) from exc
        if level > MOST_LEVELS:
            raise _too_deep(self._listing.folder, path)
        self._entries += len(shown)
        if self._entries > MOST_ENTRIES:
            raise _too_many(self._listing.folder)
        return identity, sorted(shown, key=lambda entry: entry.name)

    def _take(self, path: Path, real: str) -> None:
        if real in self._files:
            self._listing.repeated.append(path)
        else:
            self._files.add(real)
            self._listing.files.append(path)

    def _follow(self, path: Path, above: Sequence[_Identity]) -> bool:
        """Take the file that a link leads to, or tell that it leads to a folder that is still to be searched."""
        try:
            found = path.stat()
        except (OSError, ValueError):  # it leads nowhere, or to itself
            self._listing.others.append(path)
            return False
        identity = (found.st_dev, found.st_ino)
        if stat.S_ISREG(found.st_mode):
            self._take(path, os.path.realpath(path))
        elif not stat.S_ISDIR(found.st_mode):
            self._listing.others.append(path)
        elif identity in above:
            words = f"{_shown(path)} is a link to a folder that holds it, so that a search would never end."
            raise RecordingError(f"{words} Remove the link.", "link_circle", path=path)
        elif identity in self._folders:
            self._listing.repeated.append(path)
        else:
            return True
        return False


def _too_deep(folder: Path, path: Path) -> RecordingError:
    words = f"{_shown(folder)} has more than {MOST_LEVELS} folders inside each other, such as {_shown(path)}."
    words = f"{words} Name a folder further down."
    return RecordingError(words, "too_deep", path=folder, limit=MOST_LEVELS)


def _too_many(folder: Path) -> RecordingError:
    words = f"{_shown(folder)} holds more than {MOST_ENTRIES} files. Name a folder with fewer."
    return RecordingError(words, "too_many_files", path=folder, limit=MOST_ENTRIES)


def kinds_of(paths: Sequence[Path]) -> str:
    """Return what files there are in few words: `readme.txt, 2 of .jpg`. A suffix has a letter after its point."""
    kinds: dict[str, list[str]] = {}
    for path in sorted(paths):
        suffix = path.suffix.lower()
        kinds.setdefault(suffix if _SUFFIX.fullmatch(suffix) else "", []).append(path.name)
    counts = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    shown = [_kind(suffix, names) for suffix, names in counts[:_MOST_KINDS]]
    left = sum(len(names) for _, names in counts[_MOST_KINDS:])
    return ", ".join([*shown, *([f"{left} others"] if left else [])])


def _kind(suffix: str, names: list[str]) -> str:
    first = printable(names[0], _LONGEST_NAME)
    if len(names) == 1:
        return first
    return f"{len(names)} of {suffix}" if suffix else f"{len(names)} without a suffix such as {first}"


def _shown(path: Path) -> str:
    return printable(path, 200)
