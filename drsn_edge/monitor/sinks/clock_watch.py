"""The system's clock beside one that nobody can set: where the first jumps, and which of its readings to believe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drsn_edge.support.wall_time import span_in_words

JUMP_S = 2.0
"""A clock that is further off than this from what it should say has jumped. Corrections below it (NTP's small steps, a
leap second) add up until they pass it."""

BELIEVED_AFTER_S = 600.0
"""A reading that has held for so long is believed in place of the one before."""

_AT_ONCE_S = 0.1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def steady_s() -> float:
    """Return a clock in seconds that only ever goes on, through suspension, too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """Return what names this start of the machine, within which `steady_s` goes on, or this process where none does."""
    with suppress(OSError, UnicodeDecodeError):
        if found := _BOOT_ID.read_text(encoding="ascii").strip():
            return found
    return f"process {os.getpid()} at {steady_s()}"


@dataclass(frozen=True)
class Jump:
    """The system's clock was set.

    Attributes:
        at_s: When, by the watch's own clock.
        from_s: What the system's clock should have said, seconds since 1970.
        to_s: What it said.
    """

    at_s: float
    from_s: float
    to_s: float

    @property
    def words(self) -> str:
        """What happened, for people."""
        way = "forward" if self.to_s > self.from_s else "back"
        return f"set {way} by {span_in_words(self.to_s - self.from_s)}"


class ClockWatch:
    """A clock of its own that begins at the system's time and never jumps, and what the system's does meanwhile."""

    def __init__(self, wall_s: Callable[[], float], steady: Callable[[], float] | None = None) -> None:
        """Begin now.

        Args:
            wall_s: The system's clock, seconds since 1970.
            steady: A clock that nobody sets; None: `steady_s` beside the system's clock, else none: a day that is
                replayed has one clock only, and what it says is taken as it is.
        """
        self.is_system = wall_s is time.time or steady is steady_s
        self._wall_s = wall_s
        self._steady_s = steady or (steady_s if self.is_system else wall_s)
        self.began_s, self.began_steady_s = self._read()
        """When it began, by the system's clock and by the steady one."""
        self._ahead_s = 0.0

    @property
    def now_s(self) -> float:
        """What the system's clock would say if nobody had set it since the beginning, seconds since 1970."""
        return self.own_s(self.steady_now_s())

    def steady_now_s(self) -> float:
        """Return the steady clock, seconds."""
        return self._steady_s()

    def own_s(self, steady: float) -> float:
        """Return the watch's own clock at a time of the steady one."""
        return self.began_s + (steady - self.began_steady_s)

    def look(self) -> Jump | None:
        """Compare both clocks; returns a jump once."""
        wall_s, steady = self._read()
        own_s = self.own_s(steady)
        expected_s = own_s + self._ahead_s
        if abs(wall_s - expected_s) <= JUMP_S:
            return None
        self._ahead_s = wall_s - own_s
        return Jump(own_s, expected_s, wall_s)

    def _read(self) -> tuple[float, float]:
        """Return both clocks, read at once: a process that is stopped between the two has seen no jump."""
        while True:
            before = self._steady_s()
            wall_s = self._wall_s()
            after = self._steady_s()
            if abs(after - before) <= _AT_ONCE_S or not self.is_system:
                return wall_s, after


def believed_offset_s(held: Iterable[tuple[float, float]]) -> float:
    """Return by how much the system's clock is ahead of the steady one, of all that it said since the machine started.

    Args:
        held: Offsets in their order, and how long each held, in seconds; at least one.

    The last one that held for `BELIEVED_AFTER_S` in all is believed: a clock that is set is set right as a rule (a
    Raspberry Pi has none of its own, and gets the time from the network after it has started), and one that was set
    wrong is soon set back. Before any has held so long, the one that held longest is.
    """
    totals: dict[float, float] = {}
    for offset_s, held_s in held:
        known = next((each for each in totals if abs(each - offset_s) <= 2 * JUMP_S), offset_s)
        total_s = totals.pop(known, 0.0) + held_s
        totals[known] = total_s  # behind all that were said before it
    long = [offset_s for offset_s, total_s in totals.items() if total_s >= BELIEVED_AFTER_S]
    if long:
        return long[-1]
    return max(reversed(totals), key=totals.__getitem__)


class Once:
    """Passes a sentence on unless the same one, or very many others, were said a short while ago."""

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
        """Say it, or not."""
        now_s = self._now_s()
        self._said = {each: at_s for each, at_s in self._said.items() if now_s - at_s < self._within_s}
        if text not in self._said and len(self._said) < self._most:
            self._said[text] = now_s
            self._tell(text)
