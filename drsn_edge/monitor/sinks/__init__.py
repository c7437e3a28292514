"""Where results go: a sink takes one result at a time, and `close` ends it; each kind of output is a file."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from drsn_edge.errors import OutputError
from drsn_edge.monitor.stages.results import Result
from drsn_edge.support.notice import Notice

_LOGGER = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes results in order, each in the thread of its sensor.

    `take` must not block: work that may block, such as a network access, belongs in a thread of the sink's own.
    """

    def take(self, result: Result) -> None:
        """Take one result; raise OutputError while that is not possible: `Guarded` reports its begin and its end."""
        ...

    def close(self) -> None:
        """Write what is still waiting, and close; further calls do nothing."""
        ...


@runtime_checkable
class GatheringSink(Sink, Protocol):
    """A sink that may keep the results of a slice of time in `take`, to write them together in `flush`."""

    def flush(self) -> None:
        """Write what `take` kept, at the end of each slice; raise OutputError as `take` does."""
        ...


WELL_AFTER_S = 60.0
"""Time in seconds without an error after which a failed output works again: a full disk may still accept a little."""

MOST_ERRORS = 5
"""Most different errors of an output that are reported until it has worked again for `WELL_AFTER_S`: the text of an
error may change each time."""


class Guarded:
    """A sink whose failures stop nothing else; each is reported once until the sink has worked again for a minute."""

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
            name: Name of the output.
            sink: The output.
            tell: Called with a message at each change.
            passes: Errors that are raised, since the output cannot continue after them.
            now_s: Monotonic clock in seconds.
        """
        self.name, self._sink, self._tell, self._passes, self._now_s = name, sink, tell, passes, now_s
        self._flushed = sink.flush if isinstance(sink, GatheringSink) else None
        self._well_since_s: float | None = None
        self._told: set[str] = set()
        self.failing: str | None = None
        """Why it cannot be written now; None while it can, and after it has worked again for a minute."""

    def take(self, result: Result) -> None:
        """Take one result."""
        try:
            self._sink.take(result)
        except self._passes:
            raise
        except Exception as exc:  # libraries and files may raise anything
            self._fails(exc)
        else:
            if self.failing is not None:
                self._works()

    def flush(self) -> None:
        """Write what the sink kept of the slice that ends here."""
        if self._flushed is not None:
            self._try(self._flushed)

    def close(self) -> None:
        """Close the sink, and report the loss that it reports at the end, unless it was reported before."""
        before, self.failing = self.failing, None
        self._try(self._sink.close, math.inf)
        if before is not None and self.failing is None:
            self._tell(
                Notice(
                    f'The output "{self.name}" was closed without a further error; results from before may be missing '
                    "in it."
                )
            )

    def _try(self, act: Callable[[], None], most: float = MOST_ERRORS) -> None:
        try:
            act()
        except self._passes:
            raise
        except Exception as exc:
            self._fails(exc, most)
        else:
            if self.failing is not None:
                self._works()

    def _fails(self, exc: Exception, most: float = MOST_ERRORS) -> None:
        why = str(exc) if isinstance(exc, OutputError) else self._unexpected(exc)
        if why not in self._told and len(self._told) < most:
            self._told.add(why)
            self._tell(why)
        self.failing, self._well_since_s = why, None

    def _works(self) -> None:
        if self._well_since_s is None:
            self._well_since_s = self._now_s()
        if self._now_s() - self._well_since_s >= WELL_AFTER_S:
            self._tell(Notice(f'The output "{self.name}" can be written again.'))
            self.failing = None
            self._told.clear()

    def _unexpected(self, exc: Exception) -> str:
        _LOGGER.info("The output %s failed.", self.name, exc_info=True)
        return f'Could not write the output "{self.name}": {exc or type(exc).__name__}. Monitoring continues.'
