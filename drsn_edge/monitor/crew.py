"""Runs stations side by side: whatever ends one of them, it is taken up again, and costs no other anything."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from drsn_edge.errors import MonitorError, RuntimeUnavailableError
from drsn_edge.monitor.station import Station
from drsn_edge.support.telling import Sparing, in_words, is_expected

FIRST_PAUSE_S, LAST_PAUSE_S = 2.0, 60.0
_LOOK_EVERY_S = 0.1
_HOUR_S = 3600.0

ENDED = "The sensor says that it has ended."

_LOGGER = logging.getLogger(__name__)


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
        self._stations, self._stopped, self._over, self._once = stations, stopped, over, once
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
            if failure is None and (self._once or self._stopped()):
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
        while time.monotonic() < until and not self._stopped():
            station.beat_s = time.monotonic()
            self._say[station].look()
            time.sleep(_LOOK_EVERY_S)
        return not self._stopped()
