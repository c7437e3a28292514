"""One sensor, from its port to the sinks, with everything that a person may ask of it while it runs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Protocol

from drsn_edge.monitor.judging import BUNDLE_FAULTS, Judging, bundle_faults, is_fault_of_bundle, open_judging
from drsn_edge.monitor.outputs import Outputs
from drsn_edge.monitor.requests import Requests
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks import Sink
from drsn_edge.monitor.snapshot import Snapshot
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.pipeline import ACCEPT_MOUNTING, ACKNOWLEDGE, Monitor
from drsn_edge.monitor.stages.stream_state import HostClock, WindowCounts
from drsn_edge.recordings.recorder import LogKeeper
from drsn_edge.support.notice import Notice
from drsn_edge.support.telling import Sparing, in_words
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.threaded import Threaded
from firmware_bridge.wire.events import DeviceLog, HelloRejected, SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters

_LOGGER = logging.getLogger(__name__)


class Source(Protocol):
    """What a sensor sends; it may be iterated over again after it ended or failed."""

    @property
    def counters(self) -> StreamCounters:
        """The link's account."""
        ...

    def __iter__(self) -> Iterator[SourceEvent]:
        """Return its events."""
        ...


class Connections(Protocol):
    """Where one station's samples come from, and where its results go."""

    def open_log(self) -> LogKeeper | None:
        """Return what keeps the bytes, None where nothing does."""
        ...

    def open_source(self, log: LogKeeper | None) -> Source:
        """Return what is read, and have its bytes go to the log."""
        ...

    def open_sinks(self, station: Station, source: Source) -> Iterator[Sink]:
        """Yield sinks for what a station says of a source, each as it is opened."""
        ...


class Bundles(Protocol):
    """Which bundle a station runs, at the start and at each reload."""

    @property
    def path(self) -> Path:
        """The bundle that is active."""
        ...

    def fail(self, path: Path, reason: str) -> None:
        """A station cannot run this bundle."""


class OneBundle:
    """The bundle that a sensor's configuration names: it stays the one to run, whatever it does."""

    def __init__(self, config: SensorConfig) -> None:
        """Take it; a monitor that follows the gateway's active bundle has other `Bundles`."""
        assert config.model is not None
        self.path = config.model

    def fail(self, path: Path, reason: str) -> None:
        """There is no other one."""


