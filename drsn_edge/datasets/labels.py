"""The classes of recordings: taken from a field instead of the label, missing ones, and slips of the keyboard."""

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

_MOST_LINES = 8
_CAPTURE = re.compile(r"#[0-9]+$")
_SPACES = re.compile(r"[\s_]+|(?<=\w)-(?=\w)")
_SHORTEST = 3
"""Characters of labels that one letter may tell apart by mistake; classes may well be called A and B, or 1 and 12."""
_RARE_WINDOWS, _RARE_RECORDINGS = 0.5, 0.25
"""A label is rare beside another if it has at most half of its windows and a quarter of its recordings (or one)."""


@dataclass(frozen=True)
class ClassCount:
    """How much there is of a class.

    Attributes:
        label: Its name.
        train: Windows that the network learns from, in each epoch.
        validation: Windows that the training is watched with.
        held_out: Windows that it is judged with.
        recordings: Of all sides together.
        groups: Likewise.
    """

    label: str
    train: int
    validation: int
    held_out: int
    recordings: int
    groups: int

    @property
    def windows(self) -> int:
        """Of all sides together."""
        return self.train + self.validation + self.held_out


def labelled_by(recordings: Sequence[Recording], field: str) -> list[Recording]:
    """Return the recordings with the value of `field` as label; "group" and "name" count as fields.

    Raises:
        RecordingError: If a recording lacks the field.
    """
    return [replace(recording, label=_label(recording, field)) for recording in recordings]


def _label(recording: Recording, field: str) -> str:
    if field not in recording.known:
        raise RecordingError(
            f"Expected a field {field!r} in {recording.name} to take its class from, got "
            f"{', '.join(sorted(recording.known))}. State it in the catalogue, or choose another --label-field."
        )
    return str(recording.known[field])


def check_labelled(recordings: Sequence[Recording], error: type[DrsnEdgeError] = SplitError) -> None:
    """Raise `error` with the lines to write into the catalogue unless each recording has a label."""
    missing = list(dict.fromkeys(_CAPTURE.sub("", each.name) for each in recordings if each.label is None))
    if not missing:
        return
    lines = [
        line
        for stem in missing[:_MOST_LINES]
        for line in (
            "[[recordings]]",
            f"file = {quoted(glob.escape(stem) + '.*')}",
            'label = ""   # put in its class',
        )
    ]
    more = [f"# and so on for {len(missing) - _MOST_LINES} more"] if len(missing) > _MOST_LINES else []
    raise error(
        f"Expected a label for each recording, got none for {len(missing)} of them, first {missing[0]}. Record with "
        "--label NAME, fill in the column label of catalogue.csv, or write into catalogue.toml beside them:\n\n"
        + "\n".join([*lines, *more])
    )


def check_labels_differ(recordings: Iterable[Recording]) -> None:
    """Raise SplitError if two labels differ only by case, spaces, or what stands for spaces."""
    names: dict[str, dict[str, str]] = {}
    for recording in recordings:
        if recording.label is not None:
            names.setdefault(plain(recording.label), {}).setdefault(recording.label, recording.name)
    for alike in names.values():
        if len(alike) > 1:
            who = " and ".join(f"{label!r} (such as {name})" for label, name in alike.items())
            raise SplitError(
                f"Expected classes that differ by more than case or spaces, got {who}. Give them one name in the files "
                "or the catalogue; --keep-labels trains on them as different classes."
            )


def check_labels_usable(recordings: Iterable[Recording]) -> None:
    """Raise SplitError if a label cannot be a class of a bundle."""
    for recording in recordings:
        if recording.label is not None and not is_label(recording.label):
            raise SplitError(
                "Expected classes that can be printed, without spaces around them, and not called as a verdict is, got "
                f"{recording.label!a} of {recording.name}. Give it another name in the file or the catalogue."
            )


def likely_slips(counts: Sequence[ClassCount]) -> list[str]:
    """Return a sentence for each rare label that is, case aside, one letter away from a common one."""
    return [
        f"The class {rare.label!r} ({_amount(rare)}) is one letter away from {common.label!r} ({_amount(common)}). If "
        "it is a slip, correct it in the file's name or the catalogue, and train again."
        for rare in counts
        for common in counts
        if _is_rare(rare, common) and _may_be_slip(plain(rare.label), plain(common.label))
    ]


def plain(label: str) -> str:
    """Return a label without case, spaces, and what stands for spaces."""
    return _SPACES.sub("", unicodedata.normalize("NFKC", label).casefold())


def one_letter_apart(a: str, b: str) -> bool:
    """Tell whether one letter more, less or other, or two neighbours exchanged, make one text of the other."""
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
    return f"{count.recordings} recording{'' if count.recordings == 1 else 's'}, {count.windows} windows"
