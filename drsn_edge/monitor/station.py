"""One sensor from its port to the sinks, and the requests of people while it runs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from drsn_edge.monitor.judging import BUNDLE_FAULTS, Judging, bundle_faults, is_fault_of_bundle, open_judging
from drsn_edge.monitor.outputs import Outputs
from drsn_edge.monitor.requests import Requests
from drsn_edge.monitor.result_clock import ResultClock
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks import Sink
from drsn_edge.monitor.snapshot import Snapshot
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.pipeline import ACCEPT_MOUNTING, ACKNOWLEDGE, Monitor
from drsn_edge.monitor.stages.stream_state import HostClock, WindowCounts
from drsn_edge.recordings.recorder import LogKeeper
from drsn_edge.support.notice import Notice
from drsn_edge.support.telling import Sparing, in_words
from firmware_bridge.sources.arrivals import Arrival, BytesRead
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.threaded import Item, Threaded
from firmware_bridge.wire.events import DeviceLog, HelloRejected, Idle, SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters

_LOGGER = logging.getLogger(__name__)

_TURN = threading.Lock()
_TURN_S = 0.5
"""Longest time in seconds that a station waits for its turn to judge. Stations judge one after the other, because
Python runs one thread at a time: with 16 that judge at once, a thread that reads a port waited up to 0.3 s, more than a
serial port holds, and with turns a fifth of that (`benchmarks/port_buffers.py`). One that hangs stops no other."""


T = TypeVar("T")


class Source(Protocol):
    """The events of a sensor; it may be iterated again after it ended or failed."""

    @property
    def counters(self) -> StreamCounters:
        """Counters of the link."""
        ...

    def __iter__(self) -> Iterator[SourceEvent]:
        """Return an iterator over the events."""
        ...


class Connections(Protocol):
    """The source of a station's samples, and its outputs."""

    def open_log(self) -> LogKeeper | None:
        """Return the log that keeps the bytes; None: they are not kept."""
        ...

    def open_source(self, log: LogKeeper | None) -> Source:
        """Return the source, whose bytes also go to the log."""
        ...

    def open_sinks(self, station: Station, source: Source) -> Iterator[Sink]:
        """Yield the sinks of a station's results, each as it is opened."""
        ...


class Bundles(Protocol):
    """The bundle that a station runs, at the start and at each reload."""

    @property
    def path(self) -> Path:
        """The active bundle."""
        ...

    def fail(self, path: Path, reason: str) -> None:
        """Report that a station cannot run this bundle."""


class OneBundle:
    """The bundle that a sensor's configuration names; it stays the same whatever happens."""

    def __init__(self, config: SensorConfig) -> None:
        """Use the bundle of the configuration; a monitor that follows the active bundle has other `Bundles`."""
        assert config.model is not None
        self.path = config.model

    def fail(self, path: Path, reason: str) -> None:
        """Do nothing, as there is no other bundle."""


