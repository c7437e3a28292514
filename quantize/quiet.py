"""Keep log lines of C++ libraries off the user's terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def quiet_native_stderr() -> Iterator[TextIO]:
    """Discard what is written to descriptor 2 while the block runs; yield a stream to the original stderr.

    Converters and interpreters log to descriptor 2, whatever Python's logging is set to. Failures are raised as
    exceptions.
    """
    try:
        saved = os.dup(2)
    except OSError:  # started with stderr closed: nothing to discard
        yield sys.stderr
        return
    with open(os.devnull, "wb") as sink, open(saved, "w", encoding="utf-8") as before:
        os.dup2(sink.fileno(), 2)
        try:
            yield before
        finally:
            os.dup2(saved, 2)
