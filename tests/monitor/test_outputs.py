"""The outputs of a station: opened once, told in order, reported of, closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from refusals import refused

from drsn_edge.errors import OutputError
from drsn_edge.monitor.outputs import Outputs
from drsn_edge.monitor.requests import Requests
from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.stages.results import Result, WindowResult
from firmware_bridge.wire.events import Note

WINDOW = WindowResult.without_verdict(0, 0.0, "lost samples", 1)


@dataclass
class Kept:
    name: str
    log: list[str] = field(default_factory=list)
    failing: str | None = None

    def take(self, result: Result) -> None:
        self.log.append(f"{self.name} takes")
        if self.failing is not None:
            raise OutputError(self.failing)

    def close(self) -> None:
        self.log.append(f"{self.name} closes")


class Gathering(Kept):
    def flush(self) -> None:
        self.log.append(f"{self.name} writes")


def test_sinks_are_told_in_their_order_and_the_view_after_them() -> None:
    log = list[str]()
    outputs = Outputs(Kept("view", log))
    outputs.take(WINDOW)
    assert log == ["view takes"] and not outputs.are_open
    outputs.open([Kept("a", log), Kept("b", log)])
    outputs.take(WINDOW)
    assert log[1:] == ["a takes", "b takes", "view takes"] and outputs.are_open


def test_sinks_that_keep_a_slice_write_it_in_their_order() -> None:
    log = list[str]()
    outputs = Outputs(Kept("view", log))
    outputs.open([Gathering("a", log), Kept("b", log), Guarded("c", Gathering("c", log), lambda text: None)])
    outputs.take(WINDOW)
    outputs.flush()
    assert log == ["a takes", "b takes", "c takes", "view takes", "a writes", "c writes"]
    outputs.close()
    outputs.flush()
    outputs.take(WINDOW)
    assert log[6:] == ["c closes", "b closes", "a closes", "view takes"]


def test_a_sink_that_is_refused_closes_those_before_it() -> None:
    log = list[str]()

    def sinks() -> Iterator[Sink]:
        yield Kept("a", log)
        raise OutputError("the port is taken")

    outputs = Outputs(Kept("view", log))
    with refused(OutputError):
        outputs.open(sinks())
    assert log == ["a closes"] and not outputs.are_open


def test_everything_is_closed_once_the_last_first() -> None:
    log = list[str]()
    outputs = Outputs(Kept("view", log))
    outputs.keep("log", Kept("log", log))
    outputs.open([Kept("a", log), Kept("b", log)])
    outputs.close()
    outputs.close()
    assert log == ["b closes", "a closes", "log closes"]


def test_why_an_output_cannot_be_written_is_known_by_its_name() -> None:
    outputs = Outputs(Kept("view"))
    outputs.open([Guarded("lines", Kept("a", failing="the disk is full"), lambda text: None), Kept("b")])
    outputs.name("capture", Kept("c", failing="no folder"))
    outputs.keep("log", Kept("d"))
    outputs.take(WINDOW)
    outputs.troubles["log"] = lambda: "the broker is away"
    assert outputs.failing == {"lines": "the disk is full", "capture": "no folder", "log": "the broker is away"}


def test_a_request_waits_until_it_is_done_and_is_done_once() -> None:
    requests = Requests()
    requests.ask("acknowledge")
    requests.ask("acknowledge")
    assert requests.waiting
    assert requests.begin() == [Note("acknowledge")] and requests.waiting
    requests.done()
    assert not requests.waiting and requests.begin() == []


def test_a_request_of_a_slice_that_failed_is_made_again() -> None:
    requests = Requests()
    requests.ask("acknowledge")
    assert requests.begin() == [Note("acknowledge")]
    requests.ask("accept mounting")
    assert requests.begin() == [Note("acknowledge"), Note("accept mounting")]
    requests.done()
    assert not requests.waiting and requests.begin() == []


def test_a_reload_is_taken_once() -> None:
    requests = Requests()
    assert not requests.take_reload()
    requests.ask_reload()
    requests.ask_reload()
    assert requests.take_reload() and not requests.take_reload()
