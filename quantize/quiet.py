"""Keep log lines of C++ libraries off the user's terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class _Quiet:
    """What all threads share, because descriptor 2 belongs to the process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks = 0
        self.original: TextIO | None = None
        """The stderr from before the first of the blocks that run; None: none runs, or stderr was closed."""

    def enter(self) -> None:
        with self.lock:
            self.blocks += 1
            if self.blocks > 1:
                return
            try:
                saved = os.dup(2)
            except OSError:  # started with stderr closed: nothing to discard
                return
            self.original = open(saved, "w", encoding="utf-8")  # noqa: SIM115, closed by the last block
            with open(os.devnull, "wb") as sink:
                os.dup2(sink.fileno(), 2)

    def leave(self) -> None:
        with self.lock:
            self.blocks -= 1
            if self.blocks or self.original is None:
                return
            with self.original as original:
                self.original = None
                original.flush()
                os.dup2(original.fileno(), 2)


_QUIET = _Quiet()


@contextmanager
def quiet_native_stderr() -> Iterator[TextIO]:
    """Discard what is written to descriptor 2 while the block runs; yield a stream to the original stderr.

    Converters and interpreters log to descriptor 2, whatever Python's logging is set to. Failures are raised as
    exceptions. Blocks may overlap in several threads: the first one redirects the descriptor, and the last one restores
    it. Notes of other threads belong into `audible_stderr`.
    """
    _QUIET.enter()
    try:
        yield _QUIET.original or sys.stderr
    finally:
        _QUIET.leave()


@contextmanager
def audible_stderr() -> Iterator[TextIO | None]:
    """Yield a stream on which a person sees what is written, whatever other threads discard; write it at once.

    None: the program was started with stderr closed.
    """
    with _QUIET.lock:
        yield sys.stderr if _QUIET.original is None or not _is_descriptor_2() else _QUIET.original


def _is_descriptor_2() -> bool:
    """Tell whether Python's stderr is descriptor 2, and not what a test or a view put there."""
    try:
        return sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):  # closed, or no file
        return False
