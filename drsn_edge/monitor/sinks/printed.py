"""Standard output as one output among others: its reader may leave, and its disk may be full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import GatheringSink, Sink
from drsn_edge.monitor.stages.results import Result

_GONE = "Nobody reads standard output any more. Nothing more is printed; the other outputs continue."


class PrintedSink:
    """Prints by another sink, and distinguishes a reader that has gone from an output that cannot be written now."""

    def __init__(self, sink: Sink, stream: TextIO, *, alone: bool) -> None:
        """Print by `sink`, which writes to `stream`; `alone` tells that there is no other output."""
        self._sink, self._stream, self._alone = sink, stream, alone
        self._flushed = sink.flush if isinstance(sink, GatheringSink) else None
        self._is_terminal = stream.isatty()
        self._is_gone = False

    def take(self, result: Result) -> None:
        """Print one result, or keep it until `flush`.

        Raises:
            BrokenPipeError: If the reader has gone and there is no other output.
            OutputError: If the reader has gone and there are other outputs, or printing fails.
        """
        self._print(self._sink.take, result)

    def flush(self) -> None:
        """Print what was kept of the slice that ends here; raises as `take` does."""
        if self._flushed is not None:
            self._print(self._flushed)

    def close(self) -> None:
        """Print what was kept; raises as `take` does."""
        self._print(self._sink.close)

    def _print(self, act: Callable[..., None], *of: Any) -> None:
        if self._is_gone:
            raise OutputError(_GONE, "reader_gone")
        try:
            act(*of)
        except OSError as exc:
            if not self._means_gone(exc):
                words = f"Could not print results: {exc.strerror}. They are lost until printing works again."
                raise OutputError(words, "cannot_print", reason=exc.strerror) from exc
            if self._alone:
                raise BrokenPipeError(errno.EPIPE, "nobody reads standard output any more") from exc
            self._is_gone = True
            self._discard()
            raise OutputError(_GONE, "reader_gone") from exc

    def _means_gone(self, exc: OSError) -> bool:
        """Tell whether an error means a pipe without a reader, or a closed terminal."""
        return exc.errno == errno.EPIPE or (exc.errno == errno.EIO and self._is_terminal)

    def _discard(self) -> None:
        """Discard buffered output, since the interpreter would fail to flush it at its end."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
