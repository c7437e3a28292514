"""Files to look at: those that `train` would read, and those that it would pass over but that look like recordings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.looking.layouts import layout_of
from drsn_edge.recordings.loading.catalogues import NAMES, Catalogues
from drsn_edge.recordings.loading.complete import Source
from drsn_edge.recordings.loading.folder import Listing, kinds_of, list_folder
from drsn_edge.recordings.loading.report import Report
from drsn_edge.recordings.loading.sources import (
    ON_REQUEST,
    is_index_file,
    says_what_it_is,
    source_of,
    unmatched_in_words,
    without_suffix,
)
from drsn_edge.recordings.metadata import Metadata
from drsn_edge.support.wording import counted
from firmware_bridge.support.regular_file import check_regular
from firmware_bridge.support.shown import printable

_BEGINNING = 4096
_NUMBERS = re.compile(
    rb"[-+]?[0-9]+[.,]?[0-9]*(?:[eE][-+]?[0-9]+)?(?:[,;\t ]+[-+]?[0-9]+[.,]?[0-9]*(?:[eE][-+]?[0-9]+)?)*[,;\t ]*"
)
_LEAST_LINES = 8
_SPREADSHEETS = frozenset((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"))
_LEAST_SHARE = 0.7
"""Share of the lines at the beginning of a file that must be numbers alone, for it to be taken as a table."""


@dataclass(frozen=True)
class Find:
    """A file to look at.

    Attributes:
        path: Its path below the folder, with `/` between the parts; with several folders, the folder's name first.
        source: The file with its catalogues.
        read_with: Guessed keys without which it is not read, such as its format.
        why: Where these guesses come from.
    """

    path: str
    source: Source
    read_with: Metadata
    why: str = ""


@dataclass(frozen=True)
class Found:
    """What is to be looked at, and what is not.

    Attributes:
        files: Files in order.
        passed_over: Sentences about files that are no recordings.
        other_paths: Paths of these files.
    """

    files: tuple[Find, ...]
    passed_over: tuple[str, ...]
    other_paths: tuple[str, ...]


def find(paths: Sequence[Path], catalogue: Path | None) -> Found:
    """Return the files to look at in files and folders.

    Raises:
        RecordingError: If a path leads nowhere, or a folder or a catalogue cannot be read.
    """
    files: list[Find] = []
    passed_over: list[str] = []
    others: list[str] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                words = f"There is no recording and no folder at {path}. Check the path."
                raise RecordingError(words, "missing", path=path)
            files.append(_named(path, catalogue))
            continue
        front = f"{path.name}/" if len(paths) > 1 else ""
        listing = list_folder(path)
        catalogues = Catalogues(path, catalogue)
        left = []
        for file in listing.files:
            if file.name not in NAMES and file != catalogue:
                taken = _take(file, path, front, catalogues)
                files += [] if taken is None else [taken]
                left += [file] if taken is None else []
        passed_over += [*_sentences(listing, left), *unmatched_in_words(catalogues)]
        others += [f"{front}{file.relative_to(path).as_posix()}" for file in left]
    return Found(tuple(sorted(files, key=_in_order)), tuple(passed_over), tuple(others))


def _in_order(each: Find) -> list[tuple[bool, int, str]]:
    """Order names as a person counts: 9.csv before 10.csv, folder by folder."""
    parts = re.findall(r"[0-9]{1,18}|/|[^0-9/]+", each.path)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _named(path: Path, catalogue: Path | None) -> Find:
    source = source_of(path, catalogue, Report())
    read_with, why = _steering(path.as_posix())
    return Find(path.name, source, read_with, why)


def _take(file: Path, folder: Path, front: str, catalogues: Catalogues) -> Find | None:
    """Return a file to look at; None for one that is no recording."""
    path = file.relative_to(folder).as_posix()
    known_as = catalogues.for_file(file)
    source = Source(file, without_suffix(path, file), known_as, catalogues.advised)
    read_with, why = _steering(file.as_posix())
    is_known = says_what_it_is(file) or any(each.names(name) for each, name in known_as)
    if is_known:
        return None if is_index_file(file) else Find(f"{front}{path}", source, read_with, why)
    if read_with:
        return Find(f"{front}{path}", source, read_with, why)
    if (file.suffix.lower() in ON_REQUEST or not _has_suffix(file)) and looks_like_table(file):
        return Find(f"{front}{path}", source, {"format": "table"}, "lines of numbers")
    return None


def _steering(path: str) -> tuple[Metadata, str]:
    layout = layout_of(path)
    match = None if layout is None else layout.path.search(path)
    return ({}, "") if layout is None or match is None else (layout.read_with(match), f"files of {layout.name}")


def _has_suffix(file: Path) -> bool:
    return re.fullmatch(r"\.[A-Za-z][A-Za-z0-9_]{0,11}", file.suffix) is not None


def looks_like_table(file: Path) -> bool:
    """Tell whether most lines at the beginning of a file are numbers."""
    try:
        check_regular(file)
        with file.open("rb") as opened:
            beginning = opened.read(_BEGINNING)
    except (OSError, ValueError):
        return False
    lines = [line.strip() for line in beginning.splitlines()[:-1] if line.strip()]
    numbers = sum(_NUMBERS.fullmatch(line) is not None for line in lines)
    return len(lines) >= _LEAST_LINES and numbers >= _LEAST_SHARE * len(lines)


def _sentences(listing: Listing, left: Sequence[Path]) -> Iterable[str]:
    others = [*left, *listing.others]
    where = printable(listing.folder, 60)
    if others:
        yield f"{counted(len(others), 'file')} in {where}: {kinds_of(others)}"
    sheets = [path for path in others if path.suffix.lower() in _SPREADSHEETS]
    if sheets:
        yield f"{counted(len(sheets), 'spreadsheet')} in {where}: save each sheet as CSV to have it read"
    if listing.repeated:
        yield f"links in {where} to what was read already: {kinds_of(listing.repeated)}"
