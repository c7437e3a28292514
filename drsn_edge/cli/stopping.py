"""Ending cleanly at Ctrl-C or when a service manager asks."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signal(duration_s: float | None = None) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop: after SIGINT or SIGTERM, or when the duration is over.

    A second signal ends the process the hard way, so that nothing can hang on for good.
    """
    deadline = None if duration_s is None else time.monotonic() + duration_s
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked or (deadline is not None and time.monotonic() >= deadline)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def on_signal(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Call `act`, which should be quick, whenever that signal comes."""
    previous = signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(number, previous)