class Station:
    """Watches one sensor. `run` and `close` are called in one thread; `acknowledge` and `reload` from others.

    `run` may be called again after it ended or failed: source, account and outputs are the same as before, so that a
    sensor has one account and one decision at a time, however often it had to be taken up again.

    Attributes:
        config: The sensor.
        machine: What it watches.
        shown: What a view shows of it.
        outputs: Where its results go.
        running: The bundle that it runs, None before it runs one.
        bundle: Name and version of that bundle.
        alarm_names: What can be an alarm by it.
        beat_s: When it last went round.
        sampled_s: When samples came last.
        judged: Whether samples were judged: bundle, settings, outputs and sensor went together once.
        heard: Whether the sensor has described itself or sent samples.
        begun: Set at the first event.
    """

    def __init__(
        self,
        config: SensorConfig,
        connections: Connections,
        bundles: Bundles | None = None,
        tell: Callable[[str], None] = lambda text: None,
        show: bool = False,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: The sensor.
            connections: Its source and its outputs.
            bundles: Which bundle to run; None: the config's.
            tell: Given what a person should read.
            show: Whether the signal is kept for a view.
        """
        self.config, self.machine, self._connections = config, config.machine, connections
        self._bundles = bundles or OneBundle(config)
        self._tell, self._show, self._heard = tell, show, Sparing(tell)
        self.shown = Snapshot(config.machine)
        self._open_judging = partial(open_judging, config, tell=tell, keep=self.shown.keep if show else None)
        self.outputs, self._requests = Outputs(self.shown), Requests()
        self._judging: Judging | None = None
        self.running: Path | None = None
        self.bundle: tuple[str, str] | None = None
        self.alarm_names: tuple[str, ...] = ()
        self.beat_s, self.sampled_s = time.monotonic(), -math.inf
        self.judged = self.heard = False
        self.begun = threading.Event()
        self._monitor: Monitor | None = None
        self._source: Source | None = None
        self._log: LogKeeper | None = None
        self._counts, self._skipped_before = WindowCounts(), 0

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        return () if self._judging is None else self._judging.judge.conclusions.raised

    @property
    def waiting(self) -> bool:
        """Whether something that was asked for has not been done yet: it is, at the next event."""
        return self._requests.waiting

    @property
    def skipped(self) -> int:
        """Windows that it was too slow for, since it runs this bundle."""
        return self._counts.skipped - self._skipped_before

    def acknowledge(self, alarm: str | None = None) -> None:
        """Somebody has seen the alarms, or that one."""
        self._requests.ask(ACKNOWLEDGE if alarm is None else f"{ACKNOWLEDGE} {alarm}")

    def accept_mounting(self) -> None:
        """Somebody has moved the sensor on purpose."""
        self._requests.ask(ACCEPT_MOUNTING)

    def reload(self) -> None:
        """Read the bundle and the settings anew, between two events; what cannot be used is said and left alone."""
        self._requests.ask_reload()

    def run(self) -> None:
        """Watch until the source ends. What it showed stays shown; see `withdraw` and `close`.

        Raises:
            DrsnEdgeError, FirmwareBridgeError: If it cannot begin, or the sensor does not fit.
        """
        path = self._bundles.path
        try:
            self._watch(path)
        except BUNDLE_FAULTS as exc:
            self._bundles.fail(self.running or path, str(exc))
            raise

    def withdraw(self, trouble: str) -> None:
        """Take back what is shown of a sensor that is not watched for now, because of `trouble`."""
        self.shown.trouble = trouble
        if self._monitor is None:
            return
        try:
            for result in self._monitor.withdraw():
                self.outputs.take(result)
        except Exception:  # what could not go on may not be able to do this, either
            _LOGGER.info("%s: the decision could not be withdrawn.", self.machine, exc_info=True)

    def close(self, *, tell_account: bool = True) -> None:
        """Tell the account of all samples, and close the outputs; harmless when repeated."""
        try:
            self._heard.close()
            if tell_account and self._monitor is not None and self._source is not None:
                self.outputs.take(self._monitor.summary(self._source.counters))
        finally:
            self._monitor = None
            self.outputs.close()

    def _watch(self, path: Path) -> None:
        judging = self._open_judging(path)
        source = self._opened_source()
        now_s = self.shown.now_s = _clock_of(source)
        with ExitStack() as stack:
            capture = None
            if judging.settings.capture is not None:
                capture = Capture(judging.settings.capture, self.machine, now_s, self._tell)
                stack.callback(capture.close)
                self.outputs.name("capture", capture)
            if self._monitor is not None:  # all outputs know what it said
                judging.judge.conclusions.take_over(self._monitor.judge.conclusions.standing)
            clock = HostClock(time.monotonic if isinstance(source, Threaded) else now_s, lambda: _lag_s(source))
            monitor = self._monitor = Monitor(judging.judge, clock, self._counts, judging.severity, capture)
            self._runs(judging, monitor)
            if not self.outputs.are_open:
                self.outputs.open(self._connections.open_sinks(self, source))
            for event in stack.enter_context(closing(self._events(source))):
                if self._requests.take_reload():
                    self._reload_into(monitor)
                for result in monitor.take(event):
                    self.outputs.take(result)
                if isinstance(event, SampleBlock):
                    self.judged, self.shown.trouble = True, None
                if self._show:
                    self.shown.note(monitor, source.counters, _lag_s(source), self.outputs.failing)

    def _opened_source(self) -> Source:
        """Return the source, and open the log of what it reads, as far as they are not there yet."""
        if self._source is None:
            self._log = self._connections.open_log()
            if self._log is not None:
                self.outputs.keep("log", self._log)
            self._source = self._connections.open_source(self._log)
        return self._source

    def _reload_into(self, monitor: Monitor) -> None:
        path = self._bundles.path
        try:
            judging = self._open_judging(path)
            with bundle_faults(path):
                monitor.swap(judging.judge, judging.severity)
        except Exception as exc:  # whatever it is that a new bundle or file brings: what works is kept
            _LOGGER.info("%s: could not be read anew.", self.machine, exc_info=True)
            self._tell(f"{in_words(exc)} What was there before goes on.")
            if is_fault_of_bundle(exc, self.config, self._judging):
                self._bundles.fail(path, str(exc))
            return
        self._runs(judging, monitor)
        self._tell(Notice(f"{judging.manifest.name} {judging.manifest.version} was read anew."))

    def _runs(self, judging: Judging, monitor: Monitor) -> None:
        self._judging, self._skipped_before = judging, self._counts.skipped
        self.running, self.bundle = judging.path, judging.bundle
        self.alarm_names = judging.judge.conclusions.alarm_names
        self.shown.sample_rate_hz = judging.manifest.contract.sample_rate_hz
        self.shown.stale_after_s = monitor.stream.patience_s

    def _events(self, source: Source) -> Generator[SourceEvent, None, None]:
        """Pass events on, with what a person did between them, and tell the log of both."""
        for event in source:
            self.beat_s = time.monotonic()
            if isinstance(event, SampleBlock):
                self.sampled_s = self.beat_s
            self.heard = self.heard or isinstance(event, SampleBlock | Hello)
            self.begun.set()
            for each in (event, *self._requests.begin()):
                if self._log is not None:
                    self._log.take(each)
                yield each
            self._requests.done()
            if isinstance(event, DeviceLog):
                self._heard(Notice(f"the sensor says: {event.text}"))
            elif isinstance(event, HelloRejected):
                self.shown.trouble = str(event.error)
                self._heard(str(event.error))
            self._heard.look()


def _lag_s(source: Source) -> float:
    return source.lag_s if isinstance(source, Threaded) else 0.0


def _clock_of(source: Source) -> Callable[[], float]:
    """Return the clock: of the day that is replayed, or of now."""
    return (lambda: source.time_s) if isinstance(source, ReplaySource) else time.time
