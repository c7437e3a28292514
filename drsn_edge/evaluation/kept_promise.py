"""Whether the promise of a bundle is kept on labelled windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.promise import Promise
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.runtime.classifier import softmax
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.windows import FloatArray
from drsn_edge.support.fields import number, whole
from drsn_edge.support.invalid import InvalidValueError
from drsn_edge.support.shares import in_percent, least_in_percent

SHARES = (0.02, 0.05)
"""Shares of wrong classes whose cost and outcome are shown."""

_MOST = 10


@dataclass(frozen=True)
class Kept:
    """What one share of wrong classes costs, and what it gives on labelled windows.

    Attributes:
        at_most_wrong: Share of wrong classes that is asked for, 0 to 1.
        least_wrong: Lowest share that can be promised, 0 to 1.
        least_named: Lowest share of windows with CLASS over the inner folds; None: it cannot be promised.
        most_named: Highest share of windows with CLASS over the inner folds; None: it cannot be promised.
        windows: Labelled windows.
        named: Labelled windows with CLASS; None: it cannot be promised.
        wrong: Labelled windows with CLASS whose class is wrong; None: it cannot be promised.
    """

    at_most_wrong: float
    least_wrong: float
    least_named: float | None
    most_named: float | None
    windows: int
    named: int | None
    wrong: int | None

    @property
    def in_words(self) -> str:
        """The cost and the outcome as a line."""
        asked = f"at most {in_percent(self.at_most_wrong)} wrong: "
        if self.named is None or self.wrong is None or self.least_named is None or self.most_named is None:
            return f"{asked}cannot be promised, at least {least_in_percent(self.least_wrong)}"
        outcome = f"{_percent(self.named, self.windows)} named"
        if self.named:
            outcome += f", {_percent(self.wrong, self.named)} of them wrong"
        folds = f"{in_percent(self.least_named)} to {in_percent(self.most_named)} of windows named"
        return f"{asked}{folds}; hold-out set: {outcome}"


def kept_by(
    promise: Promise, at_most_wrong: float, logits: FloatArray, labels: NDArray[np.int64], unknown: NDArray[np.bool_]
) -> Kept:
    """Return what a share of wrong classes gives on labelled windows.

    Args:
        promise: The promise.
        at_most_wrong: Share of wrong classes that is asked for, 0 to 1.
        logits: Shape (windows, classes).
        labels: Class index of each window, shape (windows,).
        unknown: Whether each window is UNKNOWN, shape (windows,).
    """
    point = promise.limit_for(at_most_wrong)
    if point is None:
        return Kept(at_most_wrong, promise.least_wrong, None, None, len(labels), None, None)
    named = (softmax(logits, promise.temperature).max(axis=1) >= point.limit) & ~unknown
    wrong = named & (logits.argmax(axis=1) != labels)
    counts = int(named.sum()), int(wrong.sum())
    return Kept(at_most_wrong, promise.least_wrong, point.least_named, point.most_named, len(labels), *counts)


def outcomes_of(
    promise: Promise | None, windows: WindowSet, logits: FloatArray, novelty: Novelty | None
) -> tuple[Kept, ...]:
    """Return what the shares of `SHARES` give on labelled windows; nothing without a promise.

    Args:
        promise: The promise; None: there is none.
        windows: The windows, at least one.
        logits: Their logits, shape (windows, classes).
        novelty: Finds UNKNOWN windows; None: no window is UNKNOWN.
    """
    if promise is None:
        return ()
    unknown = np.full(len(windows), False) if novelty is None else novelty.novelty(windows.windows) > 1
    return tuple(kept_by(promise, share, logits, windows.labels, unknown) for share in SHARES)


def kept_to_json(kept: Sequence[Kept]) -> list[dict[str, Any]]:
    """Return the outcomes as plain JSON values."""
    return [asdict(each) for each in kept]


def kept_from_json(values: object) -> list[Kept]:
    """Return the outcomes that `kept_to_json` wrote; nothing for any other value."""
    if not isinstance(values, list):
        return []
    try:
        return [_kept(each) for each in values[:_MOST]]
    except (InvalidValueError, LookupError, TypeError, AttributeError):
        return []


def _kept(values: Mapping[str, Any]) -> Kept:
    can = values["named"] is not None
    return Kept(
        number(values, "at_most_wrong"),
        number(values, "least_wrong"),
        number(values, "least_named") if can else None,
        number(values, "most_named") if can else None,
        whole(values, "windows"),
        whole(values, "named") if can else None,
        whole(values, "wrong") if can else None,
    )


def _percent(part: int, total: int) -> str:
    return in_percent(part / max(1, total))
