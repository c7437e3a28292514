"""Archives of recordings: many files judged by several processes or machines, with results that survive a stop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.open_model import classifier_of
from drsn_edge.errors import DrsnEdgeError, JobsError, OutputError
from drsn_edge.jobs.run import run_jobs
from drsn_edge.jobs.versions import versions
from drsn_edge.monitor.offline.classify import Classified, classify
from drsn_edge.monitor.stages.judge import Model
from drsn_edge.monitor.stages.results import Alarm, AlarmState, to_json
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.recordings.loading.complete import values_before
from drsn_edge.recordings.loading.load import RecordingFile, open_file
from drsn_edge.recordings.loading.report import Report
from drsn_edge.runtime.names import RuntimeChoice
from drsn_edge.support.results_file import append_line, drop_cut_line, read_lines

SCHEMA = 1
"""Version of the lines in a file of results, to which fields are only ever added."""

_BATCH_FILES, _BATCH_BYTES = 16, 4_000_000
"""Most files in one job, and most bytes of them: some tenths of a second of work. A longer file is a job of its own."""


@dataclass(frozen=True)
class ArchiveJudge:
    """All that judges a recording. A process that gets it opens the model once, at its first file.

    Attributes:
        bundle: The bundle.
        model: The model as it was opened here.
        choice: Choice of the runtime.
        settings: Settings of decision and alarms.
        rpm: Speed of the shaft in rpm; None: the field rpm of each recording.
        memory_bytes: Most memory for one file.
    """

    bundle: Bundle
    model: Model
    choice: RuntimeChoice
    settings: MonitorSettings
    rpm: float | None
    memory_bytes: int

    def __getstate__(self) -> dict[str, Any]:
        """Return what can be sent: the model without its interpreter, which belongs to this process."""
        sent = {each.name: getattr(self.model, each.name) for each in fields(Model) if each.name != "classifier"}
        return {**vars(self), "model": sent}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the model in the process that got it; what is worth saying was said where it was opened first."""
        classifier = classifier_of(state["bundle"], state["choice"])
        vars(self).update(state, model=Model(classifier=classifier, **state["model"]))

    @property
    def digest(self) -> str:
        """SHA-256 of all that results depend on beside the recordings."""
        of_model = _plain(self.model.novelty)
        values = (*versions().items(), self.bundle.manifest_bytes.hex(), of_model, repr(self.settings), repr(self.rpm))
        return _sha256([*map(str, values), self.choice.runtime])


class FileResult(NamedTuple):
    """The results of one file.

    Attributes:
        recordings: The results of its recordings, in order.
        report: What is worth saying about them.
    """

    recordings: tuple[Classified, ...]
    report: Report


def classify_files(
    files: Sequence[RecordingFile], judge: ArchiveJudge, workers: int = 1, cluster: str | None = None
) -> Iterator[tuple[int, FileResult]]:
    """Yield the index and the results of each file: in order with one worker, else as they come.

    Args:
        files: The files.
        judge: What judges them.
        workers: Number of processes; 1: this one, without joblib.
        cluster: Address of a Dask scheduler whose workers see the files under the same paths; None: this machine.

    Raises:
        JobsError: If a file took its worker down too often, or the cluster cannot be used or went away.
        DrsnEdgeError: If a recording cannot be read, or does not fit the model.
    """
    if workers == 1 and cluster is None:
        yield from ((index, _classify_file(index, files, judge)) for index in range(len(files)))
        return
    batches = _batches(files)
    shared = ([_with_full_path(each) for each in files], judge, cluster is not None)
    for place, done in run_jobs(_classify_batch, batches, workers=workers, cluster=cluster, shared=shared):
        yield from zip(batches[place], done.results, strict=False)
        if done.error is not None:
            raise done.error


class _Batch(NamedTuple):
    """The results of the first files of a batch, and why the next one has none."""

    results: list[FileResult]
    error: DrsnEdgeError | None


def _batches(files: Sequence[RecordingFile]) -> list[list[int]]:
    """Return the indices of files by job: small files share one, since handing out a job takes milliseconds."""
    batches: list[list[int]] = []
    n_bytes = 0
    for index, file in enumerate(files):
        size = _size(file)
        if not batches or len(batches[-1]) == _BATCH_FILES or n_bytes + size > _BATCH_BYTES:
            batches.append([])
            n_bytes = 0
        batches[-1].append(index)
        n_bytes += size
    return batches


def _size(file: RecordingFile) -> int:
    try:
        return file.source.path.stat().st_size
    except OSError:  # the job says why
        return 0


def _with_full_path(file: RecordingFile) -> RecordingFile:
    return file._replace(source=replace(file.source, path=file.source.path.absolute()))


def _classify_batch(
    indices: Sequence[int], files: Sequence[RecordingFile], judge: ArchiveJudge, elsewhere: bool
) -> _Batch:
    results: list[FileResult] = []
    try:
        for index in indices:
            if elsewhere:
                _expect(files[index].source.path)
            results.append(_classify_file(index, files, judge))
    except DrsnEdgeError as exc:
        return _Batch(results, exc)
    return _Batch(results, None)


def _classify_file(index: int, files: Sequence[RecordingFile], judge: ArchiveJudge) -> FileResult:
    report = Report()
    opened = open_file(files[index], judge.memory_bytes, report)
    return FileResult(tuple(classify(each, judge.model, judge.settings, judge.rpm) for each in opened), report)


