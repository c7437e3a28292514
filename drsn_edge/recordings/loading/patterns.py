"""Regular expressions of a catalogue, each matched within bounds of time.

A catalogue may come with somebody's recordings, and an expression such as `(a+)+b` can take longer than the universe is
old over one name. What is simple is matched here; a process of its own matches everything else, and is ended when
it takes too long.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
import threading
import time
import warnings
from typing import IO

MAX_PATTERN = 1000
"""Characters of an expression."""
MAX_NAME = 1024
"""Characters of a name; file systems stop at 255 bytes."""
NAME_S = 1.0
TOTAL_S = 10.0
"""For one name, and for all names that one expression is matched with."""
_START_S = 30.0
"""For the process to start, which a small machine that does other things takes its time for."""

_SIGNS = "*+?{|"
_MOST_SIGNS = 2
"""So few repeats and alternatives, none of them around a group, take some million steps over a name at most."""
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_GROUP = re.compile(r"(?<!\\)\(\?")
_VERBOSE = re.compile(r"\(\?[a-zA-Z-]*x")
"""There, blanks and comments may stand between a group and its repeat."""

# The kernel ends it after TOTAL_S of processor time, whatever becomes of the process that started it.
_CHILD = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({int(TOTAL_S) + 1}, {int(TOTAL_S) + 1}))
pattern = re.compile(json.loads(sys.stdin.readline()))
print("ready", flush=True)
for line in sys.stdin:
    match = pattern.search(json.loads(line))
    print(json.dumps(None if match is None else match.groupdict()), flush=True)
"""


class PatternError(ValueError):
    """An expression that is none, is too long, or takes too long."""


class NamePattern:
    """An expression that reads values from names; `close` ends the process that it may need."""

    def __init__(self, text: str) -> None:
        """Compile it.

        Raises:
            PatternError: If it is no regular expression, or one that is too long.
        """
        self._child: subprocess.Popen[str] | None = None
        if len(text) > MAX_PATTERN:
            raise PatternError(f"it has {len(text)} characters, at most {MAX_PATTERN} are taken")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what a later Python may read in another way
                compiled = re.compile(text)
        except (re.error, OverflowError, RecursionError, MemoryError) as exc:
            raise PatternError(str(exc) or type(exc).__name__) from exc
        self.text = text
        self.groups = frozenset(compiled.groupindex)
        self._compiled = compiled
        self._is_simple = is_simple(text)
        self._left_s = TOTAL_S
        self._lock = threading.Lock()

    def read(self, name: str) -> dict[str, str | None] | None:
        """Return what its groups are in a name, None where it does not match.

        Raises:
            PatternError: If the name is too long, or that takes too long.
        """
        if len(name) > MAX_NAME:
            raise PatternError(f"the name has {len(name)} characters, at most {MAX_NAME} are read")
        if self._is_simple:
            match = self._compiled.search(name)
            return None if match is None else match.groupdict()
        with self._lock:
            return self._read_elsewhere(name)

    def close(self) -> None:
        """End the process; harmless when repeated."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def __del__(self) -> None:
        """End the process of an expression that nobody needs any more."""
        self.close()

    def _read_elsewhere(self, name: str) -> dict[str, str | None] | None:
        child = self._child = self._child or self._start()
        began_s = time.monotonic()
        _send(child.stdin, name)
        answer = _line(child, min(NAME_S, self._left_s))
        self._left_s -= time.monotonic() - began_s
        if answer is None:
            self.close()
            raise PatternError(
                f"it takes too long over {name!r} (more than {NAME_S:g} s, or {TOTAL_S:g} s for all names)"
            )
        values: dict[str, str | None] | None = json.loads(answer)
        return values

    def _start(self) -> subprocess.Popen[str]:
        # Isolated: what lies in the current folder is not run.
        command = [sys.executable, "-I", "-S", "-c", _CHILD]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        _send(child.stdin, self.text)
        _line(child, _START_S)
        return child


def is_simple(text: str) -> bool:
    """Tell whether an expression can be matched in no time, by its signs alone: true is sure, false is not."""
    signs = sum(map(text.count, _SIGNS)) - len(_GROUP.findall(text))
    return signs <= _MOST_SIGNS and not (_REPEATED_GROUP.search(text) or _VERBOSE.search(text))


def _line(child: subprocess.Popen[str], limit_s: float) -> str | None:
    """Return the next line that the child writes, None if there is none in time."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], max(0.0, limit_s))
    return (child.stdout.readline() if ready else "") or None


def _send(pipe: IO[str] | None, text: str) -> None:
    assert pipe is not None
    try:
        pipe.write(json.dumps(text) + "\n")
        pipe.flush()
    except BrokenPipeError:  # it has ended: no answer will come
        return
