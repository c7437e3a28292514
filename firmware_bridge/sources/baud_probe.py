"""Search for the baud rate of a device: other rates are tried if no HELLO comes at the default one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

from firmware_bridge.boards import BAUD_RATES
from firmware_bridge.sources.link import Link, has_rate
from firmware_bridge.wire.foreign import is_readable

PROBE_S = 10.0
"""Seconds for which other baud rates are tried, if none was given and no HELLO comes at the default one."""
_PROBE_EACH_S = 1.6
"""Seconds at each rate before the next: IDENTIFY is sent every half second. The port stays open, so no board resets."""


class BaudProbe:
    """The baud rates at which a device is asked to identify itself."""

    def __init__(
        self,
        link: Link,
        may_probe: bool,
        on_baud_rate: Callable[[int], None] | None,
        on_bytes: Callable[[bytes], None] | None,
    ) -> None:
        """Begin at the current rate of the link.

        Args:
            link: Link whose rate is changed.
            may_probe: Whether other rates may be tried; ignored on a port without a baud rate.
            on_baud_rate: Called with the rate at which a HELLO came, if it is not the first one.
            on_bytes: Called with the bytes received at the right rate, as soon as that is known.
        """
        self._link, self._on_baud_rate, self._on_bytes = link, on_baud_rate, on_bytes
        self._may_probe = may_probe and has_rate(link.port)
        self._tried = [link.baud_rate]
        self._rates: Iterator[int] = iter(())
        self._until_s = self._rate_until_s = 0.0
        self._held: list[bytes] | None = [] if self._may_probe else None
        self.foreign_bytes = 0
        """Bytes received at earlier rates than the current one."""

    @property
    def tried(self) -> tuple[int, ...]:
        """The baud rates that were tried."""
        return tuple(self._tried)

    def take(self, data: bytes, is_right: bool) -> None:
        """Pass bytes on, or hold them back while the rate may be wrong."""
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
        """Try no other rate, and pass on the bytes held back."""
        rest = self._settle()
        if rest:
            self._hand_on(rest)

    def go_on(self, first_bytes: bytes, now_s: float) -> bool | None:
        """Return True if another rate is tried from now on, False if the current one has time left, None at the end."""
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
        """Stay at this rate; return the bytes held back."""
        data, self._held, self._may_probe = b"".join(self._held or ()), None, False
        return data

    def _hand_on(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(data)
