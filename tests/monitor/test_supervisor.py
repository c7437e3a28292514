"""Who is taken up again, who ends the run, and what is told of it: with stations that do as they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from refusals import expect

from drsn_edge.errors import ContractError, MonitorError
from drsn_edge.monitor import supervisor as supervisor_module
from drsn_edge.monitor.supervisor import Crew
from firmware_bridge.errors import PortAbsentError


class Fake:
    """A station whose attempts go as told: an error, "samples", "ended", or "stay" until all is over."""

    def __init__(self, machine: str, *attempts: Any) -> None:
        self.config = SimpleNamespace(machine=machine)
        self.attempts = list(attempts)
        self.judged, self.sampled_s, self.beat_s = False, -1.0, 0.0
        self.withdrawn: list[str] = []
        self.closed: list[bool] = []
        self.stopped: Callable[[], bool] = lambda: True

    def run(self) -> None:
        did = self.attempts.pop(0) if self.attempts else "ended"
        for each in did if isinstance(did, tuple) else (did,):
            if isinstance(each, Exception):
                raise each
            if each == "samples":
                self.judged, self.sampled_s = True, time.monotonic()
                time.sleep(0.002)
            while each == "stay" and not self.stopped():
                time.sleep(0.001)

    def withdraw(self, trouble: str) -> None:
        self.withdrawn.append(trouble)

    def close(self, *, tell_account: bool) -> None:
        self.closed.append(tell_account)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Crew, list[str]]]:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervisor_module, "LAST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervisor_module, "_LOOK_EVERY_S", 0.001)

    def run(*stations: Fake, seconds: float = 5.0, **options: Any) -> tuple[Crew, list[str]]:
        over, said, until = threading.Event(), list[str](), time.monotonic() + seconds

        def stopped() -> bool:
            return over.is_set() or time.monotonic() > until

        crew: Any = Crew(stations, stopped, over, said.append, **options)  # type: ignore[arg-type]
        for each in stations:
            each.stopped = stopped
        threads = [threading.Thread(target=crew.run, args=(each,)) for each in stations]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20.0)
        assert all(len(each.closed) == 1 for each in stations)
        return crew, said

    return run


ABSENT = PortAbsentError("Expected a device, found none.")
OTHER = ContractError("Bundle expects 12000 Hz.")


@pytest.mark.parametrize("error", [ABSENT, OTHER, OSError("no")])
def test_a_lone_station_that_cannot_begin_ends_the_run_without_an_account(work: Any, error: Exception) -> None:
    station = Fake("a", error)
    crew, said = work(station)
    assert crew.failure is error and said == [] and station.closed == [False]


def test_a_mistake_of_ours_at_the_beginning_is_one_sentence(work: Any) -> None:
    crew, _ = work(Fake("a", ZeroDivisionError("division by zero")))
    expect(crew.failure, MonitorError, "unexpected_error", kind="ZeroDivisionError")
    assert "division by zero" in str(crew.failure)


@pytest.mark.parametrize("error", [ABSENT, OTHER, ZeroDivisionError("x"), MemoryError()])
def test_one_that_has_judged_is_taken_up_again_and_ends_well(work: Any, error: Exception) -> None:
    station = Fake("a", ("samples", error), "ended")
    crew, said = work(station)
    assert crew.failure is None and len(station.withdrawn) == 1 and station.closed == [True]
    assert "Trying again" in said[0]


def test_of_several_one_that_has_ended_is_looked_after_as_long_as_another_goes_on(work: Any) -> None:
    ending = Fake("a", ("samples", "ended"), "ended", ("samples", "stay"))
    going = Fake("b", ("samples", "stay"))
    crew, _ = work(going, ending, seconds=0.5)  # which is heard of before the other one ends
    assert crew.failure is None and len(ending.withdrawn) == 2 and not ending.attempts
    assert ending.closed == going.closed == [True]


def test_when_all_have_ended_the_run_ends(work: Any) -> None:
    begun = time.monotonic()
    crew, _ = work(*(Fake(name, ("samples", "ended")) for name in "abc"), seconds=30.0)
    assert crew.failure is None and time.monotonic() - begun < 20.0


def test_a_failing_neighbour_is_told_of_a_few_times_an_hour(work: Any) -> None:
    failing = Fake("a", *[ABSENT] * 10_000)
    crew, said = work(failing, Fake("b", ("samples", "stay")), seconds=0.5)
    assert crew.failure is None and len(failing.withdrawn) > 10 and len(said) == 5


def test_a_reader_that_has_gone_ends_all(work: Any) -> None:
    crew, _ = work(Fake("a", ("samples", BrokenPipeError())), Fake("b", ("samples", "stay")), seconds=30.0)
    assert isinstance(crew.failure, BrokenPipeError)


def test_a_replay_is_never_begun_again_and_still_has_its_account(work: Any) -> None:
    station = Fake("a", ("samples", OTHER), "samples")
    crew, _ = work(station, once=True)
    assert crew.failure is OTHER and station.closed == [True] and station.attempts == ["samples"]
