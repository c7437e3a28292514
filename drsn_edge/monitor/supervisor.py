"""Runs stations side by side: whatever ends one of them, it is taken up again, and costs no other anything.

`Crew` is what each station's thread does. `Supervisor` has the threads, and sees meanwhile to a view, the service
manager and the bundles that the gateway is given.
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
from drsn_edge.gateway.follower import Follower
from drsn_edge.monitor.station import Station
from drsn_edge.monitor.systemd_notify import Notifier
from drsn_edge.support.telling import Sparing, in_words, is_expected

FIRST_PAUSE_S, LAST_PAUSE_S = 2.0, 60.0
_LOOK_EVERY_S = 0.1
_HOUR_S = 3600.0

ENDED = "The sensor says that it has ended."

_ROUND_S = 0.25
_HANGS_AFTER_S = 30.0

_LOGGER = logging.getLogger(__name__)

if TYPE_CHECKING:  # rich, which it draws with, is not there everywhere
    from drsn_edge.monitor.view import View


class Crew:
    """Keeps stations at work until they are asked to stop, or every sensor says that it has ended.

    A station that fails is taken up again with growing pauses; what it showed is withdrawn meanwhile. A lone one must
    have judged samples before: until then its failure is a mistake of whoever starts it, and ends the run, as does a
    lone one's Edge TPU that is gone. A replay cannot be taken up again.
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
            stations: At least one.
            stopped: Asked whether to stop, by sources as well; True once `over` is set.
            over: Set when there is nothing left to do.
            tell: Given what a person should read.
            once: Whether no station is taken up again, as in a replay.
        """
        self._stations, self.stopped, self._over, self._once = stations, stopped, over, once
        self._tell = tell
        self._say = {station: Sparing(tell, period_s=_HOUR_S) for station in stations}
        self._ended_s: dict[Station, float] = {}
        self.failure: BaseException | None = None
        """What ended the run, None where it ended well."""

    def run(self, station: Station) -> None:
        """Keep a station at work; the body of its thread."""
        try:
            ended_well = self._keep(station)
            several = len(self._stations) > 1
            station.close(tell_account=ended_well or station.judged or several)
            if several and station.sampled_s == -math.inf:
                trouble = station.shown.trouble or "It was not heard of."
                self._tell(f"{station.config.machine}: not a single sample came. {trouble}")
        except Exception as exc:  # the reader of the results has gone, or the account cannot be told
            self.end(exc)
        except BaseException as exc:
            self.end(exc)
            raise

    def _keep(self, station: Station) -> bool:
        """Have a station watch until there is nothing more to watch; return whether its last attempt went well."""
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
        """Run a station once; return what ended it, None if its sensor or the user did."""
        try:
            station.run()
        except Exception as exc:
            _LOGGER.info("%s: failed.", station.config.machine, exc_info=not is_expected(exc))
            return exc
        return None

    def _must_end(self, station: Station, failure: Exception) -> bool:
        if isinstance(failure, BrokenPipeError | ModuleNotFoundError) or self._once:
            return True
        is_spent = isinstance(failure, RuntimeUnavailableError)  # only another process gets an Edge TPU back
        return len(self._stations) == 1 and (is_spent or not station.judged)

    def stop(self) -> None:
        """End all stations."""
        self._over.set()

    def end(self, failure: BaseException) -> None:
        """End all stations, because of this."""
        passes = is_expected(failure) or isinstance(failure, BrokenPipeError | ModuleNotFoundError)
        if self.failure is None:
            self.failure = failure if passes else MonitorError(in_words(failure))
        self._over.set()

    def _all_ended(self, station: Station) -> bool:
        """Tell whether every sensor says that it has ended, this one just now, and none was heard of since."""
        self._ended_s[station] = time.monotonic()
        return all(each.sampled_s <= self._ended_s.get(each, -1.0) for each in self._stations)

    def _waited(self, station: Station, pause_s: float) -> bool:
        """Wait before the next attempt; False if it is time to stop."""
        until = time.monotonic() + pause_s
        while time.monotonic() < until and not self.stopped():
            station.beat_s = time.monotonic()
            self._say[station].look()
            time.sleep(_LOOK_EVERY_S)
        return not self.stopped()


class Supervisor:
    """Has a thread for each station, and sees to everything else meanwhile.

    Attributes:
        stations: Which it runs.
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
            stations: At least one.
            crew: Of these stations.
            tell: Given what a person should read.
            notifier: Told that the stations work, and what their trouble is.
            view: Drawn some times a second.
            follower: Looks after the gateway's active bundle.
        """
        self.stations, self._crew, self._tell = stations, crew, tell
        self._notifier, self._view, self._follower = notifier or Notifier(None), view, follower

    def work(self) -> None:
        """Run the stations until they are asked to stop, or every sensor says that it has ended.

        Raises:
            DrsnEdgeError, FirmwareBridgeError, OSError: What ended the run.
        """
        threads = {
            each: threading.Thread(target=self._crew.run, args=(each,), name=each.machine, daemon=True)
            for each in self.stations
        }
        if self._follower is not None:
            looks = threading.Thread(target=self._follower.run, args=(self._crew.stopped,), name="bundles", daemon=True)
            looks.start()
        with self._view or nullcontext():  # before the stations: what they print appears above it
            for thread in threads.values():
                thread.start()
            self._look_after(threads)
        if self._follower is not None:
            self._follower.end_failed()
        if self._crew.failure is not None:
            raise self._crew.failure

    def acknowledge(self) -> None:
        """Somebody has seen the alarms of all stations."""
        for station in self.stations:
            station.acknowledge()

    def reload(self) -> None:
        """Have every station read its bundle and its settings anew."""
        for station in self.stations:
            station.reload()

    def stop(self) -> None:
        """End soon, from any thread; `work` returns then."""
        self._crew.stop()

    def _look_after(self, threads: Mapping[Station, threading.Thread]) -> None:
        """Tell the service manager how the stations are, and draw the view, as long as any of them works."""
        ready = False
        while any(thread.is_alive() for thread in threads.values()):
            first = threads[self.stations[0]]
            first.join(_ROUND_S) if first.is_alive() else time.sleep(_ROUND_S)
            if not ready and any(each.begun.is_set() for each in self.stations):
                ready = True
                self._notifier.ready()
            running = [each for each, thread in threads.items() if thread.is_alive()]
            if all(time.monotonic() - each.beat_s < _HANGS_AFTER_S for each in running):
                self._notifier.alive()
            self._notifier.status(status_of(self.stations))
            self._show()

    def _show(self) -> None:
        """Draw the view. A terminal that has gone ends the run; a view that cannot be drawn ends nothing but itself."""
        try:
            if self._view is not None:
                self._view.show()
        except OSError as exc:
            self._crew.end(exc)
        except Exception as exc:
            self._view = None
            self._tell(f"The view cannot be drawn: {exc}. Changes of decisions are printed instead.")


def status_of(stations: Sequence[Station]) -> str:
    """Return what a service says of itself: what keeps it from its work, or from writing of it."""
    problems = [
        f"{each.machine}: {why}"
        for each in stations
        for why in (each.shown.trouble, *each.outputs.failing.values())
        if why is not None
    ]
    return " ".join(problems) or f"Watches {', '.join(each.machine for each in stations)}."
