"""Where results go. A sink has `take`, one result at a time, and `close`; each is a file of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from drsn_edge.errors import OutputError
from drsn_edge.monitor.results import Result
from drsn_edge.notice import Notice


class Sink(Protocol):
    """Takes results in the order in which they come."""

    def take(self, result: Result) -> None:
        """Take in one result; OutputError where that is not possible now."""
        ...

    def close(self) -> None:
        """Write what waits, and let go; harmless when repeated."""
        ...


WELL_AFTER_S = 60.0
"""An output that failed works again when nothing went wrong for so long: a full disk takes a little now and then."""


class Guarded:
    """A sink whose failure is said once, until it has worked again for a minute, and stops nothing else."""

    def __init__(
        self, name: str, sink: Sink, tell: Callable[[str], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Guard `sink`, an output called `name`; `tell` is given a sentence at each change. `now_s` is steady."""
        self.name, self._sink, self._tell, self._now_s = name, sink, tell, now_s
        self._well_since_s: float | None = None
        self.failing: str | None = None
        """Why it cannot be written now; None while it can, and again after it could for a minute."""

    def take(self, result: Result) -> None:
        """Take in one result."""
        self._try(lambda: self._sink.take(result))

    def close(self) -> None:
        """Close the sink; what it could not write until then is said to be lost, whatever was said before."""
        before, self.failing = self.failing, None
        self._try(self._sink.close)
        if before is not None and self.failing is None:
            self._tell(Notice(f"The {self.name} could be written again at the end."))

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OutputError as exc:
            if self.failing is None:
                self._tell(str(exc))
            self.failing, self._well_since_s = str(exc), None
            return
        if self.failing is None:
            return
        if self._well_since_s is None:
            self._well_since_s = self._now_s()
        if self._now_s() - self._well_since_s >= WELL_AFTER_S:
            self._tell(Notice(f"The {self.name} can be written again."))
            self.failing = None
