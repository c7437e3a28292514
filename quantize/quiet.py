"""Keep the chatter of C++ libraries off the user's terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def quiet_native_stderr() -> Iterator[TextIO]:
    """Send what is written to descriptor 2 nowhere while the block runs; yield a stream to where it went before.

    Converters and interpreters log to the descriptor whatever Python's logging says. What they fail at comes as an
    exception.
    """
    try:
        saved = os.dup(2)
    except OSError:  # started with stderr closed: nothing to keep quiet
        yield sys.stderr
        return
    with open(os.devnull, "wb") as sink, open(saved, "w", encoding="utf-8") as before:
        os.dup2(sink.fileno(), 2)
        try:
            yield before
        finally:
            os.dup2(saved, 2)
