"""Standard output as one output among others: its reader may leave, its disk may be full."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TextIO

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import Sink
from drsn_edge.monitor.stages.results import Result

_GONE = "Nobody reads standard output any more. What would be printed is lost from here on; the other outputs go on."


class PrintedSink:
    """Prints by another sink; knows a reader that has gone from an output that cannot be written now."""

    def __init__(self, sink: Sink, stream: TextIO, *, alone: bool) -> None:
        """Print by `sink`, which writes to `stream`; `alone` tells that there is no other output to go on for."""
        self._sink, self._stream, self._alone = sink, stream, alone
        self._is_terminal = stream.isatty()
        self._is_gone = False

    def take(self, result: Result) -> None:
        """Print one result.

        Raises:
            BrokenPipeError: If the reader has gone and there is no other output: there is nothing left to do.
            OutputError: If it has gone and there are others.
        """
        if self._is_gone:
            raise OutputError(_GONE)
        try:
            self._sink.take(result)
        except OSError as exc:
            if not self._means_gone(exc):
                raise OutputError(f"Could not print results: {exc.strerror}. They are lost until it works.") from exc
            if self._alone:
                raise BrokenPipeError(errno.EPIPE, "nobody reads standard output any more") from exc
            self._is_gone = True
            self._discard()
            raise OutputError(_GONE) from exc

    def close(self) -> None:
        """Nothing waits; OutputError if the reader has gone."""
        if self._is_gone:
            raise OutputError(_GONE)

    def _means_gone(self, exc: OSError) -> bool:
        """Tell a pipe without reader, or a terminal that was closed."""
        return exc.errno == errno.EPIPE or (exc.errno == errno.EIO and self._is_terminal)

    def _discard(self) -> None:
        """Let what is still buffered go nowhere, or the interpreter fails at it when it ends."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
