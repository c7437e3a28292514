"""The bundle store: two slots and a small state file. After a power cut at any point, the old or the new bundle runs.

A bundle file is named after its content and never overwritten. It is written, synced, read back and tested by the gate
before the state names it; the state is replaced by one rename; files that the state no longer names are removed last.
A power cut before the rename leaves the old state and an unused file; a cut after the rename leaves the new state.

    install    check, write, read back, gate              -> trial
    start      by the monitor, each time it begins; too many starts without a confirmation end the trial
    stand by   the bundle that runs while the disk takes no writes: the confirmed one, as starts cannot be counted
    confirm    the trial has succeeded                    -> confirmed, and the floor rises
    roll back  from a trial, or to the previous bundle    -> confirmed
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import NoBundleError, StoreError, TrialError
from firmware_bridge.gateway.bundle_files import MAX_BUNDLE_BYTES
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.floors import expect_floor, is_below_floor
from firmware_bridge.gateway.slots import Slots, Verifier
from firmware_bridge.gateway.state import MOST_NAMES, Description, Slot, State

Gate = Callable[[Path], object]
"""Takes the path of a bundle and runs it on this machine. It raises an error of its own if the bundle does not run as
its manifest says."""

Locked = Callable[[], AbstractContextManager[None]]

MOST_STARTS = 3
"""Starts of a bundle on trial without a confirmation; the next start counts as a crash loop and ends the trial."""


@dataclass(frozen=True)
class Running:
    """The bundle to run.

    Attributes:
        path: Path of the bundle file.
        slot: Description of the bundle.
        is_trial: Whether the bundle is on trial.
    """

    path: Path
    slot: Slot
    is_trial: bool


class SlotStore:
    """The bundles of one gateway."""

    def __init__(
        self, disk: Disk, locked: Locked, verify: Verifier, gate: Gate, now_s: Callable[[], float] = time.time
    ):
        """Use the store in a folder.

        Args:
            disk: Folder of the store.
            locked: Returns a context in which no other process changes the store.
            verify: See `Verifier`.
            gate: See `Gate`.
            now_s: Seconds since 1970, for the log.
        """
        self._slots = Slots(disk, now_s)
        self._bundles, self._log = self._slots.bundles, self._slots.log
        self._locked, self._verify, self._gate = locked, verify, gate

    # --- Reading -----------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return the state as it is on the disk; nothing is repaired.

        Raises:
            StoreError: If the state cannot be read.
        """
        return self._slots.state()

    def active(self) -> Running:
        """Return the bundle to run, without counting a start; nothing is repaired.

        Raises:
            NoBundleError: If no bundle can run.
        """
        return self._running(self.state())

    def log(self) -> list[dict[str, object]]:
        """Return the entries of the log, oldest first, as far as the log goes back."""
        return self._log.entries()

    # --- Changing ----------------------------------------------------------------------------------------------

    def check(self, data: bytes) -> Description:
        """Return the description of a bundle that `install` would accept up to the gate; nothing is changed.

        Raises:
            GatewayError: If its version is below the floor or a trial is running; the verifier raises its own errors.
        """
        state = self.state()
        _expect_no_trial(state)
        return self._checked(data, state)

    def rehearse(self, data: bytes, path: Path) -> Description:
        """Run the checks and the gate of `install` on the bundle in the file `path`; nothing is changed."""
        described = self.check(data)
        self._gate(path)
        return described

    def install(self, data: bytes) -> Slot:
        """Write a bundle into the free slot, test it with the gate, and start its trial.

        A bundle that already runs changes nothing.

        Raises:
            GatewayError: If the bundle cannot be installed; the bundle that ran before still runs. Verifier and gate
                raise errors of their own.
        """
        digest = hashlib.sha256(data).hexdigest()
        with self._changing() as state:
            if state.running is not None and state.running.sha256 == digest and self._bundles.is_whole(state.running):
                return state.running
            try:
                _expect_no_trial(state)
                described = self._checked(data, state)
                self._bundles.expect_room(len(data))
                self._bundles.write(digest, data, state, self._gate)
            except Exception as exc:
                self._log.note("refused", sha256=digest, why=f"{type(exc).__name__}: {exc}")
                raise
            slot = Slot(digest, len(data), described.name, described.version, described.floor)
            self._slots.begin_trial(state, slot)
            return slot

    def start(self) -> Running:
        """Return the bundle that the monitor runs from now on; starts of a bundle on trial are counted.

        A confirmed bundle that is whole is only read.

        Raises:
            NoBundleError: If no bundle can run.
            StoreError: If a start must be counted, or damage repaired, and the disk takes no writes; see `stand_by`.
        """
        with suppress(StoreError):  # missing or damaged: repaired below
            state = self.state()
            if state.trial is None:
                return self._running(state)
        with self._changing() as state:
            if state.trial is not None:
                if state.trial_starts >= MOST_STARTS:
                    state = self._slots.end_trial(state, f"started {state.trial_starts} times without being confirmed")
                else:
                    state = self._slots.count_start(state)
            return self._running(state)

    def stand_by(self) -> Running:
        """Return the bundle to run while the disk takes no writes; the store is only read.

        This is the confirmed bundle, even during a trial: without counted starts, the trial of a bundle that crashes
        the monitor would never end. The bundle on trial, or an earlier one, runs only if there is no other.

        Raises:
            NoBundleError: If no bundle can run.
        """
        try:
            state = self.state()
        except StoreError:
            state = self._slots.gathered(self._verify)
        for key in (state.confirmed, state.trial, *state.slots):
            slot = None if key is None else state.slots[key]
            if slot is not None and self._bundles.is_whole(slot) and not is_below_floor(state, slot):
                return Running(self._bundles.path(slot), slot, is_trial=False)
        return self._running(replace(state, trial=None))

    def confirm(self, sha256: str | None = None) -> Slot:
        """Confirm the bundle on trial, and raise the floor of its name; a confirmed bundle stays confirmed.

        Args:
            sha256: SHA-256 of the bundle to confirm; None: the one on trial.

        Raises:
            TrialError: If there is no trial, or another bundle is on trial.
        """
        with self._changing() as state:
            confirmed = None if state.confirmed is None else state.slots[state.confirmed]
            if state.trial is None and confirmed is not None and sha256 == confirmed.sha256:
                return confirmed
            slot = _trial(state, sha256)
            self._slots.confirm_trial(state, slot)
            return slot

    def roll_back(self, reason: str, sha256: str | None = None) -> Slot | None:
        """End the trial, or return to the previous bundle; return the bundle that runs then, None if there is none.

        Args:
            reason: Reason for the log.
            sha256: SHA-256 of the bundle that must be running; None: any.

        Raises:
            TrialError: If another bundle runs, or there is no previous one.
            VersionFloorError: If the previous bundle is below the floor of its name.
            StoreError: If the previous bundle is damaged.
        """
        with self._changing() as state:
            running, before = state.running, state.other
            if sha256 is not None and (running is None or running.sha256 != sha256):
                raise TrialError(
                    f"The bundle {sha256[:12]} does not run on this gateway. See `drsn-edge gateway status`.",
                    "not_running",
                    sha256=sha256,
                )
            if state.trial is not None:
                return self._slots.end_trial(state, reason).running
            if before is None:
                raise TrialError(
                    "There is no previous bundle to roll back to. Flash one: drsn-edge flash BUNDLE --to ...",
                    "no_previous",
                )
            expect_floor(state, before.name, before.version)
            if not self._bundles.is_whole(before):
                raise StoreError(
                    f"Cannot roll back to {before.name} {before.version}: it is damaged on the disk. Flash it again.",
                    "damaged",
                    name=before.name,
                    version=before.version,
                )
            self._slots.go_back(state, before, reason)
            return before

    # --- Inside ------------------------------------------------------------------------------------------------

    def _checked(self, data: bytes, state: State) -> Description:
        if len(data) > MAX_BUNDLE_BYTES:
            raise StoreError(
                f"The bundle has {len(data)} bytes; a gateway takes at most {MAX_BUNDLE_BYTES}. "
                "Check that the file is a bundle.",
                "file_too_large",
                limit=MAX_BUNDLE_BYTES,
                got=len(data),
            )
        running = state.running
        described = self._verify(data, None if running is None else self._bundles.content(running))
        expect_floor(state, described.name, described.version)
        if described.name not in state.floors and len(state.floors) >= MOST_NAMES:
            raise StoreError(
                f"This gateway keeps floors for {MOST_NAMES} bundle names, the most it can, and {described.name} is "
                "not among them. Build the bundle under one of those names: drsn-edge gateway status",
                "too_many_names",
                limit=MOST_NAMES,
                name=described.name,
            )
        return described

    @contextmanager
    def _changing(self) -> Iterator[State]:
        """Yield the state, repaired, to a block that alone may change it; turn disk failures into StoreError."""
        with self._locked():
            try:
                yield self._slots.mended(self._verify)
            except OSError as exc:
                full = exc.errno == errno.ENOSPC
                raise StoreError(
                    f"{'The disk is full' if full else f'The disk failed: {exc}'}. The bundle that ran before still "
                    "runs; see `drsn-edge gateway status`.",
                    "disk_full" if full else "disk_failed",
                    reason=str(exc),
                ) from exc

    def _running(self, state: State) -> Running:
        slot = state.running
        if slot is None:
            raise NoBundleError(
                "No bundle is active on this gateway. Put one there with `drsn-edge flash BUNDLE --to ...`, or name "
                "one with --model.",
                "none_active",
            )
        if not self._bundles.is_whole(slot):
            raise NoBundleError(
                f"{slot.name} {slot.version} is damaged on this disk, and no other bundle can run. Flash it again.",
                "damaged",
                name=slot.name,
                version=slot.version,
            )
        return Running(self._bundles.path(slot), slot, state.trial is not None)


def _expect_no_trial(state: State) -> None:
    if state.trial is not None:
        slot = state.slots[state.trial]
        raise TrialError(
            f"{slot.name} {slot.version} is still on trial, and a gateway runs one trial at a time. Wait until it is "
            "confirmed, or type: drsn-edge gateway confirm (or rollback)",
            "trial_running",
            name=slot.name,
            version=slot.version,
        )


def _trial(state: State, sha256: str | None) -> Slot:
    if state.trial is None or sha256 not in (None, state.slots[state.trial].sha256):
        what = "No bundle is" if sha256 is None else f"The bundle {sha256[:12]} is not"
        raise TrialError(f"{what} on trial. See `drsn-edge gateway status`.", "no_trial", sha256=sha256)
    return state.slots[state.trial]
