"""The system clock compared with a monotonic clock: when it jumps, and which of its readings to trust."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drsn_edge.support.wall_time import span_in_words

JUMP_S = 2.0
"""A system clock that is off by more than this, in seconds, has jumped. Smaller corrections (steps of NTP, a leap
second) add up until they exceed it."""

BELIEVED_AFTER_S = 600.0
"""Time in seconds after which a reading of the system clock is trusted instead of the one before."""

_AT_ONCE_S = 0.1
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def steady_s() -> float:
    """Return a monotonic clock in seconds that also runs during suspension."""
    return time.clock_gettime(_CLOCK)


def boot_id() -> str:
    """Return an id of this boot, within which `steady_s` continues; without one, an id of this process."""
    with suppress(OSError, UnicodeDecodeError):
        if found := _BOOT_ID.read_text(encoding="ascii").strip():
            return found
    return f"process {os.getpid()} at {steady_s()}"


@dataclass(frozen=True)
class Jump:
    """A jump of the system clock.

    Attributes:
        at_s: Time of the jump by the watch's own clock, in seconds since 1970.
        from_s: Reading that was expected of the system clock, in seconds since 1970.
        to_s: Its actual reading, in seconds since 1970.
    """

    at_s: float
    from_s: float
    to_s: float

    @property
    def words(self) -> str:
        """The jump in words, such as "set back by 45 s"."""
        way = "forward" if self.to_s > self.from_s else "back"
        return f"set {way} by {span_in_words(self.to_s - self.from_s)}"


class ClockWatch:
    """A clock that starts at the system time and never jumps, and a watch for jumps of the system clock."""

    def __init__(self, wall_s: Callable[[], float] | None = None, steady: Callable[[], float] | None = None) -> None:
        """Begin now.

        Args:
            wall_s: The system clock in seconds since 1970; None: `time.time`, and `steady_s` beside it.
            steady: A monotonic clock beside it; None: none. A clock alone is trusted, such as that of a log in a
                replay.
        """
        self._wall_s = wall_s or time.time
        if wall_s is None:
            steady = steady or steady_s
        self.is_alone = steady is None
        """Whether the clock is the only one, which cannot be seen to jump."""
        self._steady_s = steady or self._wall_s
        self.began_s, self.began_steady_s = self._read()
        """Start of the watch, by the system clock and by the monotonic clock."""
        self._ahead_s = 0.0

    @property
    def now_s(self) -> float:
        """Reading of the system clock if it had not been set since the start, in seconds since 1970."""
        return self.own_s(self.steady_now_s())

    def steady_now_s(self) -> float:
        """Return the monotonic clock in seconds."""
        return self._steady_s()

    def own_s(self, steady: float) -> float:
        """Return the watch's own clock at a time of the monotonic clock."""
        return self.began_s + (steady - self.began_steady_s)

    def look(self) -> Jump | None:
        """Compare both clocks; return each jump once."""
        if self.is_alone:
            return None
        wall_s, steady = self._read()
        own_s = self.own_s(steady)
        expected_s = own_s + self._ahead_s
        if abs(wall_s - expected_s) <= JUMP_S:
            return None
        self._ahead_s = wall_s - own_s
        return Jump(own_s, expected_s, wall_s)

    def _read(self) -> tuple[float, float]:
        """Return both clocks, read at once."""
        if self.is_alone:
            alone_s = self._wall_s()
            return alone_s, alone_s
        return at_once(self._wall_s, self._steady_s)


def at_once(clock_s: Callable[[], float], steady: Callable[[], float]) -> tuple[float, float]:
    """Read a clock and a monotonic clock again until both reads are close: a process stopped in between sees no jump.

    Returns:
        Both readings in seconds.
    """
    while True:
        before = steady()
        read_s = clock_s()
        after = steady()
        if abs(after - before) <= _AT_ONCE_S:
            return read_s, after


def believed_offset_s(held: Iterable[tuple[float, float]]) -> float:
    """Return the trusted offset of the system clock from the monotonic clock, of all offsets since boot.

    Args:
        held: Offsets in order, and how long each held, in seconds; at least one.

    The last offset that held for `BELIEVED_AFTER_S` in total is trusted: a clock is usually set right (a Raspberry Pi
    has no clock of its own, and gets the time from the network after its start), and a clock that was set wrong is soon
    set back. Before any offset has held so long, the one that held longest is trusted.
    """
    totals: dict[float, float] = {}
    for offset_s, held_s in held:
        known = next((each for each in totals if abs(each - offset_s) <= 2 * JUMP_S), offset_s)
        total_s = totals.pop(known, 0.0) + held_s
        totals[known] = total_s  # after all earlier offsets
    long = [offset_s for offset_s, total_s in totals.items() if total_s >= BELIEVED_AFTER_S]
    if long:
        return long[-1]
    return max(reversed(totals), key=totals.__getitem__)


class Once:
    """Passes a sentence on unless the same one, or too many others, were passed on recently."""

    def __init__(
        self,
        tell: Callable[[str], None],
        within_s: float = 3600.0,
        most: int = 20,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Pass at most `most` sentences to `tell` in `within_s` seconds, and each of them once."""
        self._tell, self._within_s, self._most, self._now_s = tell, within_s, most, now_s
        self._said: dict[str, float] = {}

    def __call__(self, text: str) -> None:
        """Pass a sentence on, or drop it."""
        now_s = self._now_s()
        self._said = {each: at_s for each, at_s in self._said.items() if now_s - at_s < self._within_s}
        if text not in self._said and len(self._said) < self._most:
            self._said[text] = now_s
            self._tell(text)