class Station:
    """Watches one sensor. `run` and `close` are called in one thread; `acknowledge` and `reload` from others.

    `run` may be called again after it ended or failed: source, counters and outputs stay the same, so that a sensor has
    one set of counters and one decision however often it is restarted.

    Attributes:
        config: Configuration of the sensor.
        machine: Name of the machine that it watches.
        shown: Snapshot for a view.
        outputs: Outputs of the results.
        running: The bundle that it runs; None before it runs one.
        bundle: Name and version of that bundle.
        alarm_names: Names of the alarms that the bundle can raise.
        beat_s: Time of the last event or retry, in seconds of `time.monotonic`.
        sampled_s: Time of the last samples, in seconds of `time.monotonic`.
        judged: Whether samples were judged, so that bundle, settings, outputs and sensor have fitted once.
        heard: Whether the sensor has described itself or sent samples.
        begun: Set at the first event.
        clock: Time of the results that the outputs take.
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
            config: Configuration of the sensor.
            connections: Source and outputs.
            bundles: The bundle to run; None: the configuration's.
            tell: Called with messages for people.
            show: Whether to keep the signal for a view.
        """
        self.config, self.machine, self._connections = config, config.machine, connections
        self._bundles = bundles or OneBundle(config)
        self._tell, self._show, self._heard = tell, show, Sparing(tell)
        self.clock = ResultClock()
        self.shown = Snapshot(config.machine, came_s=self.clock.time_s)
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
        """Whether a request has not been carried out yet; it is at the next event."""
        return self._requests.waiting

    @property
    def skipped(self) -> int:
        """Number of windows skipped for slowness since it runs this bundle."""
        return self._counts.skipped - self._skipped_before

    def acknowledge(self, alarm: str | None = None) -> None:
        """Acknowledge all alarms, or one."""
        self._requests.ask(ACKNOWLEDGE if alarm is None else f"{ACKNOWLEDGE} {alarm}")

    def accept_mounting(self) -> None:
        """Accept the present mounting after the sensor was moved on purpose."""
        self._requests.ask(ACCEPT_MOUNTING)

    def reload(self) -> None:
        """Read the bundle and the settings again, between two events; invalid ones are reported and not used."""
        self._requests.ask_reload()

    def run(self) -> None:
        """Watch until the source ends. The decision stays as it was; see `withdraw` and `close`.

        Raises:
            DrsnEdgeError, FirmwareBridgeError: If it cannot begin, or the sensor does not fit the model.
        """
        path = self._bundles.path
        try:
            self._watch(path)
        except BUNDLE_FAULTS as exc:
            self._bundles.fail(self.running or path, str(exc))
            raise

    def withdraw(self, trouble: str) -> None:
        """Withdraw the decision of a sensor that is not watched now because of `trouble`."""
        self.shown.trouble = trouble
        if self._monitor is None:
            return
        try:
            for result in self._monitor.withdraw():
                self.outputs.take(result)
            self.outputs.flush()
        except Exception:  # whatever stopped the station may prevent this as well
            _LOGGER.info("%s: the decision could not be withdrawn.", self.machine, exc_info=True)

    def close(self, *, tell_account: bool = True) -> None:
        """Output the summary and close the outputs; further calls do nothing."""
        try:
            self._heard.close()
            if tell_account and self._monitor is not None and self._source is not None:
                self.outputs.take(self._monitor.summary(self._source.counters))
                self.outputs.flush()
        finally:
            self._monitor = None
            self.outputs.close()

    def _watch(self, path: Path) -> None:
        judging = self._open_judging(path)
        source = self._opened_source()
        now_s = self.shown.now_s = _clock_of(source)
        self.clock.now_s = now_s  # the same clock after a failure, since the outputs stay open
        with ExitStack() as stack:
            capture = None
            if judging.settings.capture is not None:
                capture = Capture(judging.settings.capture, self.machine, self._tell)
                stack.callback(capture.close)
                self.outputs.name("capture", capture)
            if self._monitor is not None:  # the outputs know its decision and alarms
                judging.judge.conclusions.take_over(self._monitor.judge.conclusions.standing)
            clock = HostClock(time.monotonic if isinstance(source, Threaded) else now_s, lambda: _lag_s(source))
            monitor = self._monitor = Monitor(judging.judge, clock, self._counts, judging.severity, capture)
            self._runs(judging, monitor)
            if not self.outputs.are_open:
                self.outputs.open(self._connections.open_sinks(self, source))
            for arrivals in stack.enter_context(closing(self._slices(source))):
                if self._requests.take_reload():
                    self._reload_into(monitor)
                self._take(arrivals, monitor)
                if isinstance(source, Threaded):
                    source.wake_after(monitor.stream.samples_to_window(self.config.latency_s))
                if any(isinstance(each.event, SampleBlock) for each in arrivals):
                    self.judged, self.shown.trouble = True, None
                if self._show:
                    self.shown.note(monitor, source.counters, _lag_s(source), self.outputs.failing)

    def _take(self, arrivals: Sequence[Arrival], monitor: Monitor) -> None:
        """Judge a slice, and pass the results to the outputs, each at the time at which its samples came."""
        try:
            for arrival, results in _in_turn(monitor.take_slice(arrivals)):
                self.clock.at = arrival
                for result in results:
                    self.outputs.take(result)
        finally:
            self.clock.at = None
            self.outputs.flush()

    def _opened_source(self) -> Source:
        """Return the source and open its log, unless both are open already."""
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
        except Exception as exc:  # whatever a new bundle or file causes, the working ones are kept
            _LOGGER.info("%s: the reload failed.", self.machine, exc_info=True)
            self._tell(f"{in_words(exc)} The previous bundle and settings stay in use.")
            if is_fault_of_bundle(exc, self.config, self._judging):
                self._bundles.fail(path, str(exc))
            return
        self._runs(judging, monitor)
        self._tell(Notice(f"{judging.manifest.name} {judging.manifest.version} was reloaded."))

    def _runs(self, judging: Judging, monitor: Monitor) -> None:
        self._judging, self._skipped_before = judging, self._counts.skipped
        self.running, self.bundle = judging.path, judging.bundle
        self.alarm_names = judging.judge.conclusions.alarm_names
        self.shown.sample_rate_hz = judging.manifest.contract.sample_rate_hz
        self.shown.stale_after_s = monitor.stream.patience_s

    def _slices(self, source: Source) -> Generator[list[Arrival], None, None]:
        """Yield the source's events in slices, with people's requests behind them, and pass all of it to the log."""
        with closing(_slices_of(source, self.config)) as slices:
            for items in slices:
                arrivals = [each for each in items if isinstance(each, Arrival)]
                self._note(arrivals)
                now = arrivals[-1] if arrivals else Arrival(Idle(), time.monotonic(), time.time())
                asked = [now._replace(event=note) for note in self._requests.begin()]
                if self._log is not None:
                    for item in (*items, *asked):
                        self._keep(item)
                try:
                    if arrivals or asked:
                        yield [*arrivals, *asked]
                    self._requests.done()
                finally:  # it may say why the slice failed
                    self._say_of(arrivals)

    def _note(self, arrivals: Sequence[Arrival]) -> None:
        self.beat_s = time.monotonic()
        for event, _, _ in arrivals:
            if isinstance(event, SampleBlock):
                self.sampled_s = self.beat_s
            self.heard = self.heard or isinstance(event, SampleBlock | Hello)
            self.begun.set()

    def _keep(self, item: Item) -> None:
        assert self._log is not None
        if isinstance(item, BytesRead):
            self._log.write(item.data, item.time_ns)
        else:
            self._log.take(item.event, item.time_s)

    def _say_of(self, arrivals: Sequence[Arrival]) -> None:
        for event, _, _ in arrivals:
            if isinstance(event, DeviceLog):
                self._heard(Notice(f"the sensor says: {event.text}"))
            elif isinstance(event, HelloRejected):
                self.shown.trouble = str(event.error)
                self._heard(str(event.error))
        self._heard.look()


def _in_turn(results: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields; while it computes, no other station does."""
    while True:
        taken = _TURN.acquire(timeout=_TURN_S)
        try:
            found = [*islice(results, 1)]
        finally:
            if taken:
                _TURN.release()
        if not found:
            return
        yield found[0]


def _slices_of(source: Source, config: SensorConfig) -> Generator[Sequence[Item], None, None]:
    """Yield the events of a source in slices; each event of a source without slices is one of its own."""
    if isinstance(source, Threaded):
        yield from source.slices(config.latency_s)
    elif isinstance(source, ReplaySource):
        yield from source.slices(config.latency)
    else:
        for event in source:
            yield [Arrival(event, time.monotonic(), time.time())]


def _lag_s(source: Source) -> float:
    return source.lag_s if isinstance(source, Threaded) else 0.0


def _clock_of(source: Source) -> Callable[[], float]:
    """Return the clock of the log that is replayed, or of now."""
    return (lambda: source.time_s) if isinstance(source, ReplaySource) else time.time
