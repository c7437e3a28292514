"""A machine that is unlike what was learned: the windows since then, what they differ in, and what that resembles."""

from __future__ import annotations

from collections import deque

import numpy as np

from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.difference import Difference
from drsn_edge.signal.differences import differences
from drsn_edge.signal.evidence import TIME_S, windows_in
from drsn_edge.signal.likeness import NOT_LOCATED
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.resemblance import LOWEST_HZ, Naming, can_name, stretch_samples
from drsn_edge.signal.stretches import Stretches
from drsn_edge.signal.windows import FloatArray


class Unlike:
    """The last windows of a machine that is unlike what was learned; a window that is like it ends them.

    A name needs a whole stretch of such windows without a gap, and the same answer from two stretches in a row: an
    answer that changes from second to second is a guess.
    """

    def __init__(self, contract: SignalContract, naming: Naming | None, shaft_hz: float | None) -> None:
        """Begin with a machine as it was learned.

        Args:
            contract: Signal contract of the windows.
            naming: What changes are named by; None: nothing is named.
            shaft_hz: Turns of the shaft per second; None: unknown. Nothing is named then, nor if `can_name` is False.
        """
        self._contract, self._shaft_hz = contract, shaft_hz
        rate = contract.sample_rate_hz
        self._naming = naming if shaft_hz is not None and can_name(rate, shaft_hz) else None
        self._windows: deque[FloatArray] = deque(maxlen=windows_in(TIME_S, contract.window / rate, contract.hop_s))
        self._stretches = Stretches(contract, stretch_samples(rate, max(shaft_hz or 1.0, LOWEST_HZ)))
        self._said = self._label = NOT_LOCATED

    @property
    def is_so(self) -> bool:
        """Whether the machine is unlike what was learned."""
        return bool(self._windows)

    @property
    def resembles(self) -> str | None:
        """What the windows resemble: `not located`, or a label of `likeness.LABELS`; None: changes are not named."""
        return None if self._naming is None else self._label

    def clear(self) -> None:
        """Forget all windows, since the machine is as it was learned, or not known."""
        if self._windows:
            self._windows.clear()
            self._stretches.clear()
            self._said = self._label = NOT_LOCATED

    def take(self, window: FloatArray, start_s: float) -> None:
        """Take an unlike window.

        Args:
            window: Window in the contract's unit, shape (1, window, axes).
            start_s: Time of its first sample, in seconds by any clock.
        """
        self._windows.append(window[0].copy())  # not the whole batch
        if self._naming is None or self._shaft_hz is None:
            return
        stretch = self._stretches.take(window[0], start_s)
        if stretch is not None:
            said = self._naming.label_of(stretch, self._contract.sample_rate_hz, self._shaft_hz)
            self._label = said if said == self._said else NOT_LOCATED
            self._said = said

    def differences(self, novelty: Novelty) -> tuple[Difference, ...]:
        """Return what differs most from what was learned in the last second of these windows, at least one."""
        contract = self._contract
        return differences(novelty, np.stack(self._windows), contract.sample_rate_hz, contract.axes)
