"""Regular expressions of a catalogue, matched within a time limit.

A catalogue may come from a stranger, and an expression such as `(a+)+b` can take longer than the age of the universe to
match one name. A simple expression is matched in this process. Any other expression is matched in a child process,
which is killed when it takes too long.
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

from drsn_edge.support.invalid import InvalidValueError

MAX_PATTERN = 1000
"""Characters of an expression."""
MAX_NAME = 1024
"""Characters of a name; file systems stop at 255 bytes."""
NAME_S = 1.0
"""Time limit for one name, in seconds."""
TOTAL_S = 10.0
"""Time limit for all names that one expression is matched with, in seconds."""
_START_S = 30.0
"""Time limit for the start of the child process, in seconds: a small, busy machine is slow."""

_SIGNS = "*+?{|"
_MOST_SIGNS = 2
"""Most repeats and alternatives of a simple expression. If none is around a group, a match takes at most some million
steps for one name."""
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_GROUP = re.compile(r"(?<!\\)\(\?")
_VERBOSE = re.compile(r"\(\?[a-zA-Z-]*x")
"""A verbose expression may have blanks and comments between a group and its repeat."""

# The kernel kills the child after TOTAL_S of processor time, even if its parent has died.
_CHILD = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({int(TOTAL_S) + 1}, {int(TOTAL_S) + 1}))
pattern = re.compile(json.loads(sys.stdin.readline()))
print("ready", flush=True)
for line in sys.stdin:
    match = pattern.search(json.loads(line))
    print(json.dumps(None if match is None else match.groupdict()), flush=True)
"""


class PatternError(InvalidValueError):
    """An expression is not a regular expression, is too long, or takes too long to match."""


class NamePattern:
    """An expression that reads values from names; `close` kills its child process, if there is one."""

    def __init__(self, text: str) -> None:
        """Compile the expression.

        Raises:
            PatternError: If the text is not a regular expression, or is too long.
        """
        self._child: subprocess.Popen[str] | None = None
        if len(text) > MAX_PATTERN:
            raise PatternError(
                f"it has {len(text)} characters, and the limit is {MAX_PATTERN}",
                "pattern_too_long",
                got=len(text),
                limit=MAX_PATTERN,
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about syntax that a later Python may read differently
                compiled = re.compile(text)
        except (re.error, OverflowError, RecursionError, MemoryError) as exc:
            why = str(exc) or type(exc).__name__
            raise PatternError(why, "not_a_pattern", reason=why) from exc
        self.text = text
        self.groups = frozenset(compiled.groupindex)
        self._compiled = compiled
        self._is_simple = is_simple(text)
        self._left_s = TOTAL_S
        self._lock = threading.Lock()

    def read(self, name: str) -> dict[str, str | None] | None:
        """Return the text of each group in a name; None if the expression does not match.

        Raises:
            PatternError: If the name is too long, or the match takes too long.
        """
        if len(name) > MAX_NAME:
            raise PatternError(
                f"the name has {len(name)} characters, and the limit is {MAX_NAME}",
                "name_too_long",
                got=len(name),
                limit=MAX_NAME,
            )
        if self._is_simple:
            match = self._compiled.search(name)
            return None if match is None else match.groupdict()
        with self._lock:
            return self._read_in_child(name)

    def close(self) -> None:
        """Kill the child process; harmless when repeated."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def __del__(self) -> None:
        """Kill the child process of an expression that is no longer used."""
        self.close()

    def _read_in_child(self, name: str) -> dict[str, str | None] | None:
        child = self._child = self._child or self._start()
        began_s = time.monotonic()
        _send(child.stdin, name)
        answer = _line(child, min(NAME_S, self._left_s))
        self._left_s -= time.monotonic() - began_s
        if answer is None:
            self.close()
            raise PatternError(
                f"it takes too long for {name!r} (the limit is {NAME_S:g} s, and {TOTAL_S:g} s for all names)",
                "pattern_too_slow",
                name=name,
                limit_s=NAME_S,
                total_limit_s=TOTAL_S,
            )
        values: dict[str, str | None] | None = json.loads(answer)
        return values

    def _start(self) -> subprocess.Popen[str]:
        # -I -S: modules in the current folder are not imported.
        command = [sys.executable, "-I", "-S", "-c", _CHILD]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        _send(child.stdin, self.text)
        _line(child, _START_S)
        return child


def is_simple(text: str) -> bool:
    """Tell whether an expression is surely fast to match, judged by its characters; a false answer may be wrong."""
    signs = sum(map(text.count, _SIGNS)) - len(_GROUP.findall(text))
    return signs <= _MOST_SIGNS and not (_REPEATED_GROUP.search(text) or _VERBOSE.search(text))


def _line(child: subprocess.Popen[str], limit_s: float) -> str | None:
    """Return the next line that the child writes; None if none comes within the limit."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], max(0.0, limit_s))
    return (child.stdout.readline() if ready else "") or None


def _send(pipe: IO[str] | None, text: str) -> None:
    assert pipe is not None
    try:
        pipe.write(json.dumps(text) + "\n")
        pipe.flush()
    except BrokenPipeError:  # the child has ended: no answer will come
        return
