"""The baud rate of a device that does not say it: other rates are tried where no HELLO comes at the usual one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

from firmware_bridge.boards import BAUD_RATES
from firmware_bridge.sources.link import Link, has_rate
from firmware_bridge.wire.foreign import is_readable

PROBE_S = 10.0
"""How long other rates are tried, where none was asked for and no HELLO comes at the usual one."""
_PROBE_EACH_S = 1.6
"""At each, in turns: IDENTIFY is repeated every half second. The port stays open, so that no board restarts."""


class BaudProbe:
    """The rates at which a device is asked who it is."""

    def __init__(
        self,
        link: Link,
        may_probe: bool,
        on_baud_rate: Callable[[int], None] | None,
        on_bytes: Callable[[bytes], None] | None,
    ) -> None:
        """Begin at the rate that the link has.

        Args:
            link: It is turned to other rates where needed.
            may_probe: Whether other rates may be tried; not on a port to which they do not matter.
            on_baud_rate: Told of a rate other than the first at which a HELLO came.
            on_bytes: Given what came at the rate that is right, as soon as that is known.
        """
        self._link, self._on_baud_rate, self._on_bytes = link, on_baud_rate, on_bytes
        self._may_probe = may_probe and has_rate(link.port)
        self._tried = [link.baud_rate]
        self._rates: Iterator[int] = iter(())
        self._until_s = self._rate_until_s = 0.0
        self._held: list[bytes] | None = [] if self._may_probe else None
        self.foreign_bytes = 0
        """That came at the rates before the one that is tried now."""

    @property
    def rates_in_words(self) -> str:
        """The rates that were tried."""
        return " or ".join(map(str, self._tried))

    def take(self, data: bytes, is_right: bool) -> None:
        """Hand bytes on, or hold them back as long as the rate may be wrong."""
        if self._held is None:
            self._hand_on(data)
            return
        self._held.append(data)
        if not is_right:
            return
        if len(self._tried) > 1 and self._on_baud_rate is not None:
            self._on_baud_rate(self._link.baud_rate)
        self._hand_on(self._settle())

    def give_up(self) -> None:
        """Try no other rate, and hand on what was held back until one was known to be right."""
        rest = self._settle()
        if rest:
            self._hand_on(rest)

    def go_on(self, first_bytes: bytes, now_s: float) -> bool | None:
        """Return whether another rate is tried from now on; None if none is left to try."""
        if not self._may_probe:
            return None
        if not self._until_s:
            if is_readable(first_bytes):
                return None
            self._until_s = now_s + PROBE_S
            self._rates = cycle(rate for rate in BAUD_RATES if rate != self._link.baud_rate)
        elif now_s < self._rate_until_s:
            return False
        if now_s >= self._until_s:
            return None
        self._rate_until_s = now_s + _PROBE_EACH_S
        return self._turn_to(next(self._rates))

    def _turn_to(self, rate: int) -> bool:
        if not self._link.set_baud_rate(rate):
            self._rate_until_s = 0.0
            return False
        self._held = []
        if rate not in self._tried:
            self._tried.append(rate)
        return True

    def _settle(self) -> bytes:
        """Stay at this rate; return what was held back."""
        data, self._held, self._may_probe = b"".join(self._held or ()), None, False
        return data

    def _hand_on(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(data)
