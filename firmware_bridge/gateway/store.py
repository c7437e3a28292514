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
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import NoBundleError, StoreError, TrialError, VersionFloorError
from firmware_bridge.gateway.disk import Disk
from firmware_bridge.gateway.state import (
    MAX_STATE_BYTES,
    MOST_NAMES,
    SLOTS,
    Description,
    Slot,
    State,
    bundle_file,
    state_from_bytes,
    state_to_bytes,
    version_key,
)
from firmware_bridge.support.shown import printable

Verifier = Callable[[bytes, bytes | None], Description]
"""Given a bundle and the one that runs, says what it is; raises what it likes where it must not be used here."""

Gate = Callable[[Path], object]
"""Given a bundle's path, runs it on this machine; raises what it likes where it does not run as it should."""

Locked = Callable[[], AbstractContextManager[None]]

MAX_BUNDLE_BYTES = 32 << 20
MOST_STARTS = 3
"""Of a trial, before it counts as a crash loop."""

_STATE, _STATE_NEW = "state.json", "state.json.new"
_LOG, _LOG_BEFORE = "log.jsonl", "log.jsonl.1"
_MAX_LOG_BYTES = 262_144
_WRITE_BYTES = 65_536
_MARGIN_BYTES = 1 << 20
_SUFFIX = ".drsn"


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
        self._disk, self._locked, self._verify, self._gate, self._now_s = disk, locked, verify, gate, now_s

    # --- What is there -----------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return the state as it is written; nothing is mended.

        Raises:
            StoreError: If it cannot be read.
        """
        data = self._state_bytes()
        try:
            return State() if data is None else state_from_bytes(data)
        except ValueError as exc:
            raise StoreError(
                f"The state of this gateway's bundles is damaged: {exc}. The next start of the monitor mends it."
            ) from exc

    def active(self) -> Running:
        """Return the bundle that is to run, without counting that as a start; nothing is mended.

        Raises:
            NoBundleError: If there is none.
        """
        return self._running(self.state())

    def log(self) -> list[dict[str, object]]:
        """Return what happened, oldest first, as far as the log goes back."""
        entries = []
        for name in (_LOG_BEFORE, _LOG):
            for line in (self._content(name, 2 * _MAX_LOG_BYTES) or b"").splitlines():
                with suppress(ValueError):  # the last line before a cut may be half one
                    entries.append(json.loads(line))
        return [entry for entry in entries if isinstance(entry, dict)]

    # --- What may be done --------------------------------------------------------------------------------------

    def check(self, data: bytes) -> Description:
        """Return what a bundle is, if `install` would begin with it; nothing is changed.

        Raises:
            GatewayError: If its version or a trial stands against it; the verifier raises errors of its own.
        """
        state = self.state()
        self._expect_no_trial(state)
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
            if state.running is not None and state.running.sha256 == digest and self._is_whole(state.running):
                return state.running
            try:
                self._expect_no_trial(state)
                described = self._checked(data, state)
                self._expect_room(len(data))
                self._write_bundle(digest, data, state)
            except Exception as exc:
                self._note("refused", sha256=digest, why=f"{type(exc).__name__}: {exc}")
                raise
            slot = Slot(digest, len(data), described.name, described.version, described.floor)
            target = next(key for key in SLOTS if key != state.confirmed)
            slots = {**state.slots, target: slot}
            state = self._save(replace(state, slots=slots, trial=target, trial_starts=0))
            self._note("trial begins", slot=target, sha256=digest, name=slot.name, version=slot.version)
            self._collect(state)
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
                    state = self._end_trial(state, f"started {state.trial_starts} times without being confirmed")
                else:
                    state = self._save(replace(state, trial_starts=state.trial_starts + 1))
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
            state = self._gathered()
        for key in (state.confirmed, state.trial, *state.slots):
            slot = None if key is None else state.slots[key]
            if slot is not None and self._is_whole(slot) and not self._is_below_floor(slot, state):
                return Running(self._disk.path(slot.file), slot, is_trial=False)
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
            slot = self._trial(state, sha256)
            floors = _raised(state.floors, slot)
            self._save(replace(state, confirmed=state.trial, trial=None, trial_starts=0, floors=floors))
            self._note("confirmed", sha256=slot.sha256, name=slot.name, version=slot.version, floor=floors[slot.name])
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
                return self._end_trial(state, reason).running
            if before is None:
                raise TrialError("Expected a bundle to go back to, there is none. Flash one.")
            self._expect_floor(before.name, before.version, state)
            if not self._is_whole(before):
                raise StoreError(f"Expected {before.name} {before.version} to be whole, it is damaged. Flash it again.")
            key = next(key for key, slot in state.slots.items() if slot is before)
            self._save(replace(state, confirmed=key))
            self._note("rolled back", to=before.sha256, name=before.name, version=before.version, why=reason)
            return before

    # --- Checks ------------------------------------------------------------------------------------------------

    def _checked(self, data: bytes, state: State) -> Description:
        if len(data) > MAX_BUNDLE_BYTES:
            raise StoreError(f"Expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, got {len(data)}.")
        running = state.running
        active = None if running is None else self._content(running.file, MAX_BUNDLE_BYTES)
        described = self._verify(data, active)
        self._expect_floor(described.name, described.version, state)
        if described.name not in state.floors and len(state.floors) >= MOST_NAMES:
            raise StoreError(f"Expected at most {MOST_NAMES} names of bundles on a gateway. Use one of them.")
        return described

    def _expect_floor(self, name: str, version: str, state: State) -> None:
        floor = state.floors.get(name)
        if floor is not None and version_key(version) < version_key(floor):
            raise VersionFloorError(
                f"Expected {name} {floor} or newer on this gateway, got {version}. To go back to an older model, sign "
                "it under a newer version."
            )

    def _is_below_floor(self, slot: Slot, state: State) -> bool:
        try:
            self._expect_floor(slot.name, slot.version, state)
        except VersionFloorError:
            return True
        return False

    def _expect_no_trial(self, state: State) -> None:
        if state.trial is not None:
            slot = state.slots[state.trial]
            raise TrialError(
                f"Expected no trial to go on; {slot.name} {slot.version} has still to prove itself. Wait, or type: "
                "drsn-edge gateway confirm (or rollback)"
            )

    def _trial(self, state: State, sha256: str | None) -> Slot:
        if state.trial is None or sha256 not in (None, state.slots[state.trial].sha256):
            raise TrialError("Expected a trial of that bundle, there is none. See `drsn-edge gateway status`.")
        return state.slots[state.trial]

    def _expect_room(self, size: int) -> None:
        free = self._disk.free_bytes()
        if free < size + _MARGIN_BYTES:
            raise StoreError(
                f"Expected {size + _MARGIN_BYTES} bytes free for the bundle, there are {free}. Nothing was changed; "
                "make room and flash again."
            )

    # --- Changes -----------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[State]:
        """Give the state, mended, to a block that alone may change it; say what a disk did not let it."""
        with self._locked():
            try:
                yield self._recovered()
            except OSError as exc:
                why = "The disk is full" if exc.errno == errno.ENOSPC else f"The disk says {exc}"
                raise StoreError(f"{why}. What ran before still runs, as `drsn-edge gateway status` says.") from exc

    def _write_bundle(self, digest: str, data: bytes, state: State) -> None:
        """Write a bundle that no state names yet, read it back, and try it; one that fails is removed."""
        name = bundle_file(digest)
        held = any(slot.file == name for slot in state.slots.values())
        if held and self._content(name, MAX_BUNDLE_BYTES) == data:  # it lies in the other slot: once more on trial
            self._gate(self._disk.path(name))
            return
        self._remove_beside(name)
        try:
            descriptor = self._disk.create(name)
            try:
                for start in range(0, len(data), _WRITE_BYTES):
                    self._disk.write(descriptor, data[start : start + _WRITE_BYTES])
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
            self._disk.sync_folder()
            self._expect_same(name, data)
            self._gate(self._disk.path(name))
        except BaseException:
            with suppress(OSError):
                self._remove_beside(name)
            raise

    def _expect_same(self, name: str, data: bytes) -> None:
        if self._content(name, MAX_BUNDLE_BYTES) != data:
            raise StoreError("What was read back is not what was written: the disk is bad. Nothing was changed.")

    def _save(self, state: State) -> State:
        state = replace(state, sequence=state.sequence + 1)
        if _STATE_NEW in self._disk.names():
            self._disk.unlink(_STATE_NEW)
        descriptor = self._disk.create(_STATE_NEW)
        try:
            self._disk.write(descriptor, state_to_bytes(state))
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        self._disk.rename(_STATE_NEW, _STATE)
        self._disk.sync_folder()
        return state

    def _end_trial(self, state: State, reason: str) -> State:
        assert state.trial is not None
        slot = state.slots[state.trial]
        kept = {key: each for key, each in state.slots.items() if key != state.trial}
        state = self._save(replace(state, slots=kept, trial=None, trial_starts=0))
        self._note("trial ends", sha256=slot.sha256, name=slot.name, version=slot.version, why=reason)
        self._collect(state)
        return state

    def _collect(self, state: State) -> None:
        """Remove bundles that no slot holds, with what lies beside them; the names must be on the disk by now."""
        held = {slot.file for slot in state.slots.values()}
        with suppress(OSError):  # what cannot be removed now is removed at the next change
            for name in self._disk.names():
                bundle = name[: name.find(_SUFFIX) + len(_SUFFIX)]
                if _SUFFIX in name and bundle not in held:
                    self._disk.unlink(name)

    def _remove_beside(self, name: str) -> None:
        for each in self._disk.names():
            if each.startswith(name):
                self._disk.unlink(each)

    def _note(self, event: str, **details: object) -> None:
        """Write a line of the log; one that cannot be written costs nothing else."""
        plain = {key: printable(value) if isinstance(value, str) else value for key, value in details.items()}
        line = json.dumps({"time_s": round(self._now_s(), 3), "event": event, **plain}) + "\n"
        with suppress(OSError):
            if len(self._content(_LOG, _MAX_LOG_BYTES) or b"") + len(line) > _MAX_LOG_BYTES:
                self._disk.rename(_LOG, _LOG_BEFORE)
            there = _LOG in self._disk.names()
            descriptor = self._disk.open_end(_LOG) if there else self._disk.create(_LOG)
            try:
                self._disk.write(descriptor, line.encode())
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)

    # --- Recovery ----------------------------------------------------------------------------------------------

    def _recovered(self) -> State:
        """Return the state, mended where a slot or the state itself is damaged."""
        try:
            state = self.state()
        except StoreError as exc:
            state = self._rebuilt(str(exc))
        if state.trial is not None and not self._is_whole(state.slots[state.trial]):
            self._disk.sync_folder()
            state = self._end_trial(state, "its file is missing or damaged")
        if state.confirmed is not None and state.trial is None and not self._is_whole(state.slots[state.confirmed]):
            state = self._without_damaged(state)
        return state

    def _without_damaged(self, state: State) -> State:
        """Go to the other bundle where the confirmed one is damaged, if that may run; else all stays as it is."""
        assert state.confirmed is not None
        damaged, other = state.slots[state.confirmed], state.other
        if other is None or not self._is_whole(other) or self._is_below_floor(other, state):
            return state
        key = next(key for key, slot in state.slots.items() if slot is other)
        state = self._save(replace(state, slots={key: other}, confirmed=key))
        self._note("rolled back", to=other.sha256, why=f"{damaged.name} {damaged.version} is damaged on the disk")
        return state

    def _rebuilt(self, why: str) -> State:
        """Write the state that is made from the bundles that lie there: the state file itself is lost."""
        state = self._save(self._gathered())
        self._note("rebuilt", why=why, slots={key: slot.sha256 for key, slot in state.slots.items()})
        return state

    def _gathered(self) -> State:
        """Return the state that the bundles make that lie there, the newest of them confirmed."""
        found = []
        for name in sorted(self._disk.names()):
            data = self._content(name, MAX_BUNDLE_BYTES) if name.endswith(_SUFFIX) else None
            if data is None or bundle_file(hashlib.sha256(data).hexdigest()) != name:
                continue
            with suppress(Exception):  # whatever the verifier says: it is not for here
                described = self._verify(data, None)
                found.append(Slot(name[: -len(_SUFFIX)], len(data), described.name, described.version, described.floor))
        found.sort(key=lambda slot: version_key(slot.version), reverse=True)
        slots = dict(zip(SLOTS, found, strict=False))
        floors: dict[str, str] = {}
        for slot in slots.values():
            floors = _raised(floors, slot)
        return State(slots=slots, confirmed=SLOTS[0] if slots else None, floors=floors)

    def _running(self, state: State) -> Running:
        slot = state.running
        if slot is None:
            raise NoBundleError(
                "Expected a bundle that is active on this gateway, there is none. Put one there with `drsn-edge flash "
                "BUNDLE --to ...`, or name one with --model."
            )
        if not self._is_whole(slot):
            raise NoBundleError(
                f"{slot.name} {slot.version} is damaged on this disk, and no other can run. Flash it again."
            )
        return Running(self._disk.path(slot.file), slot, state.trial is not None)

    # --- Reading -----------------------------------------------------------------------------------------------

    def _state_bytes(self) -> bytes | None:
        try:
            return self._disk.read(_STATE, MAX_STATE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StoreError(f"The state of this gateway's bundles cannot be read: {exc}.") from exc

    def _content(self, name: str, limit: int) -> bytes | None:
        try:
            return self._disk.read(name, limit)
        except OSError:
            return None

    def _is_whole(self, slot: Slot) -> bool:
        data = self._content(slot.file, MAX_BUNDLE_BYTES)
        return data is not None and hashlib.sha256(data).hexdigest() == slot.sha256


def _raised(floors: Mapping[str, str], slot: Slot) -> dict[str, str]:
    highest = max(floors.get(slot.name, slot.floor), slot.floor, key=version_key)
    return {**floors, slot.name: highest}
