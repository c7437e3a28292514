"""Telling people what went wrong, and what may come a thousand times a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from drsn_edge.errors import DrsnEdgeError
from firmware_bridge.errors import FirmwareBridgeError
from quantize.errors import QuantizeError


class Sparing:
    """Tells the first few sentences of each period, and of those that follow only how many they were."""

    def __init__(
        self,
        tell: Callable[[str], object],
        most: int = 5,
        period_s: float = 60.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            tell: Given a sentence.
            most: Sentences that are told in a period.
            period_s: Its length in seconds, from the first sentence on.
            now_s: A steady clock.
        """
        self._tell, self._most, self._period_s, self._now_s = tell, most, period_s, now_s
        self._began_s, self._told, self._untold = 0.0, 0, 0

    def __call__(self, sentence: str) -> None:
        """Tell a sentence, or count it."""
        self.look()
        if not self._told:
            self._began_s = self._now_s()
        if self._told < self._most:
            self._told += 1
            self._tell(sentence)
        else:
            self._untold += 1

    def look(self) -> None:
        """Tell how many there were if the period is over; to be called now and then."""
        if self._told and self._now_s() - self._began_s >= self._period_s:
            self.close()

    def close(self) -> None:
        """Tell how many there were, and begin another period."""
        untold, self._told, self._untold = self._untold, 0, 0
        if untold:
            self._tell(f"{untold} more messages of this kind came since, and were left out.")


def is_expected(error: BaseException) -> bool:
    """Tell an error that was raised on purpose, or by the system, from a mistake of this program."""
    return isinstance(error, DrsnEdgeError | FirmwareBridgeError | QuantizeError | OSError)


def in_words(error: BaseException) -> str:
    """Return what a person should read of an error."""
    if is_expected(error):
        return str(error)
    return (
        f"Internal error: {type(error).__name__}: {error}. This is a mistake of drsn-edge: please report it with what "
        "`drsn-edge -v monitor` says."
    )
