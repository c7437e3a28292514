"""The follower of the active bundle: what confirms a trial, what ends it, and what stations are told."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crash_run import bundle, store_on
from crashing import MemoryDisk
from refusals import refused

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.errors import GateError
from drsn_edge.gateway.follower import Follower
from firmware_bridge.errors import NoBundleError
from firmware_bridge.gateway.store import SlotStore


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class FakeStation:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sampled_s = -math.inf
        self.running: Path | None = None
        self.skipped = 0
        self.reloads = 0

    def reload(self) -> None:
        self.reloads += 1


class Rig:
    def __init__(self, *versions: str, trial_s: float = 60.0) -> None:
        self.disk, self.clock = MemoryDisk(), Clock()
        self.store: SlotStore = store_on(self.disk)
        for version in versions[:-1]:
            self.store.install(bundle(version))
            self.store.confirm()
        if versions:
            self.store.install(bundle(versions[-1]))
        self.said: list[str] = []
        self.refused: set[Path] = set()
        self.gated: list[Path] = []
        self.trial_s = trial_s
        self.station = FakeStation(self.clock)

    def gate(self, path: Path) -> None:
        self.gated.append(path)
        if path in self.refused:
            raise GateError("too slow here")

    def follower(self) -> Follower:
        follower = Follower(self.store, self.gate, self.said.append, self.trial_s, self.clock)
        self.station.running = follower.path
        follower.watch([self.station])
        return follower

    def go(self, follower: Follower, seconds: int, sampling: bool = True) -> None:
        for _ in range(seconds):
            self.clock.now_s += 1
            if sampling:
                self.station.sampled_s = self.clock.now_s
            follower.look()

    @property
    def version(self) -> str:
        return self.store.active().slot.version


def test_a_bundle_that_works_for_the_time_of_its_trial_is_confirmed() -> None:
    rig = Rig("1.0.0", "1.1.0")
    follower = rig.follower()
    rig.go(follower, 59)
    assert rig.store.state().trial is not None
    rig.go(follower, 2)
    assert rig.store.state().trial is None and rig.version == "1.1.0"
    assert "confirmed" in rig.said[-1] and rig.station.reloads == 0
    before = rig.store.state()
    rig.go(follower, 30)
    assert rig.store.state() == before


@pytest.mark.parametrize("why", ["no samples", "another bundle", "no station"])
def test_time_without_proof_does_not_count(why: str) -> None:
    rig = Rig("1.0.0", "1.1.0")
    follower = rig.follower()
    if why == "another bundle":
        rig.station.running = Path("/elsewhere")
    if why == "no station":
        follower.watch([])
    rig.go(follower, 100, sampling=why != "no samples")
    assert rig.store.state().trial is not None


def test_a_machine_that_is_too_slow_for_it_ends_the_trial() -> None:
    rig = Rig("1.0.0", "1.1.0")
    follower = rig.follower()
    rig.station.skipped = 3
    rig.go(follower, 2)
    assert rig.version == "1.0.0" and "3 windows skipped" in str(rig.store.log()[-1]["why"])
    assert rig.station.reloads == 1 and follower.path == rig.store.active().path


def test_a_station_that_cannot_run_it_ends_the_trial() -> None:
    rig = Rig("1.0.0", "1.1.0")
    follower = rig.follower()
    follower.fail(Path("/another"), "not this one")
    rig.go(follower, 1)
    assert rig.version == "1.1.0"
    follower.fail(follower.path, "does not fit the sensor")
    follower.end_failed()
    assert rig.version == "1.0.0" and rig.store.log()[-1]["why"] == "does not fit the sensor"


def test_what_is_confirmed_cannot_fail_any_more() -> None:
    rig = Rig("1.0.0", "1.1.0")
    rig.store.confirm()
    follower = rig.follower()
    follower.fail(follower.path, "a cable is loose")
    rig.go(follower, 2)
    assert rig.version == "1.1.0"


def test_a_trial_passes_the_gate_of_its_start() -> None:
    rig = Rig("1.0.0", "1.1.0")
    rig.refused.add(rig.store.active().path)
    follower = rig.follower()
    assert rig.version == "1.0.0" and follower.path == rig.store.active().path
    assert rig.store.log()[-1]["why"] == "too slow here" and "too slow here" in rig.said[0]
    assert len(rig.gated) == 1  # what is confirmed needs none


@pytest.mark.parametrize("act", ["flash", "rollback", "confirm"])
def test_what_others_do_is_followed(act: str) -> None:
    rig = Rig("1.0.0", "1.1.0")
    follower = rig.follower()
    rig.go(follower, 1)
    if act == "flash":
        rig.store.confirm()
        rig.store.install(bundle("1.2.0"))
    elif act == "rollback":
        rig.store.roll_back("asked")
    else:
        rig.store.confirm()
    rig.go(follower, 1)
    assert rig.station.reloads == int(act != "confirm")
    assert follower.path == rig.store.active().path


def test_a_first_bundle_that_fails_leaves_nothing_and_is_said_once() -> None:
    rig = Rig("1.0.0")
    follower = rig.follower()
    path = follower.path
    follower.fail(path, "does not fit the sensor")
    rig.go(follower, 5)
    assert rig.store.state().running is None
    assert sum("No bundle is active" in text for text in rig.said) == 1
    rig.store.install(bundle("1.1.0"))
    rig.go(follower, 1)
    assert follower.path != path and rig.station.reloads == 1


def test_without_a_bundle_there_is_nothing_to_follow() -> None:
    with pytest.raises(NoBundleError):
        Rig().follower()


def test_a_crash_loop_is_ended_by_starting_too_often() -> None:
    rig = Rig("1.0.0", "1.1.0")
    versions = []
    for _ in range(4):
        rig.follower()
        versions.append(rig.version)
    assert versions == ["1.1.0"] * 3 + ["1.0.0"]


def test_a_store_that_cannot_be_read_is_said_and_what_runs_goes_on(monkeypatch: Any) -> None:
    rig = Rig("1.0.0", "1.1.0")
    follower = rig.follower()
    broken: Callable[..., Any] = lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied"))  # noqa: E731
    monkeypatch.setattr(rig.disk, "read", broken)
    rig.go(follower, 2)
    assert "The running bundle continues." in rig.said[-1]


class Full(MemoryDisk):
    """A disk that is full while it is told so."""

    full = False

    def _do(self, op: Any) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super()._do(op)


def full_rig(*versions: str, trial_s: float = 60.0) -> Rig:
    """Return a rig whose disk can be full."""
    rig = Rig(*versions, trial_s=trial_s)
    disk = Full(rig.disk.files)
    rig.disk, rig.store = disk, store_on(disk)
    return rig


def set_full(rig: Rig, full: bool) -> None:
    assert isinstance(rig.disk, Full)
    rig.disk.full = full


def test_a_trial_on_a_full_disk_waits_while_what_was_confirmed_runs() -> None:
    rig = full_rig("1.0.0", "1.1.0")
    set_full(rig, True)
    follower = rig.follower()
    confirmed = rig.store.state().slots[rig.store.state().confirmed or ""]
    assert follower.path.name == confirmed.file and "1.0.0 runs" in rig.said[-1] and "full" in rig.said[-1]
    rig.go(follower, 600)
    assert len(rig.said) == 1 and rig.store.state().trial_starts == 0 and rig.gated == []
    set_full(rig, False)
    rig.go(follower, 61)
    assert follower.path == rig.store.active().path and rig.version == "1.1.0" and len(rig.gated) == 1
    assert rig.station.reloads == 1 and "1.1.0 is active on trial" in rig.said[-1]
    rig.station.running = follower.path
    rig.go(follower, 70)
    assert rig.store.state().trial is None and rig.version == "1.1.0"


def test_a_confirmed_bundle_on_a_full_disk_runs_without_a_word() -> None:
    rig = full_rig("1.0.0", "1.1.0")
    rig.store.confirm()
    set_full(rig, True)
    follower = rig.follower()
    rig.go(follower, 100)
    assert rig.version == "1.1.0" and follower.path == rig.store.active().path and rig.said == []


def test_a_confirmation_that_cannot_be_written_is_said_once_and_comes_later() -> None:
    rig = full_rig("1.0.0", "1.1.0", trial_s=10.0)
    follower = rig.follower()
    set_full(rig, True)
    rig.go(follower, 600)
    assert len(rig.said) == 1 and "The running bundle continues." in rig.said[0]
    set_full(rig, False)
    rig.go(follower, 61)
    assert rig.store.state().trial is None and "is confirmed" in rig.said[-1]


@pytest.mark.parametrize("how", ["too slow", "cannot be run", "the gate at its start"])
def test_a_trial_that_fails_on_a_full_disk_gives_way_and_ends_later(how: str) -> None:
    rig = full_rig("1.0.0", "1.1.0")
    failing = rig.store.active().path
    if how == "the gate at its start":
        rig.refused.add(failing)
        gate, rig.gate = rig.gate, lambda path: (set_full(rig, True), gate(path))  # type: ignore[method-assign, assignment]
    follower = rig.follower()
    set_full(rig, True)
    if how == "too slow":
        rig.station.skipped = 3
    elif how == "cannot be run":
        follower.fail(follower.path, "does not fit the sensor")
    rig.go(follower, 300)
    assert follower.path != failing and any("1.0.0 runs" in text for text in rig.said)
    assert len(rig.said) <= 2 and rig.version == "1.1.0"  # the state says so still: it could not be written
    rig.refused.add(failing)
    rig.gate = Rig.gate.__get__(rig)  # type: ignore[method-assign]
    set_full(rig, False)
    rig.station.skipped = 0
    follower._gate = rig.gate
    rig.go(follower, 61)
    assert rig.version == "1.0.0" and rig.store.state().trial is None


def test_a_first_bundle_that_the_gate_refuses_does_not_run_for_a_full_disk() -> None:
    rig = full_rig("1.0.0")
    rig.refused.add(rig.store.active().path)
    gate, rig.gate = rig.gate, lambda path: (set_full(rig, True), gate(path))  # type: ignore[method-assign, assignment]
    with refused(NoBundleError, "no_other_bundle"):
        rig.follower()


# --- this site's own bundle ------------------------------------------------------------------------------------------


def test_the_own_bundle_runs_until_one_is_flashed(healthy_bundle_of_noise: Bundle, tmp_path: Path) -> None:
    own = tmp_path / "learned.drsn"
    write_bundle(healthy_bundle_of_noise, own)
    rig = Rig()
    follower = Follower(rig.store, rig.gate, rig.said.append, rig.trial_s, rig.clock, own)
    assert follower.path == own and len(rig.said) == 1 and rig.gated == []
    rig.station.running = own
    follower.watch([rig.station])
    rig.go(follower, 100)
    assert (follower.path, rig.station.reloads, len(rig.said)) == (own, 0, 1)
    rig.store.install(bundle("1.0.0"))
    rig.go(follower, 1)
    assert follower.path == rig.store.active().path and rig.station.reloads == 1


def test_without_a_bundle_of_any_kind_nothing_runs(tmp_path: Path) -> None:
    rig = Rig()
    with refused(NoBundleError, "none_active"):
        Follower(rig.store, rig.gate, rig.said.append, own=tmp_path / "none.drsn")


def test_an_own_bundle_that_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / "learned.drsn").write_bytes(b"no bundle")
    rig = Rig()
    with refused(NoBundleError, "own_damaged", path=tmp_path / "learned.drsn"):
        Follower(rig.store, rig.gate, rig.said.append, own=tmp_path / "learned.drsn")


def test_a_confirmed_bundle_comes_before_the_own_one(healthy_bundle_of_noise: Bundle, tmp_path: Path) -> None:
    write_bundle(healthy_bundle_of_noise, tmp_path / "learned.drsn")
    rig = Rig("1.0.0")
    follower = Follower(rig.store, rig.gate, rig.said.append, rig.trial_s, rig.clock, tmp_path / "learned.drsn")
    assert follower.path == rig.store.active().path
