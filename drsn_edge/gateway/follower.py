"""How the monitor follows the gateway's active bundle through flashes, trials, confirmations and rollbacks.

A `Follower` checks the slot store every second. A new bundle runs its golden vectors again, goes to the stations, and
must work for a while before it is confirmed: every station runs it, samples arrive, and no window is skipped because
the machine is too slow. If a station cannot run it, its trial ends at once.

While the disk cannot be written, nothing can be counted, confirmed or rolled back. Then the last confirmed bundle runs,
which only needs to be read, and a trial waits until its starts can be counted.

Where the store has no active bundle, this site's own runs (`drsn_edge.gateway.own_bundle`), until one is flashed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.gateway.names import TRIAL_S
from drsn_edge.gateway.own_bundle import own_instead
from drsn_edge.support.notice import Notice
from drsn_edge.support.telling import Sparing, in_words
from firmware_bridge.errors import GatewayError, NoBundleError, StoreError
from firmware_bridge.gateway.store import Running, SlotStore

LOOK_EVERY_S = 1.0
_LULL_S = 5.0
_RETRY_S = 60.0
"""Pause in seconds before another attempt to write to a disk that could not be written."""


class TrialStation(Protocol):
    """What a follower needs to know of a station."""

    sampled_s: float
    """Time of the last samples, in seconds of `time.monotonic`."""

    running: Path | None
    """The bundle that the station runs; None before it runs one."""

    @property
    def skipped(self) -> int:
        """Number of windows skipped for slowness since the station runs that bundle."""

    def reload(self) -> None:
        """Switch to the bundle that is active now."""


class Follower:
    """Follows the active bundle; `run` is the body of a thread."""

    def __init__(
        self,
        store: SlotStore,
        gate: Callable[[Path], object],
        tell: Callable[[str], None],
        trial_s: float = TRIAL_S,
        now_s: Callable[[], float] = time.monotonic,
        own: Path | None = None,
    ) -> None:
        """Find the bundle to run first.

        Args:
            store: Slot store of this gateway.
            gate: Runs a bundle's golden vectors, and raises an error if the bundle does not pass.
            tell: Called with messages for people.
            trial_s: Time in seconds that a bundle on trial must work.
            now_s: Monotonic clock in seconds.
            own: This site's own bundle, which runs until the store has one; None: there is none.

        Raises:
            NoBundleError: If no bundle can run.
        """
        self._store, self._gate, self._tell, self._own = store, gate, tell, own
        self._trial_s, self._now_s = trial_s, now_s
        self._stations: Sequence[TrialStation] = ()
        self._lock = threading.Lock()
        self._worked_s, self._looked_s = 0.0, now_s()
        self._failure: str | None = None
        self._refused: Path | None = None
        self._said, self._stands_by, self._retry_s = "", False, now_s()
        self._sequence = -1
        self._running = self._begin()

    @property
    def path(self) -> Path:
        """The active bundle."""
        return self._running.path

    def watch(self, stations: Sequence[TrialStation]) -> None:
        """Set the stations whose health decides about trials."""
        self._stations = stations

    def fail(self, path: Path, reason: str) -> None:
        """Report that a station cannot run this bundle; its trial ends at the next `look`. Any thread may call it."""
        with self._lock:
            if self._running.is_trial and self._running.path == path:
                self._failure = reason

    def end_failed(self) -> None:
        """End a failed trial now, before this process ends because of it."""
        with suppress(GatewayError):
            self._end_failed()

    def look(self) -> None:
        """Check once: follow a change of the store, and advance the trial."""
        now_s = self._now_s()
        elapsed_s, self._looked_s = now_s - self._looked_s, now_s
        try:
            self._end_failed()
            if self._store.state().sequence != self._sequence or (self._stands_by and now_s >= self._retry_s):
                self._follow()
            elif self._running.is_trial:
                self._see_to_trial(elapsed_s)
        except GatewayError as exc:
            self._tell_once(f"{exc} The running bundle continues.")

    def run(self, stopped: Callable[[], bool]) -> None:
        """Check every second until `stopped` returns True."""
        tell = Sparing(self._tell, most=1, period_s=3600.0)
        while not stopped():
            time.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception as exc:  # a disk that cannot be read now may be readable at the next look
                tell(f"Could not check the active bundle: {in_words(exc)} The running bundle continues.")

    def _begin(self) -> Running:
        """Return the bundle to run: the active one, or the last confirmed one while the disk cannot be written."""
        try:
            running = self._started()
            self._stands_by, self._said = False, ""
            self._sequence = self._store.state().sequence
        except NoBundleError as exc:
            running = self._of_this_site(exc)
        except StoreError as exc:
            running = self._standing_by(exc)
        self._worked_s = 0.0
        return running

    def _of_this_site(self, why: NoBundleError) -> Running:
        """Return this site's own bundle, because the store has no active one."""
        if self._own is None:
            raise why
        running = own_instead(self._own, why)
        slot = running.slot
        self._tell_once(Notice(f"No bundle was flashed, so this site's own runs: {slot.name} {slot.version}."))
        with suppress(StoreError):
            self._sequence = self._store.state().sequence
        return running

    def _started(self) -> Running:
        """Count a start, and return the bundle; a bundle on trial must pass the gate again."""
        self._refused = None
        running = self._store.start()
        if running.is_trial:
            try:
                self._gate(running.path)
            except DrsnEdgeError as exc:
                self._refused = running.path
                self._tell(f"{running.slot.name} {running.slot.version} failed its check and is rolled back: {exc}")
                self._store.roll_back(str(exc), running.slot.sha256)
                running = self._store.start()
        return running

    def _standing_by(self, cause: StoreError) -> Running:
        """Return the bundle that runs until the disk can be written again."""
        running = self._store.stand_by()
        if running.path == self._refused:
            raise NoBundleError(f"{cause} No other bundle can run here.", "no_other_bundle") from cause
        self._stands_by, self._retry_s = True, self._now_s() + _RETRY_S
        slot = running.slot
        self._tell_once(f"The gateway's bundle store cannot be written: {cause} {slot.name} {slot.version} runs.")
        with suppress(StoreError):
            self._sequence = self._store.state().sequence
        return running

    def _tell_once(self, text: str) -> None:
        """Pass a message on unless it is the same as the one before."""
        if text != self._said:
            self._said = text
            self._tell(text)

    def _follow(self) -> None:
        with suppress(StoreError):
            self._sequence = self._store.state().sequence  # whatever follows is reported once
        self._switch(self._begin())

    def _switch(self, after: Running) -> None:
        before = self._running
        with self._lock:
            self._running, self._failure = after, None
        if after.path != before.path:
            trial = " on trial" if after.is_trial else ""
            self._tell(Notice(f"{after.slot.name} {after.slot.version} is active{trial}."))
            for station in self._stations:
                station.reload()

    def _end_failed(self) -> None:
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is None or not self._running.is_trial:
            return
        try:
            self._store.roll_back(failure, self._running.slot.sha256)
        except StoreError as exc:
            self._refused = self._running.path
            self._switch(self._standing_by(exc))
        else:
            self._follow()

    def _see_to_trial(self, elapsed_s: float) -> None:
        path, now_s = self._running.path, self._now_s()
        skipped = sum(station.skipped for station in self._stations)
        if skipped:
            self.fail(path, f"this machine is too slow for the bundle: {skipped} windows skipped")
            return
        if self._stations and all(
            station.running == path and now_s - station.sampled_s < _LULL_S for station in self._stations
        ):
            self._worked_s += elapsed_s
        if self._worked_s >= self._trial_s and now_s >= self._retry_s:
            self._retry_s = now_s + _RETRY_S
            slot = self._store.confirm(self._running.slot.sha256)
            self._running = Running(path, slot, is_trial=False)
            self._sequence = self._store.state().sequence
            self._tell(Notice(f"{slot.name} {slot.version} has worked for {self._trial_s:g} s and is confirmed."))
