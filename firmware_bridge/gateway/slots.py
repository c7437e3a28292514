"""The two slots on a disk: every change of them, in the one order that survives a power cut.

The state is saved first; the log entry and the removal of unused files follow. Damage is repaired before any change.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from firmware_bridge.errors import StoreError
from firmware_bridge.gateway.bundle_files import BundleFiles
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.floors import is_below_floor, raised
from firmware_bridge.gateway.state import SLOTS, Description, Slot, State, version_key
from firmware_bridge.gateway.state_file import StateFile
from firmware_bridge.gateway.store_log import StoreLog

Verifier = Callable[[bytes, bytes | None], Description]
"""Takes the bytes of a new bundle and of the running one (None if there is none) and returns a description of the new
one. It raises an error of its own if the bundle must not run on this gateway."""


class Slots:
    """State, bundle files and log of one store. Methods that change them expect the caller to hold the store's lock."""

    def __init__(self, disk: Disk, now_s: Callable[[], float]) -> None:
        """Use the store on a disk; `now_s` returns seconds since 1970, for the log."""
        self.bundles = BundleFiles(disk)
        self.log = StoreLog(disk, now_s)
        self._disk, self._file = disk, StateFile(disk)

    def state(self) -> State:
        """Return the state as it is on the disk.

        Raises:
            StoreError: If the state cannot be read.
        """
        return self._file.read()

    def begin_trial(self, state: State, slot: Slot) -> None:
        """Start the trial of a bundle that was written and passed the gate, in the slot that is not confirmed."""
        target = next(key for key in SLOTS if key != state.confirmed)
        slots = {**state.slots, target: slot}
        state = self._file.save(replace(state, slots=slots, trial=target, trial_starts=0))
        self.log.note("trial begins", slot=target, sha256=slot.sha256, name=slot.name, version=slot.version)
        self.bundles.collect(state)

    def count_start(self, state: State) -> State:
        """Count one more start of the bundle on trial."""
        return self._file.save(replace(state, trial_starts=state.trial_starts + 1))

    def end_trial(self, state: State, reason: str) -> State:
        """Return to the confirmed bundle, and remove the bundle on trial."""
        assert state.trial is not None
        slot = state.slots[state.trial]
        kept = {key: each for key, each in state.slots.items() if key != state.trial}
        state = self._file.save(replace(state, slots=kept, trial=None, trial_starts=0))
        self.log.note("trial ends", sha256=slot.sha256, name=slot.name, version=slot.version, why=reason)
        self.bundles.collect(state)
        return state

    def confirm_trial(self, state: State, slot: Slot) -> None:
        """Confirm the bundle on trial, and raise the floor of its name."""
        floors = raised(state.floors, slot)
        self._file.save(replace(state, confirmed=state.trial, trial=None, trial_starts=0, floors=floors))
        details = {"sha256": slot.sha256, "name": slot.name, "version": slot.version}
        self.log.note("confirmed", **details, floor=floors[slot.name])

    def go_back(self, state: State, before: Slot, reason: str) -> None:
        """Confirm the bundle of the other slot."""
        self._file.save(replace(state, confirmed=_key_of(state, before)))
        self.log.note("rolled back", to=before.sha256, name=before.name, version=before.version, why=reason)

    # --- Repair ------------------------------------------------------------------------------------------------

    def mended(self, verify: Verifier) -> State:
        """Return the state; repair it first if the state or the bundle of a slot is damaged."""
        try:
            state = self.state()
        except StoreError as exc:
            state = self._rebuilt(verify, str(exc))
        if state.trial is not None and not self.bundles.is_whole(state.slots[state.trial]):
            self._disk.sync_folder()
            state = self.end_trial(state, "its file is missing or damaged")
        confirmed = None if state.confirmed is None or state.trial is not None else state.slots[state.confirmed]
        if confirmed is not None and not self.bundles.is_whole(confirmed):
            state = self._without_damaged(state, confirmed)
        return state

    def gathered(self, verify: Verifier) -> State:
        """Return a state built from the bundle files in the folder, the newest confirmed; nothing is written."""
        found = []
        for digest, data in self.bundles.all_whole():
            with suppress(Exception):  # whatever the verifier raises: this bundle is not for this gateway
                described = verify(data, None)
                found.append(Slot(digest, len(data), described.name, described.version, described.floor))
        found.sort(key=lambda slot: version_key(slot.version), reverse=True)
        slots = dict(zip(SLOTS, found, strict=False))
        floors: dict[str, str] = {}
        for slot in slots.values():
            floors = raised(floors, slot)
        return State(slots=slots, confirmed=SLOTS[0] if slots else None, floors=floors)

    def _rebuilt(self, verify: Verifier, why: str) -> State:
        """Write a state built from the bundle files in the folder, because the state file is lost."""
        state = self._file.save(self.gathered(verify))
        self.log.note("rebuilt", why=why, slots={key: slot.sha256 for key, slot in state.slots.items()})
        return state

    def _without_damaged(self, state: State, damaged: Slot) -> State:
        """Confirm the other bundle in place of a damaged one, if it may run; otherwise change nothing."""
        other = state.other
        if other is None or not self.bundles.is_whole(other) or is_below_floor(state, other):
            return state
        key = _key_of(state, other)
        state = self._file.save(replace(state, slots={key: other}, confirmed=key))
        self.log.note("rolled back", to=other.sha256, why=f"{damaged.name} {damaged.version} is damaged on the disk")
        return state


def _key_of(state: State, wanted: Slot) -> str:
    return next(key for key, slot in state.slots.items() if slot is wanted)
