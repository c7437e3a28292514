"""Runs stations side by side: a station that fails is restarted, and the others are not affected.

`Crew` is the work of each station's thread. `Supervisor` owns the threads, and meanwhile serves the view, the service
manager and the gateway's active bundle.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from drsn_edge.errors import MonitorError, RuntimeUnavailableError
from drsn_edge.monitor.station import Station
from drsn_edge.monitor.systemd_notify import Notifier
from drsn_edge.support.telling import Sparing, in_words, is_expected

FIRST_PAUSE_S, LAST_PAUSE_S = 2.0, 60.0
_LOOK_EVERY_S = 0.1
_HOUR_S = 3600.0

ENDED = "The sensor reports that it has ended."

_ROUND_S, _VIEW_EVERY_S = 1.0, 0.25
_HANGS_AFTER_S = 30.0

_LOGGER = logging.getLogger(__name__)

if TYPE_CHECKING:  # a view needs rich, which is not installed everywhere
    from drsn_edge.gateway.follower import Follower
    from drsn_edge.monitor.view import View


class Crew:
    """Keeps stations running until they are asked to stop, or every sensor reports that it has ended.

    A station that fails is restarted after growing pauses, and its decision is withdrawn meanwhile. If it is the only
    station, its failure before the first judged samples ends the run, since it is a mistake in the command; so does the
    loss of its Edge TPU. A replay is never restarted.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        stopped: Callable[[], bool],
        over: threading.Event,
        tell: Callable[[str], object],
        *,
        once: bool = False,
    ) -> None:
        """Prepare.

        Args:
            stations: At least one station.
            stopped: Returns whether to stop, also for sources; True once `over` is set.
            over: Set when nothing is left to do.
            tell: Called with messages for people.
            once: Whether stations are never restarted, as in a replay.
        """
        self._stations, self.stopped, self._over, self._once = stations, stopped, over, once
        self._tell = tell
        self._say = {station: Sparing(tell, period_s=_HOUR_S) for station in stations}
        self._ended_s: dict[Station, float] = {}
        self.failure: BaseException | None = None
        """The error that ended the run; None if it ended well."""

    def run(self, station: Station) -> None:
        """Keep a station running; the body of its thread."""
        try:
            ended_well = self._keep(station)
            several = len(self._stations) > 1
            station.close(tell_account=ended_well or station.judged or several)
            if several and station.sampled_s == -math.inf:
                trouble = station.shown.trouble or "The sensor never answered."
                self._tell(f"{station.config.machine}: no samples were received. {trouble}")
        except Exception as exc:  # the reader of the results has gone, or the summary cannot be written
            self.end(exc)
        except BaseException as exc:
            self.end(exc)
            raise

    def _keep(self, station: Station) -> bool:
        """Run a station until nothing is left to watch; return whether the last attempt ended well."""
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            failure = self._attempt(station)
            if failure is not None and self._must_end(station, failure):
                self.end(failure)
                return False
            if failure is None and (self._once or self.stopped()):
                return True
            if failure is None and self._all_ended(station):
                self._over.set()
                return True
            if station.sampled_s > began_s:
                pause_s = FIRST_PAUSE_S
            trouble = ENDED if failure is None else in_words(failure)
            station.withdraw(trouble)
            self._say[station](f"{station.config.machine}: {trouble} Trying again in {pause_s:g} s.")
            if not self._waited(station, pause_s):
                return failure is None
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    def _attempt(self, station: Station) -> Exception | None:
        """Run a station once; return the error that ended it, None if the sensor or the user did."""
        try:
            station.run()
        except Exception as exc:
            _LOGGER.info("%s: the station failed.", station.config.machine, exc_info=not is_expected(exc))
            return exc
        return None

    def _must_end(self, station: Station, failure: Exception) -> bool:
        if isinstance(failure, BrokenPipeError | ModuleNotFoundError) or self._once:
            return True
        is_spent = isinstance(failure, RuntimeUnavailableError)  # only a new process can use the Edge TPU again
        return len(self._stations) == 1 and (is_spent or not station.judged)

    def stop(self) -> None:
        """End all stations."""
        self._over.set()

    def end(self, failure: BaseException) -> None:
        """End all stations because of an error."""
        passes = is_expected(failure) or isinstance(failure, BrokenPipeError | ModuleNotFoundError)
        if self.failure is None:
            kind = type(failure).__name__
            self.failure = failure if passes else MonitorError(in_words(failure), "unexpected_error", kind=kind)
        self._over.set()

    def _all_ended(self, station: Station) -> bool:
        """Tell whether every sensor has ended, this one just now, and none has sent samples since."""
        self._ended_s[station] = time.monotonic()
        return all(each.sampled_s <= self._ended_s.get(each, -1.0) for each in self._stations)

    def _waited(self, station: Station, pause_s: float) -> bool:
        """Wait before the next attempt; return False if it is time to stop."""
        until = time.monotonic() + pause_s
        while time.monotonic() < until and not self.stopped():
            station.beat_s = time.monotonic()
            self._say[station].look()
            time.sleep(_LOOK_EVERY_S)
        return not self.stopped()


