"""What the store promises outside of cuts: floors, trials, crash loops, damage, and who may change it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from crash_run import RefusedByGateError, RefusedByVerifierError, bundle, store_on, verify
from crashing import MemoryDisk
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import integers
from refusals import refused

from firmware_bridge.errors import (
    FirmwareBridgeError,
    NoBundleError,
    StoreBusyError,
    StoreError,
    TrialError,
    VersionFloorError,
)
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.state import SLOTS, State, state_from_bytes, state_to_bytes, version_key
from firmware_bridge.gateway.store import MOST_STARTS, SlotStore


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


@pytest.fixture
def store(disk: MemoryDisk) -> SlotStore:
    return store_on(disk)


def events(store: SlotStore) -> list[str]:
    return [str(entry["event"]) for entry in store.log()]


def confirmed(store: SlotStore, version: str) -> None:
    store.install(bundle(version))
    store.confirm()


def test_a_gateway_without_a_bundle_says_what_to_do(store: SlotStore) -> None:
    with refused(NoBundleError, "none_active"):
        store.start()


def test_the_life_of_a_bundle(store: SlotStore) -> None:
    slot = store.install(bundle("1.0.0"))
    assert store.start().is_trial and store.start().slot == slot
    assert store.confirm(slot.sha256) == slot == store.confirm(slot.sha256)
    assert not store.start().is_trial
    assert events(store) == ["trial begins", "confirmed"]


def test_the_same_bundle_again_changes_nothing(store: SlotStore, disk: MemoryDisk) -> None:
    confirmed(store, "1.0.0")
    before = disk.files
    assert store.install(bundle("1.0.0")).version == "1.0.0"
    assert disk.files == before


def test_the_floor_rises_at_the_confirmation_only(store: SlotStore) -> None:
    confirmed(store, "1.0.0")
    store.install(bundle("2.0.0"))
    assert store.state().floors == {"pump": "1.0.0"}
    store.roll_back("asked")
    store.install(bundle("1.5.0"))
    store.confirm()
    with refused(VersionFloorError, name="pump", floor="1.5.0", got="1.0.0"):
        store.install(bundle("1.0.0"))
    with pytest.raises(VersionFloorError):
        store.roll_back("asked")  # the bundle before is below the floor, too
    assert store.start().slot.version == "1.5.0"


def test_a_low_floor_lets_one_go_back(disk: MemoryDisk) -> None:
    def low(data: bytes, active: bytes | None) -> Any:
        from dataclasses import replace

        return replace(verify(data, active), floor="1.0.0")

    store = SlotStore(disk, nullcontext, low, lambda _: None)
    confirmed(store, "1.0.0")
    confirmed(store, "1.1.0")
    back = store.roll_back("worse")
    assert back is not None and back.version == "1.0.0" == store.start().slot.version
    forth = store.roll_back("was better after all")
    assert forth is not None and forth.version == "1.1.0"


def test_a_trial_must_end_before_another(store: SlotStore) -> None:
    store.install(bundle("1.0.0"))
    with refused(TrialError, "trial_running", name="pump", version="1.0.0"):
        store.install(bundle("1.1.0"))
    with pytest.raises(TrialError):
        store.check(bundle("1.1.0"))


def test_confirm_and_rollback_are_of_the_bundle_that_was_meant(store: SlotStore) -> None:
    with refused(TrialError, "no_trial"):
        store.confirm()
    with refused(TrialError, "no_previous"):
        store.roll_back("x")
    store.install(bundle("1.0.0"))
    with refused(TrialError, "no_trial", sha256="0" * 64):
        store.confirm("0" * 64)
    with refused(TrialError, "not_running", sha256="0" * 64):
        store.roll_back("x", "0" * 64)


def test_a_crash_loop_ends_the_trial(store: SlotStore) -> None:
    confirmed(store, "1.0.0")
    store.install(bundle("1.1.0"))
    versions = [store.start().slot.version for _ in range(MOST_STARTS + 1)]
    assert versions == ["1.1.0"] * MOST_STARTS + ["1.0.0"]
    assert "without being confirmed" in str(store.log()[-1]["why"])


def test_what_the_gate_refuses_leaves_no_trace_but_the_reason(store: SlotStore, disk: MemoryDisk) -> None:
    confirmed(store, "1.0.0")
    before = {name: data for name, data in disk.files.items() if "log" not in name}
    with pytest.raises(RefusedByGateError):
        store.install(bundle("1.1.66"))
    assert {name: data for name, data in disk.files.items() if "log" not in name} == before
    assert store.log()[-1]["why"] == "RefusedByGateError: too slow"


def test_a_bundle_that_the_verifier_refuses_is_not_even_written(disk: MemoryDisk, store: SlotStore) -> None:
    with pytest.raises(RefusedByVerifierError):
        store.install(bundle("1.0.0")[:-1] + b"x")
    assert set(disk.files) == {"log.jsonl"}


def test_the_verifier_is_shown_what_runs(disk: MemoryDisk) -> None:
    shown: list[bytes | None] = []

    def spy(data: bytes, active: bytes | None) -> Any:
        shown.append(active)
        return verify(data, active)

    store = SlotStore(disk, nullcontext, spy, lambda _: None)
    confirmed(store, "1.0.0")
    confirmed(store, "1.1.0")
    assert shown == [None, bundle("1.0.0")]


def test_a_disk_without_room_is_said_before_anything_is_written(disk: MemoryDisk, store: SlotStore) -> None:
    disk.free = 1000
    with refused(StoreError, "no_space", free=1000):
        store.install(bundle("1.0.0"))
    assert set(disk.files) == {"log.jsonl"}


def test_a_disk_that_lies_is_found_out(disk: MemoryDisk, store: SlotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "write", lambda fd, data: MemoryDisk.write(disk, fd, data[:-1] + b"?"))
    with refused(StoreError, "bad_disk"):
        store.install(bundle("1.0.0"))


def test_a_rotten_bundle_gives_way_to_the_other_one(disk: MemoryDisk, store: SlotStore) -> None:
    confirmed(store, "1.0.0")
    store.install(bundle("1.1.0"))
    running = store.start().slot
    disk._contents[disk._names[running.file]][100] ^= 1
    assert store.start().slot.version == "1.0.0"
    assert "missing or damaged" in str(store.log()[-1]["why"])
    disk._contents[disk._names[store.start().slot.file]][100] ^= 1
    with refused(NoBundleError, "damaged", name="pump", version="1.0.0"):
        store.start()
    store.install(bundle("1.0.0"))
    assert store.start().slot.version == "1.0.0"


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"schema": 1}'])
def test_a_lost_state_is_made_anew_from_what_lies_there(disk: MemoryDisk, store: SlotStore, damage: bytes) -> None:
    confirmed(store, "1.0.0")
    confirmed(store, "1.1.0")
    disk._contents[disk._names["state.json"]][:] = damage
    with refused(StoreError, "damaged_state"):
        store.state()
    assert store.start().slot.version == "1.1.0"
    assert store.state().floors == {"pump": "1.1.0"}
    assert store.log()[-1]["event"] == "rebuilt"


def test_the_log_stays_small(disk: MemoryDisk, store: SlotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware_bridge.gateway.store_log._MAX_LOG_BYTES", 2000)
    store.install(bundle("1.0.0"))
    for _ in range(40):
        with pytest.raises(TrialError):
            store.install(bundle("1.1.0"))
    assert len(disk.files["log.jsonl"]) <= 2000 and len(disk.files["log.jsonl.1"]) <= 2000
    assert events(store)[-1] == "refused"


class Unwritable(MemoryDisk):
    """A disk that takes no writes from a moment on, full or read-only."""

    error = 0

    def _do(self, op: Any) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        super()._do(op)


def unwritable(error: int, *acts: Callable[[SlotStore], object]) -> tuple[Unwritable, SlotStore]:
    """Return a disk on which these acts were done before it failed, and its store, whose lock cannot be opened."""
    disk = Unwritable()
    for act in acts:
        act(store_on(disk))
    disk.error = error

    @contextmanager
    def locked() -> Iterator[None]:
        if error == errno.EROFS:
            raise StoreError("Could not lock the folder: Read-only file system.")
        yield

    return disk, SlotStore(disk, locked, verify, lambda _: None)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_is_confirmed_starts_by_reading_alone(error: int) -> None:
    _, store = unwritable(error, lambda store: confirmed(store, "1.0.0"))
    found = store.start()
    assert found.slot.version == "1.0.0" and not found.is_trial


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_trial_that_cannot_be_counted_gives_way_to_what_was_confirmed(error: int) -> None:
    acts = (lambda store: confirmed(store, "1.0.0"), lambda store: store.install(bundle("1.1.0")))
    disk, store = unwritable(error, *acts)
    before = disk.files
    with pytest.raises(StoreError):
        store.start()
    found = store.stand_by()
    assert found.slot.version == "1.0.0" and not found.is_trial
    if error == errno.EROFS:
        assert disk.files == before
    disk.error = 0
    assert store_on(disk).start().is_trial  # the trial goes on once it can be counted


@pytest.mark.parametrize("damage", ["the state", "the confirmed bundle", "the state's file is gone"])
def test_what_lies_there_whole_runs_from_a_damaged_store_that_cannot_be_mended(damage: str) -> None:
    disk, store = unwritable(0, lambda store: confirmed(store, "1.0.0"), lambda store: confirmed(store, "1.1.0"))
    state = store.state()
    if damage == "the state":
        disk._contents[disk._names["state.json"]][:] = b"{}"
    elif damage == "the confirmed bundle":
        store = SlotStore(disk, nullcontext, verify, lambda _: None)
        disk._contents[disk._names[store.start().slot.file]][100] ^= 1
    else:
        disk._names.pop("state.json")
    disk.error = errno.EROFS
    if damage == "the confirmed bundle":  # what is left is below the floor
        with refused(NoBundleError, "damaged", name="pump", version="1.1.0"):
            store.stand_by()
    elif damage == "the state":
        assert store.stand_by().slot == state.running
    else:
        with refused(NoBundleError, "none_active"):
            store.stand_by()


def test_without_a_bundle_there_is_nothing_to_stand_by(disk: MemoryDisk, store: SlotStore) -> None:
    with refused(NoBundleError, "none_active"):
        store.stand_by()
    store.install(bundle("1.0.0"))
    assert store.stand_by().slot.version == "1.0.0"  # a first trial: there is nothing else


def test_states_come_back_and_others_are_refused(store: SlotStore) -> None:
    confirmed(store, "1.0.0")
    state = store.state()
    data = state_to_bytes(state)
    assert state_from_bytes(data) == state
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 4
        try:
            found = state_from_bytes(bytes(damaged))
        except ValueError:
            continue
        assert found == state
    values = json.loads(data)
    values["state"]["sequence"] += 1  # possible, but not what was summed up
    with pytest.raises(ValueError):
        state_from_bytes(json.dumps(values).encode())


class Stores(RuleBasedStateMachine):
    """Any order of everything: what runs was confirmed or is on trial, and floors never fall."""

    @initialize()
    def begin(self) -> None:
        self.disk = MemoryDisk()
        self.store = store_on(self.disk)
        self.floor = "0.0.0"

    def _try(self, act: Callable[[], object]) -> None:
        with suppress(FirmwareBridgeError, RefusedByGateError):
            act()

    @rule(minor=integers(0, 4), patch=integers(0, 1))
    def install(self, minor: int, patch: int) -> None:
        version = f"1.{minor}.{66 * patch}"
        before = self.store.state()
        self._try(lambda: self.store.install(bundle(version)))
        after = self.store.state()
        assert after.confirmed == before.confirmed

    @rule()
    def start(self) -> None:
        self._try(self.store.start)

    @rule()
    def confirm(self) -> None:
        before = self.store.state()
        self._try(self.store.confirm)
        if before.trial is not None:
            assert self.store.state().confirmed == before.trial

    @rule()
    def roll_back(self) -> None:
        self._try(lambda: self.store.roll_back("asked"))

    @invariant()
    def nothing_is_missing_and_nothing_lies_about(self) -> None:
        if not hasattr(self, "store"):
            return
        state = self.store.state()
        files = {name for name in self.disk.files if name.endswith(".drsn")}
        assert {slot.file for slot in state.slots.values()} == files
        floor = state.floors.get("pump", "0.0.0")
        assert version_key(floor) >= version_key(self.floor)
        self.floor = floor
        if state.confirmed is not None and state.trial is None:
            assert version_key(state.slots[state.confirmed].version) >= version_key(floor)


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# --- On a real folder ----------------------------------------------------------------------------------------------


def real_store(folder: Path, patience_s: float = 0.0) -> SlotStore:
    disk = Disk(folder)
    return SlotStore(disk, lambda: disk.locked("a test", patience_s), verify, lambda _: None)


def test_a_real_folder_keeps_what_it_is_given(tmp_path: Path) -> None:
    store = real_store(tmp_path / "deep" / "store")
    confirmed(store, "1.0.0")
    found = real_store(tmp_path / "deep" / "store").start()
    assert found.path.read_bytes() == bundle("1.0.0")


def test_a_second_flasher_is_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = Disk(tmp_path), real_store(tmp_path)
    with (
        first.locked("drsn-edge flash by anna", 0.0),
        refused(StoreBusyError, holder=f"drsn-edge flash by anna, process {os.getpid()}"),
    ):
        second.install(bundle("1.0.0"))
    second.install(bundle("1.0.0"))


def test_one_who_waits_gets_in_when_the_other_leaves(tmp_path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with Disk(tmp_path).locked("the other", 0.0):
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    threading.Timer(0.2, leave.set).start()
    real_store(tmp_path, patience_s=30).install(bundle("1.0.0"))
    thread.join()


def test_the_lock_of_one_who_was_killed_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from firmware_bridge.gateway.disk import Disk\n"
        "with Disk(Path(sys.argv[1])).locked('x', 0.0): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60).returncode == -9
    real_store(tmp_path).install(bundle("1.0.0"))


@pytest.mark.parametrize("planted", ["link", "second name", "folder"])
def test_a_bundle_that_somebody_led_elsewhere_does_not_run(tmp_path: Path, planted: str) -> None:
    folder, secret = tmp_path / "store", tmp_path / "secret"
    store = real_store(folder)
    confirmed(store, "1.0.0")
    path = store.start().path
    secret.write_bytes(path.read_bytes())
    path.unlink()
    if planted == "link":
        path.symlink_to(secret)
    elif planted == "second name":
        os.link(secret, path)
    else:
        path.mkdir()
    with refused(NoBundleError, "damaged", version="1.0.0"):
        store.start()


def test_a_planted_file_is_never_written_through(tmp_path: Path) -> None:
    folder, victim = tmp_path / "store", tmp_path / "victim"
    victim.write_text("precious")
    store = real_store(folder)
    for name in ("state.json.new", "state.json", "log.jsonl"):
        (folder / name).symlink_to(victim)
    for version in ("1.0.0", "1.1.0"):
        with pytest.raises(FirmwareBridgeError):
            store.install(bundle(version))
            raise StoreError("was taken")
    assert victim.read_text() == "precious"


def test_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with refused(StoreError, "writable_by_others", path=tmp_path, place=tmp_path):
        Disk(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with refused(StoreError, "unusable_folder", path=tmp_path / "link"):
        Disk(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o770, 0o777, 0o1777])
@pytest.mark.parametrize("folder", ["bundles", "state"])
def test_a_store_that_a_group_may_write_is_refused(tmp_path: Path, folder: str, mode: int) -> None:
    path = tmp_path / "state" / "bundles"
    confirmed(real_store(path), "1.0.0")
    changed = path if folder == "bundles" else path.parent
    changed.chmod(mode)
    with refused(StoreError, "writable_by_others", path=path, place=changed) as caught:
        Disk(path)
    assert str(caught.value).endswith(f"chmod go-w {changed}")  # a command to copy
    changed.chmod(0o750)
    assert real_store(path).start().slot.version == "1.0.0"


@pytest.mark.parametrize("mode", [0o757, 0o777])
def test_a_folder_above_that_everybody_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "above").mkdir()
    (tmp_path / "above").chmod(mode)
    with refused(StoreError, "writable_by_others", place=tmp_path / "above"):
        Disk(tmp_path / "above" / "state" / "bundles")
    (tmp_path / "above").chmod(0o1777)  # as /tmp: nobody may touch what is another's
    Disk(tmp_path / "above" / "state" / "bundles")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_folder_of_somebody_else_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        confirmed(real_store(folder / "state" / "bundles"), "1.0.0")
        os.chown(folder / "state", 1234, 1234)
        check_as_another_user(folder / "state" / "bundles")


def check_as_another_user(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from firmware_bridge.errors import StoreError\n"
        "from firmware_bridge.gateway.disk import Disk; os.setuid(4321)\n"
        "try:\n    Disk(Path(sys.argv[1]))\n"
        "except StoreError as exc:\n    print(exc.problem, exc.facts['place'])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout.split() == ["foreign_owner", str(path.parent)], done.stderr


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_folders_that_we_make_are_for_nobody_else_to_write(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = tmp_path / "deep" / "state" / "bundles"
        confirmed(real_store(path), "1.0.0")
        real_store(path).start()
    finally:
        os.umask(before)
    assert not any(each.stat().st_mode & 0o022 for each in (path.parent.parent, path.parent, path, *path.iterdir()))


def test_a_file_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    store = real_store(tmp_path / "bundles")
    confirmed(store, "1.0.0")
    path = store.start().path
    path.chmod(0o664)
    with pytest.raises(NoBundleError):
        store.start()
    path.chmod(0o644)
    (tmp_path / "bundles" / "state.json").chmod(0o666)
    with refused(StoreError, "writable_by_others", path=tmp_path / "bundles" / "state.json"):
        store.state()


def test_a_folder_is_closed_with_its_disk(tmp_path: Path) -> None:
    """An agent opens a store for each question that it is asked."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        Disk(tmp_path).names()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_that_root_makes_belongs_to_whom_the_one_above_belongs(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 1234, 1234)
    confirmed(real_store(tmp_path / "state" / "bundles"), "1.0.0")
    assert {(tmp_path / "state" / "bundles").stat().st_uid} == {1234}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_belong_to_whom_the_folder_belongs(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    os.chown(tmp_path / "store", 1234, 1234)
    confirmed(real_store(tmp_path / "store"), "1.0.0")
    assert {path.stat().st_uid for path in (tmp_path / "store").iterdir()} == {1234}


def test_an_empty_state_names_no_slot() -> None:
    assert State().running is None and State().other is None and SLOTS == ("a", "b")
