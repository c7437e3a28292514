"""Two slots and a tiny state file: whatever is cut wherever, the old bundle or the new one runs, never neither.

A bundle's file is named by its content and never written over. It is written, synced, read back and tried before the
state names it; the state is replaced by one rename; what no state names any more is removed after that. A cut before
the rename leaves the old state and a file that nobody names; a cut after it leaves the new one.

    install    checks, writes, reads back, gate           -> trial
    start      by the monitor, each time it begins; too many without a confirmation end the trial
    stand by   what runs while the disk takes no writes: what was confirmed, not what would have to be counted
    confirm    the trial has proved itself                -> confirmed, and the floor rises
    roll back  out of a trial, or to the bundle before    -> confirmed
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
"""Given a bundle's path, runs it on this machine; raises what it likes where it does not run as it should."""

Locked = Callable[[], AbstractContextManager[None]]

MOST_STARTS = 3
"""Of a trial, before it counts as a crash loop."""


@dataclass(frozen=True)
class Running:
    """The bundle that is to run.

    Attributes:
        path: Of its file.
        slot: What it is.
        is_trial: Whether it has still to prove itself.
    """

    path: Path
    slot: Slot
    is_trial: bool


class SlotStore:
    """The bundles of one gateway."""

    def __init__(
        self, disk: Disk, locked: Locked, verify: Verifier, gate: Gate, now_s: Callable[[], float] = time.time
    ):
        """Take the store in a folder.

        Args:
            disk: The folder.
            locked: Returns a context in which nobody else changes it.
            verify: See `Verifier`.
            gate: See `Gate`.
            now_s: Seconds since 1970, for the log.
        """
        self._slots = Slots(disk, now_s)
        self._bundles, self._log = self._slots.bundles, self._slots.log
        self._locked, self._verify, self._gate = locked, verify, gate

    # --- What is there -----------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return the state as it is written; nothing is mended.

        Raises:
            StoreError: If it cannot be read.
        """
        return self._slots.state()

    def active(self) -> Running:
        """Return the bundle that is to run, without counting that as a start; nothing is mended.

        Raises:
            NoBundleError: If there is none.
        """
        return self._running(self.state())

    def log(self) -> list[dict[str, object]]:
        """Return what happened, oldest first, as far as the log goes back."""
        return self._log.entries()

    # --- What may be done --------------------------------------------------------------------------------------

    def check(self, data: bytes) -> Description:
        """Return what a bundle is, if `install` would begin with it; nothing is changed.

        Raises:
            GatewayError: If its version or a trial stands against it; the verifier raises errors of its own.
        """
        state = self.state()
        _expect_no_trial(state)
        return self._checked(data, state)

    def rehearse(self, data: bytes, path: Path) -> Description:
        """Do of `install` all that changes nothing: the checks, and the gate on a file with the bundle."""
        described = self.check(data)
        self._gate(path)
        return described

    def install(self, data: bytes) -> Slot:
        """Put a bundle into the slot that does not run, try it, and let it run on trial.

        One that runs already changes nothing.

        Raises:
            GatewayError: If it cannot be; what ran before still runs. Verifier and gate raise errors of their own.
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
        """Return what the monitor is to run from now on; of a trial, starts are counted.

        A bundle that is confirmed and whole needs nothing but to be read.

        Raises:
            NoBundleError: If there is none.
            StoreError: If there is a start to count, or something to mend, and it cannot be written; see `stand_by`.
        """
        with suppress(StoreError):  # what is missing or damaged is seen to below
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
        """Return what can run while nothing can be written, from reading alone: a bundle that has proved itself.

        That is the confirmed one, even in a trial: starts that are not counted would never end the trial of a bundle
        that brings the monitor down. What is on trial, or lay there before, runs only where there is nothing else.

        Raises:
            NoBundleError: If there is none.
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
        """Let a trial's bundle stay, and raise the floor; one that is confirmed already stays so.

        Args:
            sha256: Whose; None: that of the trial.

        Raises:
            TrialError: If there is no trial, or it is another bundle's.
        """
        with self._changing() as state:
            confirmed = None if state.confirmed is None else state.slots[state.confirmed]
            if state.trial is None and confirmed is not None and sha256 == confirmed.sha256:
                return confirmed
            slot = _trial(state, sha256)
            self._slots.confirm_trial(state, slot)
            return slot

    def roll_back(self, reason: str, sha256: str | None = None) -> Slot | None:
        """End a trial, or go back to the bundle before; return what runs then, None: nothing.

        Args:
            reason: For the log.
            sha256: Only if this bundle runs.

        Raises:
            TrialError: If another bundle runs, or there is none to go back to.
            VersionFloorError: If that one is older than the floor.
        """
        with self._changing() as state:
            running, before = state.running, state.other
            if sha256 is not None and (running is None or running.sha256 != sha256):
                raise TrialError(
                    f"Expected the bundle {sha256[:12]} to run, it does not. See `drsn-edge gateway status`."
                )
            if state.trial is not None:
                return self._slots.end_trial(state, reason).running
            if before is None:
                raise TrialError("Expected a bundle to go back to, there is none. Flash one.")
            expect_floor(state, before.name, before.version)
            if not self._bundles.is_whole(before):
                raise StoreError(f"Expected {before.name} {before.version} to be whole, it is damaged. Flash it again.")
            self._slots.go_back(state, before, reason)
            return before

    # --- Inside ------------------------------------------------------------------------------------------------

    def _checked(self, data: bytes, state: State) -> Description:
        if len(data) > MAX_BUNDLE_BYTES:
            raise StoreError(f"Expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, got {len(data)}.")
        running = state.running
        described = self._verify(data, None if running is None else self._bundles.content(running))
        expect_floor(state, described.name, described.version)
        if described.name not in state.floors and len(state.floors) >= MOST_NAMES:
            raise StoreError(f"Expected at most {MOST_NAMES} names of bundles on a gateway. Use one of them.")
        return described

    @contextmanager
    def _changing(self) -> Iterator[State]:
        """Give the state, mended, to a block that alone may change it; say what a disk did not let it."""
        with self._locked():
            try:
                yield self._slots.mended(self._verify)
            except OSError as exc:
                why = "The disk is full" if exc.errno == errno.ENOSPC else f"The disk says {exc}"
                raise StoreError(f"{why}. What ran before still runs, as `drsn-edge gateway status` says.") from exc

    def _running(self, state: State) -> Running:
        slot = state.running
        if slot is None:
            raise NoBundleError(
                "Expected a bundle that is active on this gateway, there is none. Put one there with `drsn-edge flash "
                "BUNDLE --to ...`, or name one with --model."
            )
        if not self._bundles.is_whole(slot):
            raise NoBundleError(
                f"{slot.name} {slot.version} is damaged on this disk, and no other can run. Flash it again."
            )
        return Running(self._bundles.path(slot), slot, state.trial is not None)


def _expect_no_trial(state: State) -> None:
    if state.trial is not None:
        slot = state.slots[state.trial]
        raise TrialError(
            f"Expected no trial to go on; {slot.name} {slot.version} has still to prove itself. Wait, or type: "
            "drsn-edge gateway confirm (or rollback)"
        )


def _trial(state: State, sha256: str | None) -> Slot:
    if state.trial is None or sha256 not in (None, state.slots[state.trial].sha256):
        raise TrialError("Expected a trial of that bundle, there is none. See `drsn-edge gateway status`.")
    return state.slots[state.trial]
