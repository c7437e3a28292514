"""Errors in words, and a limit for messages that may come a thousand times a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from drsn_edge.errors import DrsnEdgeError
from firmware_bridge.errors import FirmwareBridgeError
from quantize.errors import QuantizeError


class Sparing:
    """Passes on the first few sentences of each period, and counts those that follow."""

    def __init__(
        self,
        tell: Callable[[str], object],
        most: int = 5,
        period_s: float = 60.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without a period.

        Args:
            tell: Called with each sentence that is passed on.
            most: Sentences that are passed on in one period.
            period_s: Length of a period in seconds, from its first sentence.
            now_s: Monotonic clock.
        """
        self._tell, self._most, self._period_s, self._now_s = tell, most, period_s, now_s
        self._began_s, self._told, self._untold = 0.0, 0, 0

    def __call__(self, sentence: str) -> None:
        """Pass a sentence on, or count it."""
        self.look()
        if not self._told:
            self._began_s = self._now_s()
        if self._told < self._most:
            self._told += 1
            self._tell(sentence)
        else:
            self._untold += 1

    def look(self) -> None:
        """Report the count if the period is over; call it from time to time."""
        if self._told and self._now_s() - self._began_s >= self._period_s:
            self.close()

    def close(self) -> None:
        """Report how many sentences were counted, and end the period."""
        untold, self._told, self._untold = self._untold, 0, 0
        if untold:
            self._tell(f"{untold} more messages of this kind were suppressed.")


def is_expected(error: BaseException) -> bool:
    """Tell whether an error was raised on purpose or by the system, and is not a bug of this program."""
    return isinstance(error, DrsnEdgeError | FirmwareBridgeError | QuantizeError | OSError)


def in_words(error: BaseException) -> str:
    """Return the text of an error for people."""
    if is_expected(error):
        return str(error)
    return (
        f"Internal error: {type(error).__name__}: {error}. This is a bug in drsn-edge. Please report it with the "
        "output of `drsn-edge -v monitor`."
    )
