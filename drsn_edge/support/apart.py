"""A question to a fresh process of the same drsn-edge: arguments and bytes in, plain values out.

Code that may crash, use up the memory or never return runs there and cannot harm this process. The module that is asked
runs as the main program of that process (see `drsn_edge.support.fresh_process`) and answers by `answer_apart`.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from drsn_edge.support.fresh_process import python_command

NO_MESSAGE = "it wrote no message"


class ApartError(Exception):
    """The process gave no answer; the message says how it ended, such as "its process ended with exit code 1: ...".

    Attributes:
        exit_code: Exit code of the process; negative: the signal that ended it; None: it never started or never ended.
        last_words: Last line that the process wrote on stderr, or `NO_MESSAGE`.
    """

    def __init__(self, message: str, exit_code: int | None = None, last_words: str = "") -> None:
        """Keep the message and how the process ended."""
        super().__init__(message)
        self.exit_code, self.last_words = exit_code, last_words


class RefusedApartError(ApartError):
    """The module that was asked refused; the message comes from that module.

    Attributes:
        problem: Problem of the module's error; empty if it has none.
        facts: Facts of the module's error, each as text.
    """

    def __init__(self, message: str, problem: str = "", facts: Mapping[str, str] | None = None) -> None:
        """Keep the message, the problem and its facts."""
        super().__init__(message)
        self.problem, self.facts = problem, dict(facts or {})


class TimeoutApartError(ApartError):
    """The process took too long and was stopped."""


class KilledApartError(ApartError):
    """A signal ended the process, as happens when native code crashes.

    Attributes:
        signal: Number of the signal.
    """

    def __init__(self, number: int, last_words: str) -> None:
        """Name the signal and keep the last line that the process wrote on stderr."""
        super().__init__(
            f"its process was ended by signal {number}{_name_of(number)}: {last_words}", -number, last_words
        )
        self.signal = number


def ask_apart(module: str, *arguments: str, timeout_s: float, data: bytes = b"", to_its_end: bool = False) -> Any:
    """Return the answer of a module of drsn-edge that runs as the main program of a fresh process.

    Args:
        module: Module that is run, such as `drsn_edge.gateway.health_gate`.
        arguments: Arguments of the module.
        timeout_s: Time in seconds after which the process is stopped.
        data: Bytes that the process reads on stdin.
        to_its_end: Whether an answer counts only if no signal ends the process afterwards; some libraries crash when
            they release a device.

    Raises:
        RefusedApartError: If the module refused.
        TimeoutApartError: If it took too long.
        KilledApartError: If a signal ended the process.
        ApartError: If the process could not be started, or ended without an answer.
    """
    command = python_command(module, *arguments)
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as exc:
        raise TimeoutApartError(f"its process took longer than {timeout_s:g} s") from exc
    except OSError as exc:
        raise ApartError(f"its process could not be started: {exc}") from exc
    last = done.stderr.decode(errors="replace").strip().splitlines()
    words = last[-1] if last else NO_MESSAGE
    if to_its_end and done.returncode < 0:
        raise KilledApartError(-done.returncode, words)
    try:
        values = json.loads(done.stdout)
        if "refused" in values:
            raise RefusedApartError(str(values["refused"]), str(values["problem"]), values["facts"])
        return values["answer"]
    except (ValueError, KeyError, TypeError) as exc:
        if done.returncode < 0:
            raise KilledApartError(-done.returncode, words) from exc
        raise ApartError(
            f"its process ended with exit code {done.returncode}: {words}", done.returncode, words
        ) from exc


def answer_apart(work: Callable[[], Any], refusals: tuple[type[BaseException], ...]) -> None:
    """Print the result of `work` as the answer to `ask_apart`, or the message of one of `refusals` as a refusal."""
    try:
        values = {"answer": work()}
    except refusals as exc:
        facts = {name: str(value) for name, value in getattr(exc, "facts", {}).items()}
        values = {
            "refused": str(exc) or type(exc).__name__,
            "problem": getattr(exc, "problem", ""),
            "facts": facts,
        }
    print(json.dumps(values))


def _name_of(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""
