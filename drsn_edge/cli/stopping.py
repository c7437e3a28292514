"""Ending cleanly at Ctrl-C or when a service manager asks."""

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
    """What was asked to stop has not ended within its time."""


@contextmanager
def stop_on_signal(duration_s: float | None = None, within_s: int | None = None) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop: after SIGINT or SIGTERM, or when the duration is over.

    A second signal ends the process the hard way, so that nothing can hang on for good.

    Args:
        duration_s: After which to stop; None: never.
        within_s: The most that may pass between the first signal and the end of the block, then `HangsError` is
            raised in it; what does not end in two seconds more, or after a second signal, is not waited for. None: any.
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
        if hangs:  # what ends the block waits as well, such as for a terminal that is stopped
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
    """Say why, where that can be said at once, and end the process with 1, whatever its threads wait for."""
    with suppress(OSError, ValueError):
        stderr = sys.stderr.fileno()
        if select.select([], [stderr], [], 0)[1]:
            os.write(stderr, f"{why}\n".encode())
    os._exit(1)


@contextmanager
def on_signal(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Call `act`, which should be quick, whenever that signal comes."""
    previous = signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(number, previous)
