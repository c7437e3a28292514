"""Files and folders that a user names in, the files to be read out, each with its catalogues and the name it gets."""

from __future__ import annotations

import glob
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import Entry
from drsn_edge.recordings.loading.catalogues import NAMES, Catalogues
from drsn_edge.recordings.loading.complete import Source
from drsn_edge.recordings.loading.folder import kinds_of, list_folder
from drsn_edge.recordings.loading.report import Report
from drsn_edge.recordings.readers.registry import FORMATS, SUFFIXES
from drsn_edge.recordings.readers.table_file import is_index
from drsn_edge.support.fields import is_label
from drsn_edge.support.notice import Notice
from drsn_edge.support.toml_file import quoted
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable

_HEALTHY_WORDS = {"healthy", "normal", "good", "ok", "baseline", "undamaged", "intact", "faultless", "nofault"}
_LONGEST_HEADER = 65536
_MOST_LABELS = 50
_MOST_UNMATCHED = 4
_LONGEST = 60
_START = 4
"""Characters that names of one series have in common at their start."""

ON_REQUEST: Mapping[str, str] = {suffix: name for name, each in FORMATS.items() for suffix in each.on_request}
"""The name of the format of each suffix that other files have as well."""

logger = logging.getLogger(__name__)


def sources_in(folder: Path, catalogue: Path | None, report: Report) -> list[Source]:
    """Return the files of a folder and its sub-folders that are recordings, sorted by name.

    A file is one if its suffix, its first bytes or a sidecar say so, or if an entry of a catalogue names it.
    Catalogues, hidden files, and CSV files with a column `file`, which are an index of other files, are left out.

    Args:
        folder: The folder.
        catalogue: Catalogue that is used instead of those around the files.
        report: Takes note of what was passed over, and of labels by folder.

    Raises:
        RecordingError: If a folder or a catalogue cannot be read, there is no recording, or two names in a folder
            differ only by the suffix.
    """
    catalogues = Catalogues(folder, catalogue)
    listing = list_folder(folder)
    sources, passed_over = [], []
    for path in listing.files:
        if path.name in NAMES or _is_same(path, catalogue):
            continue
        known_as = catalogues.for_file(path)
        if says_what_it_is(path) or any(each.names(name) for each, name in known_as):
            if not is_index_file(path):
                name = path.relative_to(folder).as_posix()
                sources.append(Source(path, without_suffix(name, path), known_as, catalogues.advised))
        else:
            passed_over.append(path)
    if not sources:
        raise _nothing(folder, [*passed_over, *listing.others], catalogues.advised)
    _check_names_differ(sources)
    report.searched(listing, passed_over)
    _tell_above(catalogues, sources, report)
    for sentence in unmatched_in_words(catalogues):
        report.say(Notice(sentence))
    return _labelled_by_folder(sources, folder, report)


def source_of(path: Path, catalogue: Path | None, report: Report) -> Source:
    """Return a file that the user names, whatever its suffix.

    Raises:
        RecordingError: If a catalogue cannot be read.
    """
    catalogues = Catalogues(path.parent, catalogue, is_searched=False)
    source = Source(path, without_suffix(path.name, path), catalogues.for_file(path), catalogues.advised)
    _tell_above(catalogues, [source], report)
    return source


def _tell_above(catalogues: Catalogues, sources: Sequence[Source], report: Report) -> None:
    if catalogues.above is None:
        return
    if any(each.source == str(catalogues.above) for source in sources for each, _ in source.catalogues):
        report.say(Notice(f"The catalogue {printable(catalogues.above, 200)} is used: it is the nearest one above."))


def unmatched_in_words(catalogues: Catalogues) -> list[str]:
    """Return a sentence for each of the first entries that match no file of the searched folder."""
    found = catalogues.unmatched()
    sentences = [_unmatched(entry) for entry in found[:_MOST_UNMATCHED]]
    left = len(found) - _MOST_UNMATCHED
    more = f"{counted(left, 'more entry', 'more entries')} of catalogues {'matches' if left == 1 else 'match'} no file."
    return [*sentences, *([more] if left > 0 else [])]


def _unmatched(entry: Entry) -> str:
    shown = printable(quoted(entry.globs[0]), _LONGEST)
    literal = " A bracket of a name is written [[]." if any("[" in glob for glob in entry.globs) else ""
    return f"{printable(entry.source, 200)} matches no file: file = {shown}. Correct it there.{literal}"


