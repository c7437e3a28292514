"""Freshness of the decision: when blocks, windows and verdicts came, and when an unconfirmed decision is withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.verdicts import LINK_LOST, NO_SAMPLES, TOO_FEW_SAMPLES

STALLED_S = 2.0
"""Time in seconds, plus the length of one window, after which an unconfirmed decision is withdrawn."""


@dataclass(frozen=True)
class Withdrawal:
    """Reason to withdraw a decision without a window.

    Attributes:
        reason: Reason from `drsn_edge.verdicts`.
        first_sample: Index of the last known sample.
        device_time_s: Device time of that sample, in seconds.
    """

    reason: str
    first_sample: int
    device_time_s: float


class Freshness:
    """Records when events came, by the host's clock, and tells when the decision is too old."""

    def __init__(self) -> None:
        """Begin without expecting a window."""
        # Times of the last judged window (None while none is expected), the last block, the last window with a verdict.
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
        """Expect a window after a Hello, unless one is expected already: repeated Hellos alone extend no deadline."""
        if self._window_s is None or self._stale is not None:
            self.wait(now_s)

    def block(self, now_s: float, first_sample: int, device_time_s: float) -> None:
        """Record that samples came."""
        self._block_s, self._last_block = now_s, (first_sample, device_time_s)

    def window(self, result: WindowResult) -> None:
        """Record the result of a window of the last block."""
        self._window_s, self._stale = self._block_s, None
        self._last_window, self._last_reason = (result.first_sample, result.device_time_s), result.reason
        if result.is_measured:
            self._measured_s, self._last_reason = self._block_s, None

    def restart(self) -> None:
        """Reset indices and times after a restart of the sensor."""
        self._last_block = self._last_window = (0, 0.0)

    def judged_anew(self) -> None:
        """Forget withdrawals and reasons of the judge before."""
        self._stale = self._last_reason = None

    def link_lost(self) -> Withdrawal:
        """Expect no window any more; return the withdrawal of the decision."""
        self._window_s = self._stale = None
        return Withdrawal(LINK_LOST, *self._last_block)

    def expired(self, now_s: float, patience_s: float, has_verdict: Callable[[], bool]) -> Withdrawal | None:
        """Return why to withdraw the decision: no window comes any more, or all are damaged; None if it stays.

        Args:
            now_s: Time in seconds by the host's clock.
            patience_s: Time in seconds that a decision stays without confirmation by a window.
            has_verdict: Returns whether the decision is not NO_VERDICT.
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
