"""Load recordings from files and folders."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import CATALOGUE_NAME, Catalogue, built_in_catalogues, read_catalogue
from drsn_edge.recordings.loading.catalogue_csv import CSV_CATALOGUE_NAME, read_csv_catalogue
from drsn_edge.recordings.loading.complete import complete
from drsn_edge.recordings.raw import RawRecording, Request, unreadable
from drsn_edge.recordings.readers.registry import FORMATS, SUFFIXES
from drsn_edge.recordings.readers.table_file import is_index
from drsn_edge.recordings.recording import Recording

PathLike = str | os.PathLike[str]

_LONGEST_HEADER = 65536
_CAPTURE = re.compile(r"(.+)#([0-9]{1,9})")

logger = logging.getLogger(__name__)


def load_recording(path: PathLike, catalogue: PathLike | None = None) -> Recording:
    """Load one recording.

    Args:
        path: The file, or `FILE#3` for capture 3 (counted from 0) of a file of captures.
        catalogue: Catalogue file that is used instead of `catalogue.toml` or `catalogue.csv` beside the recording.

    Raises:
        RecordingError: If the file cannot be read, is incomplete, or holds several captures and none was chosen.
    """
    match = _CAPTURE.fullmatch(os.fspath(path))
    file = Path(match[1] if match else path)
    raw = _choose(_read(file), int(match[2]) if match else None, file)
    return _complete([(file, raw)], file.parent, catalogue)[0]


def load_recordings(
    folder: PathLike,
    catalogue: PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Recording]:
    """Load every recording of a folder, sorted by name; captures keep their order in the file.

    Files with a suffix of `SUFFIXES` are read. Subfolders, hidden files, the catalogue, and CSV files with a column
    `file`, which are an index of other files, are skipped.

    Args:
        folder: Folder with the files.
        catalogue: Catalogue file that is used instead of the folder's `catalogue.toml` or `catalogue.csv`.
        progress: Called after each file with the number of files read so far and the number of all files.

    Raises:
        RecordingError: If there is no recording, one cannot be used, or two file names differ only by the suffix.
    """
    paths = _recording_files(Path(folder), None if catalogue is None else Path(catalogue))
    return _complete(_read_all(paths, progress), Path(folder), catalogue)


def load_all(paths: Iterable[PathLike], catalogue: PathLike | None = None) -> list[Recording]:
    """Load the recordings of files and folders in the given order, with all captures of each file.

    Args:
        paths: Files (`FILE#3` for one capture) and folders.
        catalogue: Catalogue file that is used instead of those beside the recordings.

    Raises:
        RecordingError: If a recording cannot be used, or a folder has none.
    """
    found: list[Recording] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += load_recordings(path, catalogue)
        elif _CAPTURE.fullmatch(str(path)):
            found.append(load_recording(path, catalogue))
        else:
            found += _complete(((path, raw) for raw in _read(path)), path.parent, catalogue)
    return found


def _complete(found: Iterable[tuple[Path, RawRecording]], folder: Path, catalogue: PathLike | None) -> list[Recording]:
    """Complete the recordings of one folder, and log which catalogues were used.

    The user's catalogue comes last and overrides a built-in one, whose values it need not repeat.
    """
    own_path = Path(catalogue) if catalogue is not None else _beside(folder)
    own = [_read_catalogue(own_path)] if catalogue is not None or os.path.lexists(own_path) else []
    used: dict[str, None] = {}
    recordings = []
    for path, raw in found:
        catalogues = [*(built_in for built_in in built_in_catalogues() if built_in.recognise in raw.keys), *own]
        used.update(dict.fromkeys(each.source for each in catalogues))
        recordings.append(complete(raw, path, catalogues, own_path))
    logger.info("Recordings in %s: catalogues used: %s.", folder, ", ".join(used) or "none")
    return recordings


def _beside(folder: Path) -> Path:
    """Return the path of the folder's catalogue, whether or not it exists."""
    toml, table = folder / CATALOGUE_NAME, folder / CSV_CATALOGUE_NAME
    if os.path.lexists(toml) and os.path.lexists(table):
        words = f"{folder} has two catalogues, {toml.name} and {table.name}. Remove one."
        raise RecordingError(words, "two_catalogues", path=folder)
    return table if os.path.lexists(table) else toml


def _read_catalogue(path: Path) -> Catalogue:
    return read_csv_catalogue(path) if path.suffix.lower() == ".csv" else read_catalogue(path)


def _read_all(
    paths: Sequence[Path], progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Path, RawRecording]]:
    for done, path in enumerate(paths, start=1):
        for raw in _read(path):
            yield path, raw
        if progress is not None:
            progress(done, len(paths))


def _read(path: Path) -> list[RawRecording]:
    form = SUFFIXES.get(path.suffix.lower())
    if form is None and not os.path.lexists(path):
        words = f"There is no recording and no folder at {path}. Check the path."
        raise RecordingError(words, "missing", path=path)
    if form is None:
        ends = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        words = f"{path} is not a recording: its name {ends}. Convert it to one of the formats {_suffixes()}."
        raise RecordingError(words, "unknown_format", path=path, suffix=path.suffix)
    return FORMATS[form].read(path, Request())


def _choose(raws: list[RawRecording], capture: int | None, path: Path) -> RawRecording:
    if len(raws) == 1 and capture in (None, raws[0].capture):
        return raws[0]
    chosen = [raw for raw in raws if raw.capture == capture]
    if chosen:
        return chosen[0]
    if capture is None:
        raise RecordingError(
            f"{path} holds {len(raws)} captures. Choose one ({path.name}#0 to #{len(raws) - 1}), or load all with "
            "load_recordings.",
            "several_captures",
            path=path,
            captures=len(raws),
        )
    has = "one recording without captures" if raws[0].capture is None else f"the captures #0 to #{len(raws) - 1}"
    raise RecordingError(
        f"{path} has no capture #{capture}: it holds {has}. Choose another, or leave out #{capture}.",
        "no_such_capture",
        path=path,
        capture=capture,
        captures=0 if raws[0].capture is None else len(raws),
    )


def _recording_files(folder: Path, catalogue: Path | None) -> list[Path]:
    try:
        known = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        known = [path for path in known if path.name != CSV_CATALOGUE_NAME and not _is_same(path, catalogue)]
        paths = sorted((path for path in known if path.is_file() and not _is_index(path)), key=lambda path: path.stem)
    except (OSError, ValueError) as exc:
        raise unreadable(folder, exc) from exc
    if not paths:
        words = f"There are no recordings ({_suffixes()}) in {folder}. Subfolders are not searched."
        raise RecordingError(f"{words} Name the folder that holds the files.", "no_recordings", path=folder)
    _check_names_differ(paths)
    return paths


def _is_same(path: Path, other: Path | None) -> bool:
    return other is not None and path.resolve() == other.resolve()


def _is_index(path: Path) -> bool:
    if path.suffix.lower() != ".csv":
        return False
    with path.open("rb") as file:
        if not is_index(file.readline(_LONGEST_HEADER)):
            return False
    logger.info("Skipped %s: it is an index of other files.", path)
    return True


def _check_names_differ(paths: list[Path]) -> None:
    counts = Counter(path.stem for path in paths)
    twice = [path for path in paths if counts[path.stem] > 1]
    if twice:
        same = tuple(sorted(path.name for path in twice if path.stem == twice[0].stem))
        folder = twice[0].parent
        words = f"{' and '.join(same)} in {folder} have the same name without the suffix. Rename one."
        raise RecordingError(words, "name_twice", path=folder, files=same)


def _suffixes() -> str:
    return ", ".join(SUFFIXES)
