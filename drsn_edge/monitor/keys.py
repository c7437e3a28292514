"""Keys pressed while a view is shown, read without waiting for Enter."""

from __future__ import annotations

import atexit
import os
import select
import sys
import termios
from contextlib import suppress
from typing import Any

_MOST = 64


class Keys:
    """The keys of a terminal, whose settings are restored at the end, also if the process ends early.

    There are no keys if the input is not a terminal, or belongs to another job.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Prepare to read a file descriptor; None: standard input."""
        self._descriptor = _standard_input() if descriptor is None else descriptor
        self._before: Any = None

    def __enter__(self) -> Keys:
        """Begin to read keys as they are pressed; Ctrl-C and the like keep their effect."""
        if self.is_ours:
            try:
                self._before = termios.tcgetattr(self._descriptor)
                mode = termios.tcgetattr(self._descriptor)
                mode[3] &= ~(termios.ICANON | termios.ECHO)
                mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, mode)
            except termios.error:
                self._before = None
        atexit.register(self._restore)
        return self

    def __exit__(self, *of: Any) -> None:
        """Restore the terminal."""
        self._restore()
        atexit.unregister(self._restore)

    @property
    def is_ours(self) -> bool:
        """Whether this process may read the terminal; reading would stop a process in the background."""
        try:
            return os.isatty(self._descriptor) and os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    @property
    def are_taken(self) -> bool:
        """Whether keys are read."""
        return self._before is not None

    def pressed(self) -> str:
        """Return the keys pressed since the last call, without waiting."""
        if not self.are_taken or not self.is_ours:
            return ""
        try:
            if not select.select([self._descriptor], [], [], 0)[0]:
                return ""
            return os.read(self._descriptor, _MOST).decode("ascii", errors="ignore")
        except (OSError, ValueError):
            return ""

    def _restore(self) -> None:
        if self._before is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
            self._before = None


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
