"""Fields of the recordings whose values may split each class into subclasses."""

from __future__ import annotations

from collections.abc import Sequence

from drsn_edge.datasets.span import HoldOut
from drsn_edge.recordings.recording import Recording
from drsn_edge.training.subclasses import MOST_SUBCLASSES

_OF_SPEED = ("rpm", "rpm_measured")
"""Fields of the shaft speed: spectra change steadily with it, so that a trend says more than subclasses, which would
also hide from discriminants what the speed changes within a class."""

_OF_IDENTITY = ("name", "group", "label")


def condition_fields(recordings: Sequence[Recording], hold_out: HoldOut) -> tuple[str, ...]:
    """Return the fields that may be subclasses, the one with the fewest values first.

    Every class was recorded with every value of such a field, which is neither held out nor a shaft speed.

    Args:
        recordings: Labelled recordings.
        hold_out: Rule of the hold-out set.
    """
    names = set.intersection(*(set(each.known) for each in recordings))
    found = []
    for name in sorted(names - {hold_out.name, *_OF_SPEED, *_OF_IDENTITY}):
        values = {str(each.known[name]) for each in recordings}
        pairs = {(each.label, str(each.known[name])) for each in recordings}
        crossed = len(pairs) == len(values) * len({each.label for each in recordings})
        if 2 <= len(values) <= MOST_SUBCLASSES and crossed:
            found.append((len(values), name))
    return tuple(name for _, name in sorted(found))