def format_of(path: Path, stated: Mapping[str, object]) -> str:
    """Return the name of the format of a file: as stated, else by its suffix, else a table or plain numbers.

    Raises:
        RecordingError: If the stated format is unknown.
    """
    asked = stated.get("format")
    if asked is not None and asked not in FORMATS:
        words = f"format must be one of {', '.join(FORMATS)}, got {printable(asked, _LONGEST)!r}, for {path}."
        raise RecordingError(
            f"{words} Correct the catalogue.", "unknown_format_name", path=path, got=asked, known=tuple(FORMATS)
        )
    suffix = path.suffix.lower()
    headerless = "binary" if "dtype" in stated else None
    return str(asked or SUFFIXES.get(suffix) or headerless or ON_REQUEST.get(suffix) or "table")


def says_what_it_is(path: Path) -> bool:
    """Tell whether a file is a recording by its suffix, or by its first bytes or a sidecar."""
    suffix = path.suffix.lower()
    is_one = FORMATS[ON_REQUEST[suffix]].is_one if suffix in ON_REQUEST else None
    return suffix in SUFFIXES or (is_one is not None and is_one(path))


def without_suffix(name: str, path: Path) -> str:
    """Return a name without its suffix; 2004.02.12.10.32.39 has none."""
    suffix = path.suffix
    return name[: len(name) - len(suffix)] if suffix.lower() in {*SUFFIXES, *ON_REQUEST} else name


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and path.name == other.name and path.resolve() == other.resolve()


def is_index_file(path: Path) -> bool:
    """Tell whether a CSV file lists other files in a column `file`."""
    if path.suffix.lower() != ".csv":
        return False
    try:
        with path.open("rb") as file:
            if not is_index(file.readline(_LONGEST_HEADER)):
                return False
    except OSError:  # its reader says why
        return False
    logger.info("Skipped %s: it is an index of other files.", path)
    return True


def _check_names_differ(sources: Sequence[Source]) -> None:
    counts = Counter(source.name for source in sources)
    twice = next((source for source in sources if counts[source.name] > 1), None)
    if twice is not None:
        same = tuple(sorted(source.path.name for source in sources if source.name == twice.name))
        folder = twice.path.parent
        words = f"{' and '.join(same)} in {folder} have the same name without the suffix. Rename one."
        raise RecordingError(words, "name_twice", path=folder, files=same)


def _nothing(folder: Path, held: Sequence[Path], advised: Path) -> RecordingError:
    formats = ", ".join(SUFFIXES)
    if not held:
        words = f"There are no recordings ({formats}) in {folder}. Name the folder that holds the files."
        return RecordingError(words, "no_recordings", path=folder, held=0)
    words = f"There are no recordings ({formats}) in {folder}. It holds {kinds_of(held)}."
    line = f"[[recordings]]\nfile = {quoted(_glob_for(held))}   # the files that are recordings"
    advice = f"If they are recordings, name them in {advised}:\n\n{line}"
    if advised.suffix.lower() == ".csv":
        advice = f"If they are recordings, name them in the column file of {advised}."
    return RecordingError(f"{words} {advice}", "no_recordings", path=folder, held=len(held))


def _glob_for(held: Sequence[Path]) -> str:
    """Return a glob for the most frequent kind among files."""
    suffixes = [path.suffix.lower() if path.suffix.lower() in ON_REQUEST else "" for path in held]
    kinds = Counter(suffixes)
    suffix = kinds.most_common(1)[0][0]
    if suffix:
        return f"*{suffix}"
    names = [path.name for path, suffix in zip(held, suffixes, strict=True) if not suffix]
    start = Counter(name[:_START] for name in names).most_common(1)[0][0]
    alike = [name for name in names if name.startswith(start)]
    if len(alike) == 1:
        return glob.escape(alike[0])
    low, high = min(alike), max(alike)
    same = next((at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
    return f"{glob.escape(low[:same])}*"


def _labelled_by_folder(sources: list[Source], folder: Path, report: Report) -> list[Source]:
    """Label recordings by their folders if these are surely classes and no catalogue says anything of labels.

    All recordings lie exactly one level down, in two folders or more, and the name of one says that a machine is
    healthy. Folders such as `bearing1` and `bearing2` are no classes.
    """
    parts = [source.path.relative_to(folder).parts for source in sources]
    names = {each[0] for each in parts}
    stated = (entry for source in sources for each, name in source.catalogues for entry in each.entries_naming(name))
    if (
        any(len(each) != 2 for each in parts)
        or not 2 <= len(names) <= _MOST_LABELS
        or not all(map(is_label, names))
        or not any(map(_means_healthy, names))
        or any(entry.states_label for entry in stated)
    ):
        return sources
    report.say(Notice(f"No catalogue states labels: the names of the folders are taken, {', '.join(sorted(names))}."))
    return [replace(source, label=each[0]) for source, each in zip(sources, parts, strict=True)]


def _means_healthy(name: str) -> bool:
    return any(word in _HEALTHY_WORDS for word in re.split(r"[^a-z]+", name.casefold()))
