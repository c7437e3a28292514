"""The outputs of one station: its sinks, its log, its captures, and why any of them cannot be written now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Protocol

from drsn_edge.monitor.sinks import GatheringSink, Guarded, Sink
from drsn_edge.monitor.stages.results import Result


class Output(Protocol):
    """An output beside the sinks."""

    @property
    def failing(self) -> str | None:
        """Why it cannot be written now; None while it can."""
        ...

    def close(self) -> None:
        """Write what is still waiting, and close."""


class Outputs:
    """Passes results to the sinks, which are opened once, and closes all outputs at the end."""

    def __init__(self, shown: Sink) -> None:
        """Begin with the sink `shown` alone, which gets each result after all other sinks."""
        self._shown = shown
        self.troubles: dict[str, Callable[[], str | None]] = {}
        """Functions, by output, that return why the output cannot be written now."""
        self._named: dict[str, Output] = {}
        self._takes: list[Callable[[Result], None]] = []
        self._flushes: list[Callable[[], None]] = []
        self._is_open = False
        self._closing = ExitStack()

    @property
    def are_open(self) -> bool:
        """Whether the sinks were opened."""
        return self._is_open

    @property
    def failing(self) -> Mapping[str, str | None]:
        """Why each output that may fail cannot be written now, None if it can. Any thread may read it."""
        troubles = {name: ask() for name, ask in list(self.troubles.items())}
        return {name: each.failing or troubles.get(name) for name, each in list(self._named.items())}

    def name(self, name: str, output: Output) -> None:
        """Report an output under this name; whoever opened it closes it."""
        self._named[name] = output

    def keep(self, name: str, output: Output) -> None:
        """Report an output under this name, and close it with the others."""
        self._closing.callback(output.close)
        self.name(name, output)

    def open(self, sinks: Iterable[Sink]) -> None:
        """Take each sink as it is opened, and close all of them if one cannot be opened."""
        opened: list[Sink] = []
        with ExitStack() as stack:
            for each in sinks:
                stack.callback(each.close)  # at once, since opening the next sink may fail
                opened.append(each)
                if isinstance(each, Guarded):
                    self.name(each.name, each)
            self._closing.push(stack.pop_all())
        self._takes = [each.take for each in opened]
        self._flushes = [each.flush for each in opened if isinstance(each, GatheringSink)]
        self._is_open = True

    def take(self, result: Result) -> None:
        """Pass a result to every sink."""
        for take in self._takes:
            take(result)
        self._shown.take(result)

    def flush(self) -> None:
        """Let every sink write what it kept of the slice that ends here."""
        for flush in self._flushes:
            flush()

    def close(self) -> None:
        """Close everything, the last one first; further calls do nothing."""
        self._takes, self._flushes, self._is_open = [], [], False
        self._closing.close()
