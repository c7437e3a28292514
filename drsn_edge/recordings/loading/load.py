"""Load recordings from files and folders, into memory or piece by piece."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import built_in_catalogues
from drsn_edge.recordings.loading.complete import Source, complete, values_before
from drsn_edge.recordings.loading.report import Report
from drsn_edge.recordings.loading.sample_file import SampleFile
from drsn_edge.recordings.loading.sources import format_of, source_of, sources_in
from drsn_edge.recordings.metadata import Metadata
from drsn_edge.recordings.raw import MAX_RECORDING_BYTES, RawRecording, Request
from drsn_edge.recordings.readers.registry import FORMATS
from drsn_edge.recordings.recording import Recording
from drsn_edge.recordings.streamed import StreamedRecording
from drsn_edge.support.notice import Notice

PathLike = str | os.PathLike[str]

_Pick = Callable[[list[RawRecording]], list[RawRecording]]
"""Chooses among the recordings of a file."""

_CAPTURE = re.compile(r"(.+)#([0-9]{1,9})", re.DOTALL)

logger = logging.getLogger(__name__)


def load_recording(path: PathLike, catalogue: PathLike | None = None, report: Report | None = None) -> Recording:
    """Load one recording, whether or not its catalogue is confirmed.

    Args:
        path: The file, or `FILE#3` for capture 3 (counted from 0) of a file of captures.
        catalogue: Catalogue file that is used instead of those around the recording.
        report: Takes note of what is worth saying.

    Raises:
        RecordingError: If the file cannot be read, is incomplete, or holds several captures and none was chosen.
    """
    report = Report() if report is None else report
    file, capture = _capture(path)
    source = source_of(file, _path(catalogue), report)
    _tell_unconfirmed([source], report)
    (found,) = _each([(source, partial(_choose, capture, file))], MAX_RECORDING_BYTES, report, None)
    return found.in_memory()


def load_recordings(
    folder: PathLike,
    catalogue: PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: Report | None = None,
    kept_in: PathLike | None = None,
) -> list[Recording]:
    """Load every recording of a folder and its sub-folders, sorted by name; captures keep their order in the file.

    Files with a suffix of `SUFFIXES` are read, and others that an entry of a catalogue names. Hidden files, catalogues,
    and CSV files with a column `file`, which are an index of other files, are left out. Guesses are refused, because
    what is trained or measured with them would look like knowledge.

    Args:
        folder: Folder with the files.
        catalogue: Catalogue file that is used instead of those around the recordings.
        progress: Called after each file with the number of files read so far and the number of all files.
        report: Takes note of what is worth saying.
        kept_in: Folder in which the samples are kept, in a file without a name that takes 4 bytes for each number;
            they are then read-only, and read from there when they are used. None: in memory.

    Raises:
        RecordingError: If there is no recording, one cannot be used, two file names of a folder differ only by the
            suffix, a catalogue is not confirmed, or there is no room for the samples.
    """
    report = Report() if report is None else report
    sources = sources_in(Path(folder), _path(catalogue), report)
    check_confirmed(sources)
    named = [(source, _all) for source in sources]
    opened = _each(named, MAX_RECORDING_BYTES, report, progress)
    return [each.in_memory() for each in opened] if kept_in is None else _kept(opened, Path(kept_in))


def _kept(opened: Iterable[StreamedRecording], folder: Path) -> list[Recording]:
    """Return recordings whose samples lie in one file; one file at a time, and a piece of it, is in memory."""
    none = np.empty(0, np.float32)
    with SampleFile(folder) as file:
        written = [(file.write(each.pieces()), each.with_samples(none)) for each in opened]
        numbers = file.mapped()
    return [replace(each, samples=numbers[place].reshape(-1, len(each.axes))) for place, each in written]


def load_all(
    paths: Iterable[PathLike], catalogue: PathLike | None = None, report: Report | None = None
) -> list[Recording]:
    """Load the recordings of files and folders in the given order, with all captures of each file.

    Args:
        paths: Files (`FILE#3` for one capture) and folders.
        catalogue: Catalogue file that is used instead of those around the recordings.
        report: Takes note of what is worth saying.

    Raises:
        RecordingError: If a recording cannot be used, a folder has none, or a catalogue is not confirmed.
    """
    report = Report() if report is None else report
    files = list(_named(paths, _path(catalogue), report))
    check_confirmed([each.source for each in files])
    named = [(each.source, each.pick) for each in files]
    return [each.in_memory() for each in _each(named, MAX_RECORDING_BYTES, report, None)]


def open_recordings(
    paths: Iterable[PathLike],
    catalogue: PathLike | None = None,
    memory_bytes: int = MAX_RECORDING_BYTES,
    progress: Callable[[int, int], None] | None = None,
    report: Report | None = None,
) -> Iterator[StreamedRecording]:
    """Open the recordings of files and folders one after another, whether or not their catalogue is confirmed.

    All paths are looked up before the first recording is returned; a file is opened when its turn comes.

    Args:
        paths: Files (`FILE#3` for one capture) and folders, which are searched with their sub-folders.
        catalogue: Catalogue file that is used instead of those around the recordings.
        memory_bytes: Most memory that one file may take, for formats that must be in memory as a whole.
        progress: Called after each file, before the next, with the number of files done and the number of all files.
        report: Takes note of what is worth saying; complete once the iterator has ended.

    Raises:
        RecordingError: If a folder has no recording, or a catalogue is invalid; from the iterator, if a recording
            cannot be read or is incomplete.
    """
    report = Report() if report is None else report
    return _each(
        [(each.source, each.pick) for each in files_of(paths, catalogue, report)], memory_bytes, report, progress
    )


class RecordingFile(NamedTuple):
    """A file of recordings that was looked up and not read.

    Attributes:
        source: The file, and what is known of it.
        capture: The one capture that was asked for, counted from 0; None: all.
    """

    source: Source
    capture: int | None

    def pick(self, raws: list[RawRecording]) -> list[RawRecording]:
        """Return the recordings that were asked for, of all that the file holds."""
        return raws if self.capture is None else _choose(self.capture, self.source.path, raws)


def files_of(paths: Iterable[PathLike], catalogue: PathLike | None, report: Report) -> list[RecordingFile]:
    """Return the files of recordings that paths name, in order, whether or not their catalogue is confirmed.

    Args:
        paths: Files (`FILE#3` for one capture) and folders, which are searched with their sub-folders.
        catalogue: Catalogue file that is used instead of those around the recordings.
        report: Takes note of what is worth saying.

    Raises:
        RecordingError: If a folder has no recording, or a catalogue is invalid.
    """
    found = list(_named(paths, _path(catalogue), report))
    _tell_unconfirmed([each.source for each in found], report)
    return found


def open_file(file: RecordingFile, memory_bytes: int, report: Report) -> Iterator[StreamedRecording]:
    """Open the recordings of one file one after another; arguments and errors as of `open_recordings`."""
    return _each([(file.source, file.pick)], memory_bytes, report, None)


def check_confirmed(sources: Sequence[Source]) -> None:
    """Raise RecordingError if a catalogue says that it holds guesses."""
    for file in _unconfirmed(sources):
        words = f"{file} holds guesses. Look through {file}, then set confirmed = true in it."
        raise RecordingError(words, "not_confirmed", path=file)


def _tell_unconfirmed(sources: Sequence[Source], report: Report) -> None:
    for file in _unconfirmed(sources):
        report.say(Notice(f"{file} holds guesses. Look through {file}, then set confirmed = true in it."))


def _unconfirmed(sources: Sequence[Source]) -> list[str]:
    found = (each for source in sources for each, _ in source.catalogues)
    return list(dict.fromkeys(each.source for each in found if not each.is_confirmed))


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def _capture(path: PathLike) -> tuple[Path, int | None]:
    match = None if os.path.lexists(path) else _CAPTURE.fullmatch(os.fspath(path))
    return (Path(path), None) if match is None else (Path(match[1]), int(match[2]))


def _named(paths: Iterable[PathLike], catalogue: Path | None, report: Report) -> Iterator[RecordingFile]:
    """Yield what the paths name, and which captures of it; equal names are told apart by the path."""
    found: list[tuple[RecordingFile, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            sources = sources_in(path, catalogue, report)
            found += [(RecordingFile(source, None), path / source.name) for source in sources]
        else:
            plain, capture = _capture(path)
            source = source_of(plain, catalogue, report)
            found.append((RecordingFile(source, capture), plain.parent / source.name))
    counts = Counter((file.source.name, file.capture) for file, _ in found)
    is_unique = all(count == 1 for count in counts.values())
    for file, full in found:
        yield file if is_unique else file._replace(source=replace(file.source, name=full.as_posix()))


def _each(
    named: Sequence[tuple[Source, _Pick]],
    memory_bytes: int,
    report: Report,
    progress: Callable[[int, int], None] | None,
) -> Iterator[StreamedRecording]:
    used: dict[str, None] = {}
    for done, (source, pick) in enumerate(named, start=1):
        for raw in pick(read_raw(source, memory_bytes)):
            yield _completed(raw, source, report, used)
        if progress is not None:
            progress(done, len(named))
    where = os.path.commonpath([os.path.abspath(source.path.parent) for source, _ in named])
    logger.info("Recordings in %s: catalogues used: %s.", where, ", ".join(used) or "none")


def _completed(raw: RawRecording, source: Source, report: Report, used: dict[str, None]) -> StreamedRecording:
    """Complete a recording; the user's catalogues override a built-in one, which states the rest."""
    built_in = [each for each in built_in_catalogues() if each.recognise in raw.keys]
    used.update(dict.fromkeys(each.source for each in (*built_in, *(each for each, _ in source.catalogues))))
    recording = complete(raw, source, built_in)
    report.add(recording)
    return recording


def read_raw(source: Source, memory_bytes: int, guesses: Metadata | None = None) -> list[RawRecording]:
    """Read a file as it is, without what catalogues add.

    Args:
        source: The file.
        memory_bytes: Most memory that it may take.
        guesses: Keys for its reader that count where no catalogue states them.

    Raises:
        RecordingError: If it cannot be read.
    """
    path = source.path
    if "\0" not in str(path) and not os.path.lexists(path):
        words = f"There is no recording and no folder at {path}. Check the path."
        raise RecordingError(words, "missing", path=path)
    values = {**(guesses or {}), **values_before(source)}
    return FORMATS[format_of(path, values)].read(path, Request(values, memory_bytes))


def _all(raws: list[RawRecording]) -> list[RawRecording]:
    return raws


def _choose(capture: int | None, path: Path, raws: list[RawRecording]) -> list[RawRecording]:
    """Return the one recording, or one capture; raise RecordingError if that is none or several."""
    if len(raws) == 1 and capture in (None, raws[0].capture):
        return raws
    chosen = [raw for raw in raws if raw.capture == capture]
    if chosen:
        return chosen[:1]
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
