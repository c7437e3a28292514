"""One sensor, from its port to the sinks, with everything that a person may ask of it while it runs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.bundle import Bundle, read_bundle
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.errors import BundleError, ContractError, DrsnEdgeError, RuntimeUnavailableError, SettingsError
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import ACCEPT_MOUNTING, ACKNOWLEDGE, Monitor
from drsn_edge.monitor.stages.results import Decision, Result, Severity, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings, settings_for
from drsn_edge.monitor.stages.severity_limits import read_limits
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.monitor.stages.stream_state import HostClock, WindowCounts
from drsn_edge.recordings.recorder import LogKeeper
from drsn_edge.support.notice import Notice
from drsn_edge.support.telling import Sparing, in_words
from firmware_bridge.errors import FirmwareBridgeError
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.threaded import Threaded
from firmware_bridge.wire.events import DeviceLog, HelloRejected, Note, SampleBlock, SourceEvent
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters
from quantize.errors import QuantizeError

Source = Threaded | ReplaySource

_LOGGER = logging.getLogger(__name__)

_BUNDLE_FAULTS = (BundleError, ContractError, RuntimeUnavailableError, QuantizeError)
"""What another bundle could mend; a sink or settings that cannot be used are nothing to roll a bundle back for."""


@dataclass
class Snapshot:
    """What a view shows of a station; written by the station's thread, read by another one.

    Attributes:
        machine: What it watches.
        window: The last window that was judged.
        decision: The last decision, None before there is one.
        decided_s: When that was, seconds since 1970.
        severity: The last one.
        alarms: Those that are raised.
        samples: Of the last window that was classified, shape (window, axes), in the contract's unit.
        sample_rate_hz: Of those samples.
        true_rate_hz: The sensor's own.
        counters: The link's account.
        lag_s: How far behind the station is.
        skipped: Windows that were not judged because the machine was too slow.
        trouble: What keeps the station from running, None while it runs.
        failing: Why outputs cannot be written now; verdicts go on.
        measured_s: When a window last showed the machine (`WindowResult.is_measured`), seconds since 1970, None before
            there is one. Decision and alarms are as fresh as that.
        stale_after_s: How old that may be before decision and alarms count as old.
        now_s: The clock of these times, which is that of the day that is replayed.
    """

    machine: str
    window: WindowResult | None = None
    decision: Decision | None = None
    decided_s: float = 0.0
    severity: Severity | None = None
    alarms: tuple[str, ...] = ()
    samples: NDArray[np.float32] | None = None
    sample_rate_hz: float = 1.0
    true_rate_hz: float | None = None
    counters: StreamCounters | None = None
    lag_s: float = 0.0
    skipped: int = 0
    trouble: str | None = None
    failing: tuple[str, ...] = ()
    measured_s: float | None = None
    stale_after_s: float = 3.0
    now_s: Callable[[], float] = time.time


class Station:
    """Watches one sensor. `run` and `close` are called in one thread; `acknowledge` and `reload` from others.

    `run` may be called again after it ended or failed: source, account and outputs are the same as before, so that a
    sensor has one account and one decision at a time, however often it had to be taken up again.
    """

    def __init__(
        self,
        config: SensorConfig,
        open_source: Callable[[SensorConfig, LogKeeper | None], Source],
        open_sinks: Callable[[Callable[[], float], Callable[[], StreamCounters], Station], Iterator[Sink]],
        tell: Callable[[str], None],
        log: Callable[[SensorConfig], LogKeeper | None] = lambda _: None,
        show: bool = False,
        active: Callable[[], Path] | None = None,
        failed: Callable[[Path, str], object] = lambda path, why: None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: The sensor.
            open_source: Returns what is read, and has bytes go to the log.
            open_sinks: Given the clock, the account and this station, yields sinks, each as it is opened.
            tell: Given what a person should read.
            log: Returns what keeps the bytes.
            show: Whether the signal is kept for a view.
            active: Returns the bundle to run, at the start and at each reload; None: the config's.
            failed: Given a bundle that cannot be run, and why.
        """
        self.config = config
        self._active, self._failed = active or (lambda: _named(config)), failed
        self._open_source, self._open_sinks, self._open_log = open_source, open_sinks, log
        self._tell, self._show = tell, show
        self._asked: dict[str, None] = {}  # texts of notes, each once, however often it is asked for
        self._doing: list[str] = []
        self._reload = threading.Event()
        self.shown = Snapshot(config.machine)
        self.beat_s = time.monotonic()
        """When it last went round."""
        self.sampled_s = -math.inf
        """When samples came last."""
        self.running: Path | None = None
        """The bundle that it runs."""
        self.bundle: tuple[str, str] | None = None
        """Name and version of that bundle."""
        self.alarm_names: tuple[str, ...] = ()
        """What can be an alarm by it."""
        self.troubles: dict[str, Callable[[], str | None]] = {}
        """Of outputs that tell of their troubles themselves: why one cannot be written now."""
        self.judged = False
        """Whether samples were judged: bundle, settings, outputs and sensor went together once."""
        self.begun = threading.Event()
        """Set at the first event."""
        self.heard = False
        """Whether the sensor has described itself or sent samples."""
        self._manifest: Manifest
        self._skipped_before = 0
        self._counts = WindowCounts()
        self._raised: Callable[[], tuple[str, ...]] = lambda: ()
        self._outputs: dict[str, Capture | LogKeeper | Guarded] = {}
        self._closing = ExitStack()
        self._source: Source | None = None
        self._log: LogKeeper | None = None
        self._sinks: list[Sink] | None = None
        self._monitor: Monitor | None = None
        self._heard = Sparing(tell)

    def acknowledge(self, alarm: str | None = None) -> None:
        """Somebody has seen the alarms, or that one."""
        self._asked[ACKNOWLEDGE if alarm is None else f"{ACKNOWLEDGE} {alarm}"] = None

    def accept_mounting(self) -> None:
        """Somebody has moved the sensor on purpose."""
        self._asked[ACCEPT_MOUNTING] = None

    @property
    def machine(self) -> str:
        """What it watches."""
        return self.config.machine

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        return self._raised()

    @property
    def waiting(self) -> bool:
        """Whether something that was asked for has not been done yet: it is, at the next event."""
        return bool(self._asked or self._doing)

    def reload(self) -> None:
        """Read the bundle and the settings anew, between two events; what cannot be used is said and left alone."""
        self._reload.set()

    @property
    def failing(self) -> Mapping[str, str | None]:
        """Why each output that may fail cannot be written now, None where it can."""
        troubles = {name: ask() for name, ask in list(self.troubles.items())}  # it may be asked by any thread
        return {name: each.failing or troubles.get(name) for name, each in list(self._outputs.items())}

    @property
    def skipped(self) -> int:
        """Windows that it was too slow for, since it runs this bundle."""
        return self._counts.skipped - self._skipped_before

    def run(self) -> None:
        """Watch until the source ends. What it showed stays shown; see `withdraw` and `close`.

        Raises:
            DrsnEdgeError, FirmwareBridgeError: If it cannot begin, or the sensor does not fit.
        """
        path = self._active()
        try:
            self._watch(path)
        except _BUNDLE_FAULTS as exc:
            self._failed(self.running or path, str(exc))
            raise

    def withdraw(self, trouble: str) -> None:
        """Take back what is shown of a sensor that is not watched for now, because of `trouble`."""
        self.shown.trouble = trouble
        if self._monitor is None:
            return
        try:
            for result in self._monitor.withdraw():
                self._pass_on(result)
        except Exception:  # what could not go on may not be able to do this, either
            _LOGGER.info("%s: the decision could not be withdrawn.", self.config.machine, exc_info=True)

    def close(self, *, tell_account: bool = True) -> None:
        """Tell the account of all samples, and close the outputs; harmless when repeated."""
        with self._closing:
            self._heard.close()
            if tell_account and self._monitor is not None and self._source is not None:
                self._pass_on(self._monitor.summary(self._source.counters))
            self._sinks = self._monitor = None

    def _watch(self, path: Path) -> None:
        with _bundle_faults(path):
            bundle = read_bundle(path)
        settings = self._settings(bundle)
        source = self._opened()
        now_s = self.shown.now_s = _clock_of(source)
        with ExitStack() as stack:
            capture = None
            if settings.capture is not None:
                capture = Capture(settings.capture, self.config.machine, now_s, self._tell)
                stack.callback(capture.close)
                self._outputs["capture"] = capture
            with _bundle_faults(path):
                judge, severity = self._judging(path, bundle, settings)
            if self._monitor is not None:  # all outputs know what it said
                judge.conclusions.take_over(self._monitor.judge.conclusions.standing)
            clock = HostClock(time.monotonic if isinstance(source, Threaded) else now_s, lambda: _lag_s(source))
            monitor = self._monitor = Monitor(judge, clock, self._counts, severity, capture)
            self._runs(path, judge)
            self._open_outputs(now_s, source)
            for event in stack.enter_context(closing(self._events(source))):
                if self._reload.is_set():
                    self._reload_into(monitor)
                for result in monitor.take(event):
                    self._pass_on(result)
                self._note(event, monitor, source)

    def _opened(self) -> Source:
        """Return the source, and open the log of what it reads, as far as they are not there yet."""
        if self._source is None:
            self._log = self._open_log(self.config)
            if self._log is not None:
                self._closing.callback(self._log.close)
                self._outputs["log"] = self._log
            self._source = self._open_source(self.config, self._log)
        return self._source

    def _open_outputs(self, now_s: Callable[[], float], source: Source) -> None:
        if self._sinks is not None:
            return
        sinks: list[Sink] = []
        with ExitStack() as stack:
            for each in self._open_sinks(now_s, lambda: source.counters, self):
                stack.callback(each.close)  # of each as soon as it is there: the next may be refused
                sinks.append(each)
                if isinstance(each, Guarded):
                    self._outputs[each.name] = each
            self._closing.push(stack.pop_all())
        self._sinks = sinks

    def _settings(self, bundle: Bundle) -> MonitorSettings:
        return settings_for(self.config.settings, self.config.votes, bundle.manifest)

    def _judging(self, path: Path, bundle: Bundle, settings: MonitorSettings) -> tuple[Judge, SeverityMeter | None]:
        config = self.config
        speed_hz = None if config.rpm is None else config.rpm / 60
        limits = None if config.limits is None else read_limits(config.limits)
        if limits is not None and limits.bearing is not None and speed_hz is None:
            raise SettingsError(
                f"{config.limits}: [bearing] changes nothing without the speed of the shaft. Add --rpm RPM (rpm in the "
                "file of --sensors), or leave [bearing] out."
            )
        self.shown.sample_rate_hz = bundle.manifest.contract.sample_rate_hz
        model = model_of(bundle, path, config.runtime_choice, self._tell, config.unknown)
        judge = Judge(model, settings, speed_hz, self._keep if self._show else None)
        return judge, SeverityMeter(limits, speed_hz) if config.severity or limits else None

    def _reload_into(self, monitor: Monitor) -> None:
        self._reload.clear()
        path = self._active()
        try:
            with _bundle_faults(path):
                bundle = read_bundle(path)
                judge, severity = self._judging(path, bundle, self._settings(bundle))
                monitor.swap(judge, severity)
        except Exception as exc:  # whatever it is that a new bundle or file brings: what works is kept
            _LOGGER.info("%s: could not be read anew.", self.config.machine, exc_info=True)
            self._tell(f"{in_words(exc)} What was there before goes on.")
            if isinstance(exc, _BUNDLE_FAULTS) or (isinstance(exc, SettingsError) and self._settings_are_sound()):
                self._failed(path, str(exc))
            return
        self._runs(path, judge)
        self._tell(Notice(f"{bundle.manifest.name} {bundle.manifest.version} was read anew."))

    def _settings_are_sound(self) -> bool:
        """Tell whether they still suit the bundle that runs: then it is the new one that they do not."""
        try:
            settings_for(self.config.settings, self.config.votes, self._manifest)
        except SettingsError:
            return False
        return True

    def _runs(self, path: Path, judge: Judge) -> None:
        assert self._monitor is not None
        manifest = judge.manifest
        self.bundle, self.alarm_names = (manifest.name, manifest.version), judge.conclusions.alarm_names
        self.running, self._manifest, self._skipped_before = path, manifest, self._counts.skipped
        self._raised = lambda: judge.conclusions.raised
        self.shown.stale_after_s = self._monitor.stream.patience_s

    def _events(self, source: Source) -> Generator[SourceEvent, None, None]:
        """Pass events on, with what a person did between them, and tell the log of both."""
        for event in source:
            self.beat_s = time.monotonic()
            if isinstance(event, SampleBlock):
                self.sampled_s = self.beat_s
            self.heard = self.heard or isinstance(event, SampleBlock | Hello)
            self.begun.set()
            self._doing = list(self._asked)
            for text in self._doing:
                self._asked.pop(text, None)
            for each in (event, *map(Note, self._doing)):
                if self._log is not None:
                    self._log.take(each)
                yield each
            self._doing = []
            if isinstance(event, DeviceLog):
                self._heard(Notice(f"the sensor says: {event.text}"))
            elif isinstance(event, HelloRejected):
                self.shown.trouble = str(event.error)
                self._heard(str(event.error))
            self._heard.look()

    def _pass_on(self, result: Result) -> None:
        for each in self._sinks or ():
            each.take(result)
        if isinstance(result, WindowResult):
            self.shown.window = result
            if result.is_measured:
                self.shown.measured_s = self.shown.now_s()
        elif isinstance(result, Decision):
            self.shown.decision, self.shown.decided_s = result, self.shown.now_s()
        elif isinstance(result, Severity):
            self.shown.severity = result

    def _note(self, event: SourceEvent, monitor: Monitor, source: Source) -> None:
        if isinstance(event, SampleBlock):
            self.judged, self.shown.trouble = True, None
        if self._show:
            self.shown.alarms = monitor.judge.conclusions.raised
            self.shown.true_rate_hz = monitor.stream.rate.sample_rate_hz
            self.shown.counters, self.shown.lag_s = source.counters, _lag_s(source)
            self.shown.skipped = self._counts.skipped
            self.shown.failing = tuple(why for why in self.failing.values() if why)

    def _keep(self, samples: NDArray[np.float32]) -> None:
        self.shown.samples = samples[0]


@contextmanager
def _bundle_faults(path: Path) -> Iterator[None]:
    """Make whatever a bundle brings about while it is opened, too little memory included, a fault of that bundle."""
    try:
        yield
    except (DrsnEdgeError, FirmwareBridgeError, QuantizeError, OSError):
        raise
    except Exception as exc:
        raise BundleError(f"Expected a bundle that can be opened at {path}, got {type(exc).__name__}: {exc}.") from exc


def _named(config: SensorConfig) -> Path:
    assert config.model is not None
    return config.model


def _lag_s(source: Source) -> float:
    return source.lag_s if isinstance(source, Threaded) else 0.0


def _clock_of(source: Source) -> Callable[[], float]:
    """Return the clock: of the day that is replayed, or of now."""
    return (lambda: source.time_s) if isinstance(source, ReplaySource) else time.time
