"""The classes of recordings: labels from a field, missing labels, unusable labels and typing errors."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from drsn_edge.errors import DrsnEdgeError, RecordingError, SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.support.fields import is_label
from drsn_edge.support.toml_file import quoted
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable

_MOST_ENTRIES = 2
"""Most entries of a catalogue in an error."""
_LONGEST = 60
_FOLDER_PATTERN = "(?P<label>[^/]+)/"
_CAPTURE = re.compile(r"#[0-9]+$")
_SPACES = re.compile(r"[\s_]+|(?<=\w)-(?=\w)")
_SHORTEST = 3
"""Fewest characters of a label that may be a typing error; shorter labels such as A and B, or 1 and 12, are common."""
_RARE_WINDOWS, _RARE_RECORDINGS = 0.5, 0.25
"""A label is rare beside another if it has at most half as many windows, and at most a quarter as many recordings or
only one."""


@dataclass(frozen=True)
class ClassCount:
    """Number of windows, recordings and groups of a class.

    Attributes:
        label: Name of the class.
        train: Training windows per epoch.
        validation: Validation windows.
        held_out: Windows of the hold-out set.
        recordings: Recordings on all sides together.
        groups: Groups on all sides together.
    """

    label: str
    train: int
    validation: int
    held_out: int
    recordings: int
    groups: int

    @property
    def windows(self) -> int:
        """Windows on all sides together."""
        return self.train + self.validation + self.held_out


def labelled_by(recordings: Sequence[Recording], field: str) -> list[Recording]:
    """Return the recordings with the value of `field` as their label; "group" and "name" count as fields.

    Raises:
        RecordingError: If a recording lacks the field.
    """
    return [replace(recording, label=_label(recording, field)) for recording in recordings]


def _label(recording: Recording, field: str) -> str:
    if field not in recording.known:
        known = tuple(sorted(recording.known))
        raise RecordingError(
            f"Recording {recording.name} has no field {field!r} to take its class from. Its fields are "
            f"{', '.join(known)}. State {field} in the catalogue, or choose another --label-field.",
            "no_field",
            field=field,
            recording=recording.name,
            known=known,
        )
    return str(recording.known[field])


def check_labelled(recordings: Sequence[Recording], error: type[DrsnEdgeError] = SplitError) -> None:
    """Raise `error` with the lines to write into the catalogue if a recording has no label."""
    missing = list(dict.fromkeys(_CAPTURE.sub("", each.name) for each in recordings if each.label is None))
    if not missing:
        return
    has = "has no label" if len(missing) == 1 else "have no label, the first"
    raise error(
        f"{counted(len(missing), 'recording')} {has}: {missing[0]}. Record with --label NAME, fill in the column label "
        "of catalogue.csv, or write into catalogue.toml above them:\n\n"
        + _label_line(missing, is_all=all(each.label is None for each in recordings)),
        "no_label",
        count=len(missing),
        first=missing[0],
    )


def _label_line(missing: Sequence[str], *, is_all: bool) -> str:
    """Return a line of a catalogue: folders as classes if no recording has a label, else an entry for each folder."""
    folders = [name.rpartition("/")[0] for name in missing]
    if is_all and all(folders) and len(set(folders)) > 1:
        first = printable(folders[0], _LONGEST)
        entry = f"{{file = \"*\", pattern = '{_FOLDER_PATTERN}'}}"
        return f"recordings = [{entry}]   # if the folders are the classes, as {first} is one"
    globs = [
        f"{glob.escape(folder)}/*" if folder else f"{glob.escape(name)}.*"
        for folder, name in zip(folders, missing, strict=True)
    ]
    distinct = list(dict.fromkeys(globs))
    entries = ", ".join(f'{{file = {quoted(each)}, label = ""}}' for each in distinct[:_MOST_ENTRIES])
    left = len(distinct) - _MOST_ENTRIES
    more = f", and so on for {left} more" if left > 0 else ""
    return f"recordings = [{entries}]   # fill in the classes{more}"


def check_labels_differ(recordings: Iterable[Recording]) -> None:
    """Raise SplitError if two labels differ only by case, spaces, or what stands for spaces."""
    names: dict[str, dict[str, str]] = {}
    for recording in recordings:
        if recording.label is not None:
            names.setdefault(plain(recording.label), {}).setdefault(recording.label, recording.name)
    for alike in names.values():
        if len(alike) > 1:
            who = " and ".join(f"{label!r} (in {name})" for label, name in alike.items())
            raise SplitError(
                f"The labels {who} differ only by case or spaces. Give them one name in the files or the catalogue, or "
                "keep them as different classes with --keep-labels.",
                "similar_labels",
                labels=tuple(alike),
                recordings=tuple(alike.values()),
            )


def check_labels_usable(recordings: Iterable[Recording]) -> None:
    """Raise SplitError if a label cannot be the name of a class in a bundle."""
    for recording in recordings:
        if recording.label is not None and not is_label(recording.label):
            raise SplitError(
                f"The label {recording.label!a} of recording {recording.name} cannot be the name of a class. A name "
                "is printable, has no spaces around it, and is not the name of a verdict. Change it in the file or "
                "the catalogue.",
                "unusable_label",
                label=recording.label,
                recording=recording.name,
            )


def likely_slips(counts: Sequence[ClassCount]) -> list[str]:
    """Return a warning for each rare label that differs by one letter, apart from case, from a common label."""
    return [
        f"The class {rare.label!r} ({_amount(rare)}) differs by one letter from {common.label!r} ({_amount(common)}). "
        "If it is a typing error, correct it in the file name or the catalogue, and train again."
        for rare in counts
        for common in counts
        if _is_rare(rare, common) and _may_be_slip(plain(rare.label), plain(common.label))
    ]


def plain(label: str) -> str:
    """Return a label in lower case without spaces, underscores and hyphens between letters."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", label).casefold())


def one_letter_apart(a: str, b: str) -> bool:
    """Tell whether two texts differ by one letter (added, missing or other) or by two adjacent letters exchanged."""
    if len(a) > len(b):
        a, b = b, a
    if a == b or len(b) - len(a) > 1:
        return False
    same = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), len(a))
    rest, other = a[same:], b[same:]
    if len(a) < len(b):
        return rest == other[1:]
    return rest[1:] == other[1:] or (rest[:2] == other[1::-1] and rest[2:] == other[2:])


def _may_be_slip(a: str, b: str) -> bool:
    return min(len(a), len(b)) >= _SHORTEST and not (a.isdigit() and b.isdigit()) and one_letter_apart(a, b)


def _is_rare(one: ClassCount, other: ClassCount) -> bool:
    few = one.recordings <= max(1, _RARE_RECORDINGS * other.recordings)
    return few and one.windows <= _RARE_WINDOWS * other.windows


def _amount(count: ClassCount) -> str:
    return f"{counted(count.recordings, 'recording')}, {counted(count.windows, 'window')}"
