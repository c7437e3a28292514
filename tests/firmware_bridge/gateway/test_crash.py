"""Cut anywhere: all of crash_run.py, and proof that it would find what it looks for."""

from __future__ import annotations

import crash_run
import pytest
from crashing import MemoryDisk, Op, states_after

from firmware_bridge.gateway.bundle_files import BundleFiles
from firmware_bridge.gateway.state import State
from firmware_bridge.gateway.state_file import StateFile


def test_every_cut_leaves_the_old_bundle_or_the_new_one() -> None:
    tally = crash_run.run()
    assert tally.bad == []
    assert tally.cuts.total() > 5000 and tally.recoveries_cut > 1000
    assert min(tally.cuts.values()) > 20 and set(tally.cuts) == set(crash_run.SCENARIOS)
    assert tally.failed_calls.total() > 200


@pytest.mark.parametrize("skipped", ["sync", "sync_folder"])
def test_a_store_that_does_not_sync_is_found(monkeypatch: pytest.MonkeyPatch, skipped: str) -> None:
    monkeypatch.setattr(MemoryDisk, skipped, lambda *_: None)
    assert crash_run.run(["rollback of a trial"]).bad


def test_a_store_that_removes_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    save = StateFile.save

    def collect_first(self: StateFile, state: State) -> State:
        BundleFiles(self._disk).collect(state)
        return save(self, state)

    monkeypatch.setattr(StateFile, "save", collect_first)
    assert crash_run.run(["rollback of a trial", "crash loop"]).bad == []  # the confirmed one is never removed
    monkeypatch.setattr(BundleFiles, "is_whole", lambda *_: True)
    assert crash_run.run(["confirm", "rollback of a trial", "crash loop"]).bad


def test_a_store_that_writes_the_state_in_place_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(self: MemoryDisk, old: str, new: str) -> None:
        content = self.files[old]
        if new in self._names:
            self.unlink(new)
        descriptor = self.create(new)
        self.write(descriptor, content)
        self.sync(descriptor)
        self.unlink(old)

    monkeypatch.setattr(MemoryDisk, "rename", rename)
    assert crash_run.run(["install", "confirm"]).bad


def test_what_was_synced_is_there_and_what_was_not_may_be() -> None:
    """The model of the disk itself, on the smallest example."""
    ops = [Op("create", 0, ("f",)), Op("write", 0, data=b"ab")]
    assert {frozenset(state.items()) for state in states_after({}, ops)} == {
        frozenset(),
        *(frozenset({("f", content)}) for content in (b"", b"a", b"a\0", b"\0\0", b"ab")),
    }
    ops += [Op("sync", 0), Op("sync_folder")]
    assert list(states_after({}, ops)) == [{"f": b"ab"}]
    found = list(states_after({"f": b"old", "g": b"new"}, [Op("rename", 1, ("g", "f"))]))
    assert found == [{"f": b"old", "g": b"new"}, {"f": b"new"}]
