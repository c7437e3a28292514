"""The outputs of one station: its sinks, its log, its captures, and why any of them cannot be written now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Protocol

from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.stages.results import Result


class Output(Protocol):
    """What is written beside the sinks."""

    @property
    def failing(self) -> str | None:
        """Why it cannot be written now; None while it can."""
        ...

    def close(self) -> None:
        """Write what waits, and let go."""


class Outputs:
    """Passes results to sinks, which are opened once, and closes everything at the end."""

    def __init__(self, shown: Sink) -> None:
        """Begin with `shown` alone, which takes each result after all others."""
        self._shown = shown
        self.troubles: dict[str, Callable[[], str | None]] = {}
        """Of outputs that tell of their troubles themselves: why one cannot be written now."""
        self._named: dict[str, Output] = {}
        self._sinks: list[Sink] | None = None
        self._closing = ExitStack()

    @property
    def are_open(self) -> bool:
        """Whether the sinks were opened."""
        return self._sinks is not None

    @property
    def failing(self) -> Mapping[str, str | None]:
        """Why each output that may fail cannot be written now, None where it can. It may be asked by any thread."""
        troubles = {name: ask() for name, ask in list(self.troubles.items())}
        return {name: each.failing or troubles.get(name) for name, each in list(self._named.items())}

    def name(self, name: str, output: Output) -> None:
        """Report of an output under this name; whoever opened it closes it."""
        self._named[name] = output

    def keep(self, name: str, output: Output) -> None:
        """Report of an output under this name, and close it with the others."""
        self._closing.callback(output.close)
        self.name(name, output)

    def open(self, sinks: Iterable[Sink]) -> None:
        """Take each sink as it is opened, and close them all if one is refused."""
        opened: list[Sink] = []
        with ExitStack() as stack:
            for each in sinks:
                stack.callback(each.close)  # of each as soon as it is there: the next may be refused
                opened.append(each)
                if isinstance(each, Guarded):
                    self.name(each.name, each)
            self._closing.push(stack.pop_all())
        self._sinks = opened

    def take(self, result: Result) -> None:
        """Pass a result to every sink."""
        for each in self._sinks or ():
            each.take(result)
        self._shown.take(result)

    def close(self) -> None:
        """Close everything, the last one first; harmless when repeated."""
        self._sinks = None
        self._closing.close()
