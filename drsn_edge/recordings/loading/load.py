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
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, RawRecording
from drsn_edge.recordings.readers.csv_file import is_index
from drsn_edge.recordings.readers.registry import READERS
from drsn_edge.recordings.recording import Recording
from firmware_bridge.support.regular_file import read_regular, why_unreadable

PathLike = str | os.PathLike[str]

_LONGEST_HEADER = 65536
_CAPTURE = re.compile(r"(.+)#([0-9]{1,9})")

logger = logging.getLogger(__name__)


def load_recording(path: PathLike, catalogue: PathLike | None = None) -> Recording:
    """Load one recording.

    Args:
        path: The file, or `FILE#3` for capture 3 (counted from 0) of a file of captures.
        catalogue: Catalogue file to use instead of the `catalogue.toml` or `catalogue.csv` beside the recording.

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
    """Load every recording of a folder, sorted by name, the captures of one file in their order.

    Read are files with the suffixes of `READERS`. Left out are sub-folders, hidden files, the catalogue, and CSV files
    with a column `file`, which are an index of the others.

    Args:
        folder: Where the files are.
        catalogue: Catalogue file to use instead of the folder's `catalogue.toml` or `catalogue.csv`.
        progress: Called after each file with the number of files read and of all files.

    Raises:
        RecordingError: If there is none, one cannot be used, or two files have the same name but for the suffix.
    """
    paths = _recording_files(Path(folder), None if catalogue is None else Path(catalogue))
    return _complete(_read_all(paths, progress), Path(folder), catalogue)


def load_all(paths: Iterable[PathLike], catalogue: PathLike | None = None) -> list[Recording]:
    """Load recordings by their files, all captures of each, and folders of them, in the given order.

    Args:
        paths: Files (`FILE#3` for one capture) and folders.
        catalogue: Catalogue file to use instead of those beside the recordings.

    Raises:
        RecordingError: If one cannot be used, or a folder has none.
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
    """Complete what was found in one folder, and log which catalogues helped.

    The user's catalogue comes last and wins; it need not repeat what is built in for a known data set.
    """
    own_path = Path(catalogue) if catalogue is not None else _beside(folder)
    own = [_read_catalogue(own_path)] if catalogue is not None or os.path.lexists(own_path) else []
    used: dict[str, None] = {}
    recordings = []
    for path, raw in found:
        catalogues = [*(built_in for built_in in built_in_catalogues() if built_in.recognise in raw.keys), *own]
        used.update(dict.fromkeys(each.source for each in catalogues))
        recordings.append(complete(raw, path, catalogues, own_path))
    logger.info("Recordings in %s: catalogue: %s", folder, ", ".join(used) or "none")
    return recordings


def _beside(folder: Path) -> Path:
    """Return where the folder's catalogue is, or would be."""
    toml, table = folder / CATALOGUE_NAME, folder / CSV_CATALOGUE_NAME
    if os.path.lexists(toml) and os.path.lexists(table):
        raise RecordingError(f"Expected one catalogue in {folder}, got {toml.name} and {table.name}. Remove one.")
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
    reader = READERS.get(path.suffix.lower())
    if reader is None and not os.path.lexists(path):
        raise RecordingError(f"Expected a recording or a folder of them at {path}, found nothing. Check the path.")
    if reader is None:
        raise RecordingError(f"{path}: Expected a file ending in {_suffixes()}, got {path.suffix or 'no suffix'!r}.")
    try:
        data = read_regular(path, MAX_RECORDING_BYTES)
    except FileNotFoundError as exc:
        raise RecordingError(f"Expected a recording at {path}, got no such file. Check the path.") from exc
    except IsADirectoryError as exc:
        raise RecordingError(f"Expected a file at {path}, got a folder. Use load_recordings.") from exc
    except (OSError, ValueError) as exc:
        raise RecordingError(f"Expected a readable file at {path}, got: {why_unreadable(exc)}") from exc
    if not data:
        raise RecordingError(f"{path}: Expected a recording, got an empty file. Copy or record it again.")
    return reader(data, path)


def _choose(raws: list[RawRecording], capture: int | None, path: Path) -> RawRecording:
    if len(raws) == 1 and capture in (None, raws[0].capture):
        return raws[0]
    chosen = [raw for raw in raws if raw.capture == capture]
    if chosen:
        return chosen[0]
    if capture is None:
        raise RecordingError(
            f"{path}: Expected one recording, got {len(raws)} captures. "
            f"Choose one ({path.name}#0 to #{len(raws) - 1}), or use load_recordings for all."
        )
    has = "one recording without captures" if raws[0].capture is None else f"captures #0 to #{len(raws) - 1}"
    raise RecordingError(f"{path}: Expected capture #{capture}, got {has}. Choose another, or leave #{capture} out.")


def _recording_files(folder: Path, catalogue: Path | None) -> list[Path]:
    try:
        known = [path for path in folder.iterdir() if path.suffix.lower() in READERS and path.name[0] != "."]
        known = [path for path in known if path.name != CSV_CATALOGUE_NAME and not _is_same(path, catalogue)]
        paths = sorted((path for path in known if path.is_file() and not _is_index(path)), key=lambda path: path.stem)
    except (OSError, ValueError) as exc:
        raise RecordingError(f"Expected a readable folder at {folder}, got: {why_unreadable(exc)}") from exc
    if not paths:
        raise RecordingError(
            f"Expected recordings ({_suffixes()}) in {folder}, got none. Sub-folders are not searched."
        )
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
    logger.info("%s: skipped, it is an index of files.", path)
    return True


def _check_names_differ(paths: list[Path]) -> None:
    counts = Counter(path.stem for path in paths)
    twice = [path for path in paths if counts[path.stem] > 1]
    if twice:
        same = [path.name for path in twice if path.stem == twice[0].stem]
        raise RecordingError(
            f"Expected one recording of each name in {twice[0].parent}, got {' and '.join(sorted(same))}. Rename one."
        )


def _suffixes() -> str:
    return ", ".join(READERS)
