"""Reading of recordings for commands: a bar while it lasts, and what is worth saying on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drsn_edge.cli.output import say

if TYPE_CHECKING:
    from drsn_edge.recordings.loading.report import Report
    from drsn_edge.recordings.recording import Recording


@contextmanager
def reported() -> Iterator[Report]:
    """Yield a report, and print it on stderr, also before an error."""
    from drsn_edge.recordings.loading.report import Report

    report = Report()
    try:
        yield report
    finally:
        for line in report.lines():
            say(line)


def read_folder(folder: Path, catalogue: Path | None, out: Path | None) -> list[Recording]:
    """Load the recordings of a folder whose labels may be used; see `load_recordings`.

    The samples are kept on the disk beside `out`, the result of the command, or in memory if it has none.
    """
    from drsn_edge.cli.progress import counting_bar
    from drsn_edge.recordings.loading.load import load_recordings

    with reported() as report, counting_bar("reading recordings") as bar:
        return load_recordings(folder, catalogue, bar, report, None if out is None else out.resolve().parent)
