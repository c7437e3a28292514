"""How fresh a decision is: when blocks, windows and verdicts came, and what gives a decision up that none bears out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.verdicts import LINK_LOST, NO_SAMPLES, TOO_FEW_SAMPLES

STALLED_S = 2.0
"""What no window has borne out for so long and the time of one window must go."""


@dataclass(frozen=True)
class Withdrawal:
    """Why a decision must go that no window speaks against.

    Attributes:
        reason: In the words of `drsn_edge.verdicts`.
        first_sample: Index of the last sample that is known of.
        device_time_s: Sensor's time of that sample.
    """

    reason: str
    first_sample: int
    device_time_s: float


class Freshness:
    """Notes when something came, by the host's clock, and tells when the decision is too old."""

    def __init__(self) -> None:
        """Begin with nothing to wait for."""
        # When a window was last judged (None while there is nothing to wait for), a block came, a window had a verdict.
        self._window_s: float | None = None
        self._block_s = self._measured_s = 0.0
        self._stale: str | None = None
        self._last_reason: str | None = None
        self._last_block = self._last_window = (0, 0.0)

    def wait(self, now_s: float) -> None:
        """Expect a window from now on."""
        self._window_s = self._block_s = now_s
        self._stale = None

    def hello(self, now_s: float) -> None:
        """Expect a window of a sensor that described itself; one that only begins, again and again, says nothing."""
        if self._window_s is None or self._stale is not None:
            self.wait(now_s)

    def block(self, now_s: float, first_sample: int, device_time_s: float) -> None:
        """Samples came."""
        self._block_s, self._last_block = now_s, (first_sample, device_time_s)

    def window(self, result: WindowResult) -> None:
        """A window of the block that came last was judged."""
        self._window_s, self._stale = self._block_s, None
        self._last_window, self._last_reason = (result.first_sample, result.device_time_s), result.reason
        if result.is_measured:
            self._measured_s, self._last_reason = self._block_s, None

    def restart(self) -> None:
        """The sensor's indices and times begin again."""
        self._last_block = self._last_window = (0, 0.0)

    def judged_anew(self) -> None:
        """Another judge has withdrawn nothing yet, and seen no window."""
        self._stale = self._last_reason = None

    def link_lost(self) -> Withdrawal:
        """Expect nothing any more; return what that means for the decision."""
        self._window_s = self._stale = None
        return Withdrawal(LINK_LOST, *self._last_block)

    def expired(self, now_s: float, patience_s: float, has_verdict: Callable[[], bool]) -> Withdrawal | None:
        """Return why to give the decision up: no window comes any more, or all of them are damaged; None if it stands.

        Args:
            now_s: By the same clock as everything else.
            patience_s: How long a decision stands that no window bears out.
            has_verdict: Asked whether the decision names a class or UNKNOWN.
        """
        if self._window_s is None:
            return None
        if now_s - self._window_s >= patience_s:
            reason = NO_SAMPLES if now_s - self._block_s >= STALLED_S else TOO_FEW_SAMPLES
            if self._stale in (reason, NO_SAMPLES):
                return None
            self._stale = reason
            return Withdrawal(reason, *(self._last_block if reason == NO_SAMPLES else self._last_window))
        if self._last_reason and now_s - self._measured_s >= patience_s and has_verdict():
            return Withdrawal(self._last_reason, *self._last_window)
        return None
