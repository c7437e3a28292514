"""Where results go. A sink has `take`, one result at a time, and `close`; each is a file of its own."""

from __future__ import annotations

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


class Guarded:
    """A sink whose failure is said once, until it works again, and stops nothing else."""

    def __init__(self, name: str, sink: Sink, tell: Callable[[str], None]) -> None:
        """Guard `sink`, an output called `name`; `tell` is given a sentence at each change."""
        self.name, self._sink, self._tell = name, sink, tell
        self._failing: str | None = None

    @property
    def failing(self) -> str | None:
        """Why it cannot be written now; None while it can."""
        return self._failing or getattr(self._sink, "trouble", None)  # of a broker, which its sink tells of by itself

    def take(self, result: Result) -> None:
        """Take in one result."""
        self._try(lambda: self._sink.take(result))

    def close(self) -> None:
        """Close the sink."""
        self._try(self._sink.close)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OutputError as exc:
            if self._failing is None:
                self._tell(str(exc))
            self._failing = str(exc)
            return
        if self._failing is not None:
            self._tell(Notice(f"The {self.name} can be written again."))
        self._failing = None