def _expect(path: Path) -> None:
    """Raise JobsError if a worker of a cluster has no such file."""
    if not path.exists():
        raise JobsError(
            f"A worker of the cluster has no file {path}. Workers read recordings themselves: mount their folder on "
            "each machine under the same path.",
            "not_on_worker",
            path=path,
        )


class FileValues(NamedTuple):
    """The results of one file.

    Attributes:
        values: Its recordings, each as in `classify --json`.
        recordings: The same with every window; empty where they come from a file of results, or go there.
    """

    values: list[dict[str, Any]]
    recordings: tuple[Classified, ...] = ()


def classify_archive(
    files: Sequence[RecordingFile],
    judge: ArchiveJudge,
    results: ResultsFile | None,
    report: Report,
    progress: Callable[[int, int], None],
    *,
    workers: int,
    cluster: str | None,
) -> list[FileValues]:
    """Return the results of files in order, and append each to `results` as it comes.

    Args:
        files: The files.
        judge: What judges them.
        results: File of results: what it holds is not judged again. None: results are in memory alone.
        report: Takes note of what is worth saying about the files that were read.
        progress: Called with the number of files that are done and the number of all files.
        workers: Number of processes, as of `classify_files`.
        cluster: Address of a Dask scheduler, as of `classify_files`.

    Raises:
        OutputError: If a result cannot be written.
        JobsError, DrsnEdgeError: As of `classify_files`.
    """
    done: dict[int, FileValues] = {}
    if results is not None:
        known = ((index, results.found(file)) for index, file in enumerate(files))
        done = {index: FileValues(values) for index, values in known if values is not None}
    left = [index for index in range(len(files)) if index not in done]
    reports: dict[int, Report] = {}
    progress(len(done), len(files))
    try:
        for place, (recordings, said) in classify_files([files[index] for index in left], judge, workers, cluster):
            index = left[place]
            values, reports[index] = [to_values(each) for each in recordings], said
            if results is not None:
                results.append(files[index], values)
            done[index] = FileValues(values, recordings if results is None else ())
            progress(len(done), len(files))
    finally:
        for index in sorted(reports):
            report.include(reports[index])
    return [done[index] for index in range(len(files))]


# --- a file of results -----------------------------------------------------------------------------------------------


@dataclass
class ResultsFile:
    """A file with one line for each classified file, which a later call with the same arguments continues.

    Attributes:
        path: The file; it need not exist.
        judge: `ArchiveJudge.digest` of the judge.
    """

    path: Path
    judge: str
    _known: dict[str, list[dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        """Read the lines that are there.

        Raises:
            OutputError: If the file holds something else, or results of another model or with other settings.
        """
        self._known = dict(read_lines(self.path, self._known_by, self._not_results))
        drop_cut_line(self.path)

    def found(self, file: RecordingFile) -> list[dict[str, Any]] | None:
        """Return the results of a file that has not changed since; None if there are none."""
        return self._known.get(inputs_digest(file))

    def append(self, file: RecordingFile, recordings: list[dict[str, Any]]) -> None:
        """Append the results of a file, and wait until they are on the disk.

        Raises:
            OutputError: If they cannot be written.
        """
        head = {"schema": SCHEMA, "type": "classified-file", "file": str(file.source.path), "judge": self.judge}
        line = {**head, "inputs": inputs_digest(file), "recordings": recordings}
        append_line(self.path, json.dumps(line))

    def _known_by(self, line: Any) -> tuple[str, list[dict[str, Any]]]:
        if line["type"] != "classified-file":
            raise ValueError(line["type"])
        if line["judge"] != self.judge:
            raise OutputError(
                f"{self.path} holds results of another model, of other settings or of another version of drsn-edge. "
                "Name another file by --out.",
                "other_judge",
                path=self.path,
            )
        return str(line["inputs"]), list(line["recordings"])

    def _not_results(self, number: int, exc: Exception) -> DrsnEdgeError:
        words = f"Line {number} of {self.path} is no result of `classify`: {exc!r}. Name another file by --out."
        return OutputError(words, "not_a_result", path=self.path, line=number)


def to_values(found: Classified) -> dict[str, Any]:
    """Return the results of a recording as the plain values of `classify --json`."""
    return {
        "recording": found.recording,
        "label": found.label,
        "duration_s": found.duration_s,
        "windows": len(found.states),
        "verdicts": dict(found.counts),
        "no_verdict": dict(found.reasons),
        "decisions": [to_json(decision) for decision in found.decisions],
        "alarms": [to_json(alarm) for alarm in found.alarms],
    }


def alarm_of(values: Mapping[str, Any]) -> Alarm:
    """Return the alarm that `to_values` made plain values of."""
    known = {each.name: values[each.name] for each in fields(Alarm)}
    return Alarm(**{**known, "state": AlarmState(values["state"])})


def inputs_digest(file: RecordingFile) -> str:
    """Return a SHA-256 that changes with a file of recordings and with what catalogues state of it.

    Entries of a catalogue that depend on what a file states itself do not count: it is not read for this.
    """
    path = file.source.path.absolute()
    try:
        stat = path.stat()
        state = f"{stat.st_size} {stat.st_mtime_ns}"
    except OSError:
        state = "missing"
    stated = sorted(values_before(file.source).items())
    return _sha256([str(path), state, file.source.name, str(file.source.label), repr(file.capture), repr(stated)])


def _sha256(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="backslashreplace")).hexdigest()


def _plain(value: Any) -> str:
    """Return a text that says all of a value: dataclasses and arrays in full, which `repr` shortens."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        return repr([(each.name, _plain(getattr(value, each.name))) for each in fields(value)])
    return repr(value)
