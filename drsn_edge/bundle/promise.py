"""The promise of a bundle: the share of wrong classes, by the limit below which a window is UNSURE.

Before training, the recordings of the training side are split into inner folds: each fold holds out what the hold-out
does, such as one speed. The chosen network judges the windows of each fold without having seen any of them. Their
logits give the temperature, which turns logits into probabilities that fit the share of right classes, and the
risk-coverage curve: how many windows are named at each limit, and how many of those wrongly.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from drsn_edge.errors import BundleError
from drsn_edge.support.fields import items, number, text, whole
from drsn_edge.support.shares import in_percent, least_in_percent
from drsn_edge.support.wording import counted

MOST_POINTS = 200
LONGEST_WORDS = 200
FEWEST_FOLDS = 3
"""Fewest inner folds that a promise is made from: of conditions like the folds, one in n + 1 is expected to be worse
than the worst of n, so with two folds one in three."""

_SHOWN = (0.01, 0.02, 0.05, 0.1)
"""Shares of wrong classes whose coverage people are shown, beside that of the least one."""

TEMPERATURES = (0.01, 100.0)
"""Lowest and highest temperature."""


@dataclass(frozen=True)
class RiskPoint:
    """One limit of the risk-coverage curve.

    Attributes:
        limit: Probability of the most probable class, after the temperature, from which a window gets CLASS; 0 to 1.
        wrong: Promised share of the windows with CLASS whose class is wrong, 0 to 1: an upper bound, not the mean.
        least_named: Lowest share of windows with CLASS over the inner folds, 0 to 1.
        most_named: Highest share of windows with CLASS over the inner folds, 0 to 1.
    """

    limit: float
    wrong: float
    least_named: float
    most_named: float


@dataclass(frozen=True)
class Promise:
    """The promised share of wrong classes, as the inner folds of the training side show it.

    Attributes:
        temperature: Divisor of the logits before the softmax, 0.01 to 100.
        held_out: What each inner fold held out, in words, such as `another rpm of these machines`.
        folds: Number of inner folds, at least 1.
        windows: Windows of the inner folds.
        curve: The risk-coverage curve, by ascending limits, 1 to 200 points.

    Raises:
        BundleError: If a value is outside its range, with the field, its value and what is allowed.
    """

    temperature: float
    held_out: str
    folds: int
    windows: int
    curve: tuple[RiskPoint, ...]

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        low, high = TEMPERATURES
        _expect(low <= self.temperature <= high, "temperature", f"{low:g} to {high:g}", self.temperature)
        is_text = 0 < len(self.held_out) <= LONGEST_WORDS and self.held_out.isprintable()
        _expect(is_text, "held_out", f"a printable text of at most {LONGEST_WORDS} characters", self.held_out)
        _expect(self.folds >= 1, "folds", "at least 1", self.folds)
        _expect(self.windows >= self.folds, "windows", "at least one in each fold", self.windows)
        _expect(1 <= len(self.curve) <= MOST_POINTS, "curve", f"1 to {MOST_POINTS} points", len(self.curve))
        ascending = all(before.limit < after.limit for before, after in pairwise(self.curve))
        _expect(ascending, "curve", "in ascending order of limits", [point.limit for point in self.curve])
        for point in self.curve:
            shares = (point.limit, point.wrong, point.least_named, point.most_named)
            fits = all(0 <= share <= 1 for share in shares) and point.least_named <= point.most_named
            _expect(fits, "curve", "shares of 0 to 1, with least_named at most most_named", point)

    def limit_for(self, at_most_wrong: float) -> RiskPoint | None:
        """Return the lowest limit from which on the promised share holds; None if it cannot be promised.

        With fewer folds than `FEWEST_FOLDS` nothing can.

        Args:
            at_most_wrong: Share of the windows with CLASS that may be wrong, 0 to 1.
        """
        found = None
        for point in reversed(self.curve if self.is_made else ()):
            if point.wrong > at_most_wrong:
                break
            found = point
        return found

    @property
    def in_words(self) -> list[str]:
        """The promise as lines for people: what was held out, the coverage at some shares, and the temperature."""
        shares = [self.least_wrong, *(share for share in _SHOWN if share > self.least_wrong)] if self.is_made else []
        lines = [
            f"at most {least_in_percent(share)} wrong, {in_percent(point.least_named)} to "
            f"{in_percent(point.most_named)} of windows named"
            for share, point in ((share, self.limit_for(share)) for share in shares)
            if point is not None
        ]
        if not self.is_made:
            lines = [f"nothing is promised, which takes at least {FEWEST_FOLDS} folds"]
        by = f"by {counted(self.folds, 'fold')} of {counted(self.windows, 'window')}"
        return [f"on {self.held_out}:", *lines, f"{by}; temperature {self.temperature:.3g}"]

    @property
    def is_made(self) -> bool:
        """Whether there are enough folds for a promise; otherwise they give the temperature alone."""
        return self.folds >= FEWEST_FOLDS

    @property
    def least_wrong(self) -> float:
        """Lowest share of wrong classes that can be promised, 0 to 1; 1 if nothing is."""
        return self.curve[-1].wrong if self.is_made else 1.0


def promise_from_json(values: Mapping[str, Any]) -> Promise:
    """Return the promise in the values of a manifest.

    Raises:
        BundleError: If a value is outside its range.
        InvalidValueError: If a value has the wrong type, or is not finite.
        KeyError: If a field is missing.
    """
    return Promise(
        number(values, "temperature"),
        text(values, "held_out"),
        whole(values, "folds"),
        whole(values, "windows"),
        tuple(_point(point) for point in items(values, "curve")),
    )


def _point(values: Mapping[str, Any]) -> RiskPoint:
    return RiskPoint(
        number(values, "limit"), number(values, "wrong"), number(values, "least_named"), number(values, "most_named")
    )


def _expect(condition: object, field: str, expected: str, got: object) -> None:
    if not condition:
        words = f"In the promise of the bundle's manifest, {field} must be {expected}; got {reprlib.repr(got)}."
        raise BundleError(words, "invalid_field", field=field, expected=expected, got=got)
