"""Evidence over more than one window: novelties of successive windows in, their median over a stated time out.

A single window may be unlike everything learned because something knocked on the machine once. The median over a
second is above the limit only if half of the second is. It is computed on novelties, so that it needs no memory but a
few numbers, and any novelty will do.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

TIME_S = 1.0
"""Time over which evidence is gathered, unless another is stated."""

_LATEST = 1.5
"""Multiple of the hop after which a window follows a gap."""


def windows_in(time_s: float, window_s: float, hop_s: float) -> int:
    """Return how many successive windows last for at least a time, at least 1.

    Args:
        time_s: Time that they shall last for, in seconds.
        window_s: Duration of a window in seconds.
        hop_s: Time from the start of one window to that of the next, in seconds.
    """
    return 1 + max(0, math.ceil((time_s - window_s) / hop_s - 1e-9))


def combined(novelties: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Return the median of every `count` successive novelties, (n,) to (n - count + 1,); empty if there are fewer."""
    values = np.nan_to_num(np.asarray(novelties, np.float64), nan=np.inf, posinf=np.inf)
    if len(values) < count:
        return np.empty(0)
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(values, count), axis=1)
    return np.asarray(0.5 * ordered[:, (count - 1) // 2] + 0.5 * ordered[:, count // 2])


class Evidence:
    """The novelty of a stream over a stated time; it starts again after a gap, as a damaged window leaves one."""

    def __init__(self, window_s: float, hop_s: float, time_s: float = TIME_S) -> None:
        """Begin with no window.

        Args:
            window_s: Duration of a window in seconds.
            hop_s: Time from the start of one window to that of the next, in seconds.
            time_s: Time over which evidence is gathered, in seconds.
        """
        self._hop_s = hop_s
        self._kept: deque[float] = deque(maxlen=windows_in(time_s, window_s, hop_s))
        self._last_s = math.nan

    def take(self, start_s: float, novelty: float) -> float:
        """Return the median novelty of the stated time up to this window, or of the time since the last gap.

        Args:
            start_s: Time of the first sample of the window, in seconds by any clock.
            novelty: Novelty of the window; NaN counts as unlike everything.
        """
        if not follows(self._last_s, start_s, self._hop_s):
            self._kept.clear()
        self._last_s = start_s
        self._kept.append(novelty)
        return float(combined(np.array(self._kept), len(self._kept))[0])


def follows(last_s: float, start_s: float, hop_s: float) -> bool:
    """Tell whether a window follows another one without a gap, by their times and the hop in seconds."""
    return 0 < start_s - last_s <= _LATEST * hop_s
