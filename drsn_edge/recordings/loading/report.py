"""What is worth saying about recordings that were read: collected file by file, told in few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from drsn_edge.recordings.loading.folder import Listing, kinds_of
from drsn_edge.recordings.streamed import StreamedRecording
from drsn_edge.support.notice import Notice
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable

_MOST_LINES = 4
"""Lines about axes, and lines of remarks, each."""
_LONGEST_NAME = 60
_LONGEST_REMARK = 300


class _Taken(NamedTuple):
    """What is kept of a recording; the recording itself may hold its samples."""

    name: str
    sample_rate_hz: float


class Report:
    """Collects what commands print on stderr after they have read recordings."""

    def __init__(self) -> None:
        """Begin without anything to say."""
        self._first: list[str] = []
        self._taken: dict[tuple[tuple[str, ...], str], list[_Taken]] = {}
        self._remarks: dict[str, list[str]] = {}

    def add(self, recording: StreamedRecording) -> None:
        """Take note of a recording's axes and remarks."""
        self._taken.setdefault((recording.axes, recording.unit), []).append(
            _Taken(recording.name, recording.sample_rate_hz)
        )
        for remark in recording.remarks:
            names = self._remarks.setdefault(remark, [])
            if not names or names[-1] != recording.path.name:
                names.append(recording.path.name)

    def searched(self, listing: Listing, passed_over: Sequence[Path]) -> None:
        """Take note of what a folder holds beside recordings."""
        left = [*passed_over, *listing.others]
        where = printable(listing.folder, _LONGEST_NAME)
        if left:
            self.say(Notice(f"Passed over {counted(len(left), 'file')} in {where}: {kinds_of(left)}."))
        if listing.repeated:
            names = kinds_of(listing.repeated)
            self.say(Notice(f"Links in {where} lead to what was read already, and were left out: {names}."))

    def include(self, other: Report) -> None:
        """Take note of what another report, of files that were read elsewhere, has taken note of."""
        for text in other._first:
            self.say(text)
        for kind, taken in other._taken.items():
            self._taken.setdefault(kind, []).extend(taken)
        for remark, names in other._remarks.items():
            self._remarks.setdefault(remark, []).extend(names)

    def say(self, text: str) -> None:
        """Take note of a sentence; equal ones are told once."""
        if text not in self._first:
            self._first.append(text)

    def lines(self) -> list[str]:
        """Return notices and warnings (see `drsn_edge.support.notice`), with the axes that were taken."""
        return [*self._first, *self._axes(), *self._remarked()]

    def remarks(self) -> list[str]:
        """Return the notices and warnings without the axes, for a command that prints them itself."""
        return [*self._first, *self._remarked()]

    def _axes(self) -> list[str]:
        kinds = sorted(self._taken.items(), key=lambda item: -len(item[1]))
        lines = []
        for (axes, unit), found in kinds[:_MOST_LINES]:
            shown = printable(", ".join(axes), _LONGEST_REMARK)
            lines.append(Notice(f"{_which(found)}: axes {shown}; {_rates(found)}; unit {printable(unit, 20)}."))
        left = sum(len(found) for _, found in kinds[_MOST_LINES:])
        more = "have other axes or units" if left > 1 else "has other axes or another unit"
        return [*lines, *([Notice(f"{counted(left, 'more recording')} {more}.")] if left else [])]

    def _remarked(self) -> list[str]:
        remarks = sorted(self._remarks.items(), key=lambda item: -len(item[1]))
        lines = [Notice(f"{_in(names)}: {printable(text, _LONGEST_REMARK)}") for text, names in remarks[:_MOST_LINES]]
        left = len(remarks) - _MOST_LINES
        return [*lines, *([Notice(f"{counted(left, 'more remark')} of this kind.")] if left > 0 else [])]


def _which(found: Sequence[_Taken]) -> str:
    return f"Recording {printable(found[0].name, _LONGEST_NAME)}" if len(found) == 1 else f"{len(found)} recordings"


def _rates(found: Sequence[_Taken]) -> str:
    rates = [each.sample_rate_hz for each in found]
    low, high = f"{min(rates):g}", f"{max(rates):g}"
    return f"{low} Hz" if low == high else f"{low} to {high} Hz"


def _in(names: Sequence[str]) -> str:
    first = printable(names[0], _LONGEST_NAME)
    return first if len(names) == 1 else f"In {len(names)} files such as {first}"
