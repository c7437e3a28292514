"""The gateway's active bundle as the monitor follows it: through flashes, trials, confirmations and rollbacks.

A `Follower` looks at the slot store now and then. A bundle that is new there runs its golden vectors once more, is
handed to the stations, and has to work for a while before it is confirmed: every station must run it, events must come,
and no window may be skipped for slowness. A station that cannot run it ends the trial at once.

While the disk takes no writes, nothing can be counted, confirmed or rolled back. Then the bundle that was confirmed
last runs, which needs nothing but to be read, and a trial waits until its starts can be counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from drsn_edge.errors import DrsnEdgeError
from drsn_edge.support.notice import Notice
from drsn_edge.support.telling import Sparing, in_words
from firmware_bridge.errors import GatewayError, NoBundleError, StoreError
from firmware_bridge.gateway.store import Running, SlotStore

TRIAL_S = 300.0
LOOK_EVERY_S = 1.0
_LULL_S = 5.0
_RETRY_S = 60.0
"""Between attempts to write on a disk that took no writes."""


class TrialStation(Protocol):
    """What a follower needs of a station."""

    sampled_s: float
    """When samples came last, seconds of `time.monotonic`."""

    running: Path | None
    """The bundle that it runs; None before it runs one."""

    @property
    def skipped(self) -> int:
        """Windows that it was too slow for, since it runs that bundle."""

    def reload(self) -> None:
        """Take the bundle that is active now."""


class Follower:
    """Knows the active bundle; its `run` goes on in a thread."""

    def __init__(
        self,
        store: SlotStore,
        gate: Callable[[Path], object],
        tell: Callable[[str], None],
        trial_s: float = TRIAL_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find the bundle to begin with.

        Args:
            store: Of this gateway.
            gate: Runs a bundle's golden vectors; raises where it does not run as it should.
            tell: Given what a person should read.
            trial_s: How long a bundle on trial must work.
            now_s: Seconds, for that.

        Raises:
            NoBundleError: If there is none.
        """
        self._store, self._gate, self._tell = store, gate, tell
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
        """The bundle that is active."""
        return self._running.path

    def watch(self, stations: Sequence[TrialStation]) -> None:
        """Take the stations whose health decides on trials."""
        self._stations = stations

    def fail(self, path: Path, reason: str) -> None:
        """A station cannot run this bundle: that ends its trial at the next look; may be called from any thread."""
        with self._lock:
            if self._running.is_trial and self._running.path == path:
                self._failure = reason

    def end_failed(self) -> None:
        """End a trial that has failed now, before this process ends for it."""
        with suppress(GatewayError):
            self._end_failed()

    def look(self) -> None:
        """Look once: follow a change of the store, and see to the trial."""
        now_s = self._now_s()
        elapsed_s, self._looked_s = now_s - self._looked_s, now_s
        try:
            self._end_failed()
            if self._store.state().sequence != self._sequence or (self._stands_by and now_s >= self._retry_s):
                self._follow()
            elif self._running.is_trial:
                self._see_to_trial(elapsed_s)
        except GatewayError as exc:
            self._tell_once(f"{exc} What runs goes on.")

    def run(self, stopped: Callable[[], bool]) -> None:
        """Look every second until told to stop."""
        tell = Sparing(self._tell, most=1, period_s=3600.0)
        while not stopped():
            time.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception as exc:  # a disk that cannot be read now: the next look may go well
                tell(f"Could not look after the active bundle: {in_words(exc)} What runs goes on.")

    def _begin(self) -> Running:
        """Return what is to run; where the disk takes no writes, that is what needs none."""
        try:
            running = self._started()
            self._stands_by, self._said = False, ""
            self._sequence = self._store.state().sequence
        except NoBundleError:
            raise
        except StoreError as exc:
            running = self._standing_by(exc)
        self._worked_s = 0.0
        return running

    def _started(self) -> Running:
        """Count a start; a bundle on trial must pass the gate once more."""
        self._refused = None
        running = self._store.start()
        if running.is_trial:
            try:
                self._gate(running.path)
            except DrsnEdgeError as exc:
                self._refused = running.path
                self._tell(f"{running.slot.name} {running.slot.version} does not run as it should: {exc}")
                self._store.roll_back(str(exc), running.slot.sha256)
                running = self._store.start()
        return running

    def _standing_by(self, cause: StoreError) -> Running:
        """Return what runs until the disk takes writes again."""
        running = self._store.stand_by()
        if running.path == self._refused:
            raise NoBundleError(f"{cause} There is no other bundle that could run here.") from cause
        self._stands_by, self._retry_s = True, self._now_s() + _RETRY_S
        slot = running.slot
        self._tell_once(f"Nothing can be written for this gateway's bundles: {cause} {slot.name} {slot.version} runs.")
        with suppress(StoreError):
            self._sequence = self._store.state().sequence
        return running

    def _tell_once(self, text: str) -> None:
        """Say what stays wrong at its first time only."""
        if text != self._said:
            self._said = text
            self._tell(text)

    def _follow(self) -> None:
        with suppress(StoreError):
            self._sequence = self._store.state().sequence  # whatever comes of it: it is said once
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
            self.fail(path, f"this machine is too slow for it: {skipped} windows skipped")
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
