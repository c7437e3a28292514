"""Subclasses: each class as several, one for each value of a field, such as each load.

A class at two loads is two clouds of spectra rather than one. A network or a discriminant that must call both the same
spends its power on what they share, and takes their difference for a difference within the class, which it may as well
be between two classes. Told apart in training, each cloud is narrow, and a window gets the class of the nearest one.

With s subclasses of k classes, number i belongs to class i % k.

Source: Zhu & Martinez 2006, "Subclass discriminant analysis", doi:10.1109/TPAMI.2006.172.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.span import Span
from drsn_edge.datasets.split import field_of
from drsn_edge.errors import TrainingError

MOST_SUBCLASSES = 8
"""Most subclasses of a class; each needs windows of its own."""


def subclass_numbers(spans: Sequence[Span], field: str) -> dict[str, int]:
    """Return the number of the subclass, from 0, of each recording by its name.

    Args:
        spans: Spans on the training side.
        field: Field whose values are the subclasses; empty: all recordings are in subclass 0.

    Raises:
        SplitError: If a recording lacks the field.
        TrainingError: If the field has more than `MOST_SUBCLASSES` values.
    """
    if not field:
        return {span.recording.name: 0 for span in spans}
    values = {span.recording.name: str(field_of(span.recording, field)) for span in spans}
    known = sorted(set(values.values()))
    if len(known) > MOST_SUBCLASSES:
        raise TrainingError(
            f"subclass_field must have at most {MOST_SUBCLASSES} values on the training side, but {field} has "
            f"{len(known)}. Choose another field, or leave subclass_field empty.",
            "too_many_subclasses",
            field=field,
            got=len(known),
            most=MOST_SUBCLASSES,
        )
    return {name: known.index(value) for name, value in values.items()}


def subclass_count(numbers: Mapping[str, int]) -> int:
    """Return the number of subclasses of each class."""
    return max(numbers.values()) + 1


def in_subclasses(
    labels: NDArray[np.int64], recordings: NDArray[np.str_], numbers: Mapping[str, int], n_classes: int
) -> NDArray[np.int64]:
    """Return the index among all subclasses of each window, shape (n,).

    Args:
        labels: Class index of each window, shape (n,).
        recordings: Name of the recording of each window, shape (n,).
        numbers: Result of `subclass_numbers`.
        n_classes: Number of classes.
    """
    names, which = np.unique(recordings, return_inverse=True)
    return labels + n_classes * np.array([numbers[str(name)] for name in names], np.int64)[which]
