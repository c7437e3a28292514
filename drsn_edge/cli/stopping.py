"""Clean ends at Ctrl-C or at the request of a service manager."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_UNWINDS_WITHIN_S = 2


class HangsError(Exception):
    """A block that was asked to stop did not end in time."""


@contextmanager
def stop_on_signal(duration_s: float | None = None, within_s: int | None = None) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop: after SIGINT or SIGTERM, or after the duration.

    A second signal raises KeyboardInterrupt, so that nothing can hang for good.

    Args:
        duration_s: Seconds after which to stop; None: never.
        within_s: Seconds from the first signal until `HangsError` is raised in the block. If the block does not end two
            seconds later, or after a second signal, the process ends at once. None: no limit.
    """
    deadline = None if duration_s is None else time.monotonic() + duration_s
    asked = hangs = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked, hangs
        if asked:
            if within_s is not None:
                hangs = True
                signal.alarm(_UNWINDS_WITHIN_S)
            raise KeyboardInterrupt
        asked = True
        if within_s is not None:
            signal.alarm(within_s)

    def wake(number: int, frame: FrameType | None) -> None:
        nonlocal hangs
        if hangs:  # the end of the block waits as well, such as for a stopped terminal
            os._exit(1)
        hangs = True
        signal.alarm(_UNWINDS_WITHIN_S)
        raise HangsError

    handlers = {signal.SIGINT: ask, signal.SIGTERM: ask, **({} if within_s is None else {signal.SIGALRM: wake})}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield lambda: asked or (deadline is not None and time.monotonic() >= deadline)
    finally:
        if within_s is not None:
            signal.alarm(0)
        for number, handler in previous.items():
            signal.signal(number, handler)


def leave(why: str) -> NoReturn:
    """Print the reason if stderr can be written at once, and end the process with 1, whatever threads wait for."""
    with suppress(OSError, ValueError):
        stderr = sys.stderr.fileno()
        if select.select([], [stderr], [], 0)[1]:
            os.write(stderr, f"{why}\n".encode())
    os._exit(1)


@contextmanager
def on_signal(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Call `act`, which must be quick, at each such signal."""
    previous = signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(number, previous)
