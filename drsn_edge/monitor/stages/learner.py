"""The learner: what is kept of each good window while a healthy machine is learned, some hundred bytes.

The same learner serves both ways of learning: the overlay of a bundle with classes (`learned.py`), and a bundle without
a network (`drsn_edge.monitor.healthy_machine`).
"""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import LearningError
from drsn_edge.signal.mounting import Mounting, can_tell, features_of
from drsn_edge.signal.novelty import features_of as novelty_features_of
from drsn_edge.signal.references import LEAST_WINDOWS, Heard
from drsn_edge.signal.windows import FloatArray, centre

LEAST_AGREEMENT = 0.9
"""Share of windows that must agree with the label and the mounting of a bundle with classes."""

GAP_S = 10.0
"""Time in seconds without a good window after which a new stretch begins: the machine may run differently now."""

MOST_WINDOWS = 1 << 16
"""Most windows that are kept. When there are more, every second one is dropped, and every second one taken."""

_MOST_EXAMPLES = 64
"""Most windows that are kept with their samples; golden windows come from them."""

T = TypeVar("T")


class _Kept(NamedTuple):
    """What is kept of a window; see `Heard`. It has no bands of relations if it does not show them."""

    features: FloatArray
    level: float
    stretch: int
    means: NDArray[np.float64]
    relations: FloatArray


class Spread(Generic[T]):
    """Keeps at most a number of items, evenly spread over all that were added."""

    def __init__(self, most: int) -> None:
        """Begin without an item, for at most `most` of them."""
        self.kept: list[T] = []
        self.taken = 0
        self._most, self._every = most, 1

    def add(self, item: T) -> None:
        """Take an item."""
        if self.taken % self._every == 0:
            self.kept.append(item)
        self.taken += 1
        if len(self.kept) == self._most:
            self.kept, self._every = self.kept[::2], 2 * self._every


class Learner:
    """Keeps the features, levels and means of good windows, evenly spread over the time of learning."""

    def __init__(self, lines: int, mounting: Mounting | None = None) -> None:
        """Begin without a window.

        Args:
            lines: Number of bands of each axis; see `drsn_edge.signal.novelty.Novelty`.
            mounting: Mounting in training, which the sensor must match; None: unknown.
        """
        self._lines, self._trained_mounting = lines, mounting
        self._spread = Spread[_Kept](MOST_WINDOWS)
        self._examples = Spread[FloatArray](_MOST_EXAMPLES)
        self._last_s, self._stretch = -math.inf, -1
        self._turned = 0

    @property
    def windows(self) -> int:
        """Number of windows that were taken."""
        return self._spread.taken

    @property
    def newest_s(self) -> float:
        """Device time of the last window in seconds; minus infinity before the first."""
        return self._last_s

    def take(self, window: FloatArray, time_s: float = 0.0) -> None:
        """Take a window of a healthy machine.

        Args:
            window: Shape (1, window, axes), in the contract's unit.
            time_s: Device time of its first sample, in seconds.
        """
        if not 0 <= time_s - self._last_s <= GAP_S:  # the clock starts again after a restart
            self._stretch += 1
        self._last_s = time_s
        centred = centre(window)
        if self._trained_mounting is not None:
            self._turned += bool(self._trained_mounting.is_turned(centred)[0])
        features = novelty_features_of(centred, self._lines)[0]
        relations = (
            features_of(centred)[0] if can_tell(*window.shape[1:]) else np.empty((0, window.shape[2] ** 2), "f4")
        )
        self._spread.add(_Kept(features, float(centred.rms[0]), self._stretch, centred.means[0], relations))
        self._examples.add(window[0])

    def heard(self) -> Heard:
        """Return what learning needs of the windows.

        Raises:
            LearningError: If there are too few.
        """
        kept = self._spread.kept
        expect_windows(len(kept))
        return Heard(
            self._lines,
            np.stack([each.features for each in kept]),
            np.array([each.level for each in kept]),
            np.array([each.stretch for each in kept], np.intp),
            np.full(len(kept), np.nan),
            np.stack([each.means for each in kept]),
            np.stack([each.relations for each in kept]),
        )

    def expect_as_in_training(self, axes: tuple[str, ...]) -> None:
        """Refuse a sensor whose axes are not arranged as in training.

        Args:
            axes: Names of the axes.

        Raises:
            LearningError: If most windows show another arrangement.
        """
        n = self.windows
        if self._turned > (1 - LEAST_AGREEMENT) * n:
            raise LearningError(
                f"The axes {', '.join(axes)} are not mounted as in training: in {self._turned} of {n} windows they "
                "move as if one were inverted or two were swapped. Mount the sensor as in training.",
                "axes_turned",
                axes=axes,
                got=self._turned,
                windows=n,
            )

    def examples(self) -> FloatArray:
        """Return some windows with their samples, spread over all, shape (n, window, axes)."""
        return np.stack(self._examples.kept)


def expect_windows(n: int) -> None:
    """Refuse to learn from few windows.

    Raises:
        LearningError: If there are fewer than `LEAST_WINDOWS`.
    """
    if n < LEAST_WINDOWS:
        words = f"Only {n} good windows were received; learning needs at least {LEAST_WINDOWS}. Listen for longer."
        raise LearningError(words, "too_few_windows", got=n, limit=LEAST_WINDOWS)
