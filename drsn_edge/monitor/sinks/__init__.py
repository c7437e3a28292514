"""Where results go: a sink takes one result at a time, and `close` ends it; each kind of output is a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from drsn_edge.errors import OutputError
from drsn_edge.monitor.stages.results import Result
from drsn_edge.support.notice import Notice

_LOGGER = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes results in the order in which they come, each in the thread of its sensor.

    `take` must not wait: what may, such as a network or a name server, belongs in a thread of the sink's own.
    """

    def take(self, result: Result) -> None:
        """Take in one result; OutputError as long as that is not possible: `Guarded` says it once, and when it ends."""
        ...

    def close(self) -> None:
        """Write what waits, and let go; harmless when repeated."""
        ...


WELL_AFTER_S = 60.0
"""An output that failed works again when nothing went wrong for so long: a full disk takes a little now and then."""


class Guarded:
    """A sink whose failure, whatever it is, is said once, until it has worked again for a minute, and stops nothing."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        tell: Callable[[str], None],
        passes: tuple[type[Exception], ...] = (),
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Guard `sink`.

        Args:
            name: What the output is called.
            sink: The output.
            tell: Given a sentence at each change.
            passes: Errors that are raised: after them there is nothing left to guard.
            now_s: A steady clock, seconds.
        """
        self.name, self._sink, self._tell, self._passes, self._now_s = name, sink, tell, passes, now_s
        self._well_since_s: float | None = None
        self.failing: str | None = None
        """Why it cannot be written now; None while it can, and again after it could for a minute."""

    def take(self, result: Result) -> None:
        """Take in one result."""
        self._try(lambda: self._sink.take(result))

    def close(self) -> None:
        """Close the sink; what it says to have lost until then is told, too, unless that was told before."""
        before, self.failing = self.failing, None
        self._try(self._sink.close, before)
        if before is not None and self.failing is None:
            self._tell(
                Notice(f"The {self.name} closed without a further failure; what it refused before may be missing.")
            )

    def _try(self, act: Callable[[], None], told: str | None = None) -> None:
        try:
            act()
        except self._passes:
            raise
        except Exception as exc:  # of libraries and files nobody knows what else they raise
            why = str(exc) if isinstance(exc, OutputError) else self._unexpected(exc)
            if self.failing is None and why != told:
                self._tell(why)
            self.failing, self._well_since_s = why, None
            return
        if self.failing is None:
            return
        if self._well_since_s is None:
            self._well_since_s = self._now_s()
        if self._now_s() - self._well_since_s >= WELL_AFTER_S:
            self._tell(Notice(f"The {self.name} can be written again."))
            self.failing = None

    def _unexpected(self, exc: Exception) -> str:
        _LOGGER.info("The %s failed.", self.name, exc_info=True)
        return f"Could not write the {self.name}: {exc or type(exc).__name__}. Verdicts go on."
