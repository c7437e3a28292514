"""The parts of the slot store, each for itself."""

from __future__ import annotations

from dataclasses import replace

from crashing import MemoryDisk
from refusals import refused

from firmware_bridge.errors import StoreError, VersionFloorError
from firmware_bridge.gateway.bundle_files import BundleFiles
from firmware_bridge.gateway.floors import expect_floor, is_below_floor, raised
from firmware_bridge.gateway.state import Slot, State, bundle_file
from firmware_bridge.gateway.state_file import StateFile
from firmware_bridge.gateway.store_log import StoreLog

SLOT = Slot("0" * 64, 3, "pump", "1.2.0", "1.1.0")


def test_a_floor_rises_and_never_sinks() -> None:
    assert raised({}, SLOT) == {"pump": "1.1.0"}
    assert raised({"pump": "1.9.0", "fan": "0.1.0"}, SLOT) == {"pump": "1.9.0", "fan": "0.1.0"}
    state = State(floors={"pump": "1.10.0"})
    assert is_below_floor(state, SLOT)
    expect_floor(state, "pump", "1.10.0")
    expect_floor(state, "fan", "0.0.1")
    with refused(VersionFloorError, name="pump", floor="1.10.0", got="1.9.9"):
        expect_floor(state, "pump", "1.9.9")


def test_a_state_is_replaced_whole_and_counts_its_changes() -> None:
    disk = MemoryDisk({"state.json.new": b"left by a cut"})
    file = StateFile(disk)
    assert file.read() == State()
    saved = file.save(file.save(State(floors={"pump": "1.0.0"})))
    assert file.read() == saved and saved.sequence == 2
    assert list(disk.files) == ["state.json"]


def test_a_damaged_state_is_said_to_be_damaged() -> None:
    with refused(StoreError, "damaged_state"):
        StateFile(MemoryDisk({"state.json": b"{"})).read()


def test_bundles_are_found_by_what_they_are_and_removed_where_no_slot_holds_them() -> None:
    disk = MemoryDisk()
    files = BundleFiles(disk)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of abc
    files.write(digest, b"abc", State(), lambda _: None)
    slot = replace(SLOT, sha256=digest)
    disk.create(bundle_file("1" * 64))
    assert files.is_whole(slot) and not files.is_whole(SLOT)
    assert list(files.all_whole()) == [(digest, b"abc")]
    files.collect(State(slots={"a": slot}))
    assert list(disk.files) == [slot.file]


def test_a_line_of_the_log_that_cannot_be_written_costs_nothing_else() -> None:
    disk = MemoryDisk(fail=(0, 28))
    log = StoreLog(disk, lambda: 1.0)
    log.note("lost")
    log.note("kept", why="two\nlines")
    assert [(entry["event"], entry["time_s"]) for entry in log.entries()] == [("kept", 1.0)]
