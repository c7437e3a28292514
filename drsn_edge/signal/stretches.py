"""Successive windows joined to stretches: windows that overlap in, stretches of a stated length out. NumPy only."""

from __future__ import annotations

import math

import numpy as np

from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.evidence import follows
from drsn_edge.signal.windows import FloatArray


class Stretches:
    """Joins windows as they come; a gap between two of them begins a new stretch."""

    def __init__(self, contract: SignalContract, samples: int) -> None:
        """Begin without a window.

        Args:
            contract: Signal contract of the windows.
            samples: Fewest samples of a stretch; it ends with the window that completes them.
        """
        self._contract, self._samples = contract, samples
        self._parts: list[FloatArray] = []
        self._last_s = math.nan

    def take(self, window: FloatArray, start_s: float) -> FloatArray | None:
        """Take a window; return the stretch that it completes, shape (n, axes), or None.

        Args:
            window: Shape (window, axes).
            start_s: Time of its first sample, in seconds by any clock.
        """
        if not follows(self._last_s, start_s, self._contract.hop_s):
            self._parts.clear()
        self._last_s = start_s
        self._parts.append(window[-self._contract.hop :].copy() if self._parts else window.copy())
        if sum(map(len, self._parts)) < self._samples:
            return None
        stretch = np.concatenate(self._parts)
        self._parts.clear()
        return stretch

    def clear(self) -> None:
        """Forget the windows that complete no stretch yet."""
        self._parts.clear()