class Supervisor:
    """Owns a thread for each station, and does everything else meanwhile.

    Attributes:
        stations: The stations that it runs.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        crew: Crew,
        tell: Callable[[str], object],
        notifier: Notifier | None = None,
        view: View | None = None,
        follower: Follower | None = None,
    ) -> None:
        """Prepare.

        Args:
            stations: At least one station.
            crew: The crew of these stations.
            tell: Called with messages for people.
            notifier: Reports the state of the stations to systemd.
            view: View that is drawn four times a second.
            follower: Follows the gateway's active bundle.
        """
        self.stations, self._crew, self._tell = stations, crew, tell
        self._notifier, self._view, self._follower = notifier or Notifier(None), view, follower

    def work(self) -> None:
        """Run the stations until they are asked to stop, or every sensor reports that it has ended.

        Raises:
            DrsnEdgeError, FirmwareBridgeError, OSError: The error that ended the run.
        """
        threads = {
            each: threading.Thread(target=self._crew.run, args=(each,), name=each.machine, daemon=True)
            for each in self.stations
        }
        if self._follower is not None:
            looks = threading.Thread(target=self._follower.run, args=(self._crew.stopped,), name="bundles", daemon=True)
            looks.start()
        with self._view or nullcontext():  # before the stations, so that what they print appears above it
            for thread in threads.values():
                thread.start()
            self._look_after(threads)
        if self._follower is not None:
            self._follower.end_failed()
        if self._crew.failure is not None:
            raise self._crew.failure

    def acknowledge(self) -> None:
        """Acknowledge the alarms of all stations."""
        for station in self.stations:
            station.acknowledge()

    def reload(self) -> None:
        """Ask every station to read its bundle and its settings again."""
        for station in self.stations:
            station.reload()

    def stop(self) -> None:
        """Ask all stations to end, after which `work` returns; any thread may call it."""
        self._crew.stop()

    def _look_after(self, threads: Mapping[Station, threading.Thread]) -> None:
        """Report the state of the stations to the service manager and draw the view, until all threads have ended."""
        ready = False
        round_s = _ROUND_S if self._view is None else _VIEW_EVERY_S
        while (first := next((thread for thread in threads.values() if thread.is_alive()), None)) is not None:
            first.join(round_s)
            if not ready and any(each.begun.is_set() for each in self.stations):
                ready = True
                self._notifier.ready()
            running = [each for each, thread in threads.items() if thread.is_alive()]
            if all(time.monotonic() - each.beat_s < _HANGS_AFTER_S for each in running):
                self._notifier.alive()
            if self._notifier.is_heard:
                self._notifier.status(status_of(self.stations))
            self._show()

    def _show(self) -> None:
        """Draw the view. A closed terminal ends the run; a view that cannot be drawn is switched off."""
        try:
            if self._view is not None:
                self._view.show()
        except OSError as exc:
            self._crew.end(exc)
        except Exception as exc:
            self._view = None
            self._tell(f"The view cannot be drawn: {exc}. Changes of the decision are printed instead.")


def status_of(stations: Sequence[Station]) -> str:
    """Return the status line of a service: what stops a station or an output, or what is watched."""
    problems = [
        f"{each.machine}: {why}"
        for each in stations
        for why in (each.shown.trouble, *each.outputs.failing.values())
        if why is not None
    ]
    return " ".join(problems) or f"Watching {', '.join(each.machine for each in stations)}."
