"""Which of the user's catalogues count for a file: those around it, the nearest last.

Below the folder that a command names, the catalogues of all folders around a file count, and the nearest wins key by
key. If there is none, the nearest catalogue above the named folder counts. A catalogue that the user names replaces
them all.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import CATALOGUE_NAME, Catalogue, Entry, read_catalogue
from drsn_edge.recordings.loading.catalogue_csv import CSV_CATALOGUE_NAME, read_csv_catalogue

NAMES = (CATALOGUE_NAME, CSV_CATALOGUE_NAME)

_MOST_LEVELS_ABOVE = 3

KnownAs = tuple[Catalogue, str]
"""A catalogue, and the path by which it knows a file."""


class Catalogues:
    """The catalogues for the files of one folder; each is read once."""

    def __init__(self, top: Path, named: Path | None, *, is_searched: bool = True) -> None:
        """Prepare.

        Args:
            top: Folder that the command names, or that holds the file that it names.
            named: Catalogue that the user names.
            is_searched: Whether the command names the folder; paths in a catalogue that the user names are then below
                that folder, else below the catalogue's.

        Raises:
            RecordingError: If the named catalogue cannot be read.
        """
        self._top = top
        self._base = top if is_searched or named is None else Path(os.path.realpath(named.parent))
        self._named = None if named is None else read_any(named)
        self._read: dict[Path, Catalogue | None] = {}
        self._used: set[int] = set()
        beside = None if named is not None else _beside(top)
        self.above = _above(top) if named is None and beside is None else None
        self.advised = named or beside or self.above or top / CATALOGUE_NAME

    def for_file(self, path: Path) -> tuple[KnownAs, ...]:
        """Return the catalogues for a file in order of rising precedence, and take note of the entries that name it.

        Raises:
            RecordingError: If one cannot be read.
        """
        found = self._for_file(path)
        self._used.update(id(entry) for each, name in found for entry in each.entries_naming(name))
        return found

    def unmatched(self) -> list[Entry]:
        """Return the entries of catalogues of the searched folder, or of the named one, that named no file so far."""
        above = None if self.above is None else self.above.parent
        read = [each for folder, each in self._read.items() if each is not None and folder != above]
        entries = (entry for each in (*read, *filter(None, [self._named])) for entry in each.entries)
        return [entry for entry in entries if entry.globs and id(entry) not in self._used]

    def _for_file(self, path: Path) -> tuple[KnownAs, ...]:
        if self._named is not None:
            return (
                (self._named, _below(path, self._base) if self._base == self._top else _below_real(path, self._base)),
            )
        folders = [path.parent, *path.parent.parents]
        folders = folders[: folders.index(self._top) + 1] if self._top in folders else [path.parent]
        found = [(each, folder) for folder in reversed(folders) if (each := self._of(folder)) is not None]
        if not found and self.above is not None:
            each = self._of(self.above.parent)
            return () if each is None else ((each, _below_real(path, self.above.parent)),)
        return tuple((each, _below(path, folder)) for each, folder in found)

    def _of(self, folder: Path) -> Catalogue | None:
        if folder not in self._read:
            path = _beside(folder)
            self._read[folder] = None if path is None else read_any(path)
        return self._read[folder]


def read_any(path: Path) -> Catalogue:
    """Read a catalogue of either kind; raises RecordingError as their readers do."""
    return read_csv_catalogue(path) if path.suffix.lower() == ".csv" else read_catalogue(path)


def _beside(folder: Path) -> Path | None:
    """Return the folder's catalogue, None if it has none."""
    toml, table = (folder / name for name in NAMES)
    if os.path.lexists(toml) and os.path.lexists(table):
        words = f"{folder} has two catalogues, {toml.name} and {table.name}. Remove one."
        raise RecordingError(words, "two_catalogues", path=folder)
    return next((path for path in (toml, table) if os.path.lexists(path)), None)


def _above(top: Path) -> Path | None:
    """Return the nearest catalogue in the folders above, up to one that everybody may write, such as /tmp."""
    real = Path(os.path.realpath(top))
    for folder in real.parents[:_MOST_LEVELS_ABOVE]:
        try:
            if folder.stat().st_mode & stat.S_IWOTH:
                return None
        except OSError:
            return None
        found = _beside(folder)
        if found is not None:
            return found
    return None


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if folder in path.parents else path.name


def _below_real(path: Path, folder: Path) -> str:
    return _below(Path(os.path.realpath(path.parent)) / path.name, folder)
