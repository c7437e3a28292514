"""Assembles a monitor: from the configurations of sensors to a supervisor that runs their stations.

docs/development/monitor-library.md shows it in a dozen lines. `drsn-edge monitor` does nothing else.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from drsn_edge.errors import ControlError, OutputError
from drsn_edge.gateway.names import TRIAL_S
from drsn_edge.gateway.paths import state_folder
from drsn_edge.monitor.control import ControlSocket, handlers_of
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sink_table import SINKS, Opener, Opening, check_sinks, open_sinks
from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.sinks.clock_watch import Once
from drsn_edge.monitor.sinks.console import ConsoleSink
from drsn_edge.monitor.sinks.json_lines import JsonLinesSink
from drsn_edge.monitor.sinks.printed import PrintedSink
from drsn_edge.monitor.station import Source, Station
from drsn_edge.monitor.supervisor import Crew, Supervisor
from drsn_edge.monitor.systemd_notify import Notifier
from drsn_edge.recordings.recorder import ROTATE_BYTES, LogKeeper, log_files, log_name
from drsn_edge.recordings.sensor_port import SensorPort
from drsn_edge.support.notice import Notice, about
from firmware_bridge.sources.link import Gathering
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.threaded import Threaded

if TYPE_CHECKING:  # a view needs rich, which is not installed everywhere; a monitor with --model needs no bundle store
    from drsn_edge.gateway.follower import Follower
    from drsn_edge.monitor.view import View

_STORE_PATIENCE_S = 150.0
"""Time in seconds to wait for others who change the bundle store, longer than a health gate takes."""

Tell = Callable[[str], None]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Plan:
    """What a monitor watches.

    Attributes:
        sensors: At least one sensor, each of another machine.
        replay: Raw logs, or folders of them, that are judged instead of the port of the only sensor.
        speed: Speed of a replay as a multiple of real time; 0: as fast as possible.
        metrics: Host and port of /metrics for Prometheus; None: not served.
        trial_s: Time in seconds that a flashed bundle must work before it is confirmed, for sensors without a model of
            their own.
    """

    sensors: Sequence[SensorConfig]
    replay: Sequence[Path] = ()
    speed: float = 0.0
    metrics: tuple[str, int] | None = None
    trial_s: float = TRIAL_S

    @property
    def several(self) -> bool:
        """Whether messages must name the machine."""
        return len(self.sensors) > 1

    @property
    def prints_only(self) -> bool:
        """Whether printing is the only output, and nothing is recorded."""
        fields = ("record", *SINKS)
        kept = any(getattr(each, field) is not None for each in self.sensors for field in fields)
        return self.metrics is None and not kept


@contextmanager
def assembled(
    plan: Plan,
    sinks: Mapping[str, Opener] | None = None,
    *,
    stopped: Stop = lambda: False,
    tell: Tell = lambda text: None,
    viewed: bool = False,
    open_source: Callable[[SensorConfig, Stop, LogKeeper | None], Source] | None = None,
) -> Iterator[Supervisor]:
    """Yield the supervisor of a plan's stations; at the end, everything that they share is closed.

    Args:
        plan: What to watch.
        sinks: Openers of further sinks of each sensor, by name; an opener takes an `Opening` and returns a sink.
        stopped: Returns whether to stop.
        tell: Called with messages for people; see `drsn_edge.support.notice`.
        viewed: Whether to draw a view on standard output, a terminal; this needs the extra `view`.
        open_source: Opens the source of a sensor; None: its port, or the logs of the plan.

    Raises:
        OutputError, SettingsError: If outputs cannot be used or contradict each other.
        GatewayError: If a sensor has no model and this gateway has no bundle.
    """
    check_sinks(plan.sensors)
    over = threading.Event()

    def is_over() -> bool:
        return over.is_set() or stopped()

    with ExitStack() as stack:
        shared = _Shared(plan, is_over, tell, Once(tell), dict(sinks or {}), _metrics_sink(plan, stack), open_source)
        following = [each for each in plan.sensors if each.model is None]
        follower = _follower(plan.trial_s, following, tell) if following else None
        stations = [_station(each, shared, follower, viewed) for each in plan.sensors]
        if follower is not None:
            follower.watch([each for each in stations if each.config.model is None])
        if not plan.replay:
            _listen(stations, stack, tell)
        notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
        stack.callback(notifier.stopping)
        crew = Crew(stations, is_over, over, tell, once=bool(plan.replay))
        view = _view(stations) if viewed else None
        yield Supervisor(stations, crew, tell, notifier, view, follower)


@dataclass(frozen=True)
class Printing:
    """How results are printed.

    Attributes:
        stream: Returns the stream to print to, called when the outputs of a sensor are opened: by then a view may have
            replaced standard output.
        as_json: Whether to print one line of JSON per result; otherwise changes are printed in words.
        passing: Terminal that shows the last window on a line that is overwritten; None: not shown.
        several: Whether lines name the machine.
        alone: Whether printing is the only output, so that the run ends when nobody reads it any more.
    """

    stream: Callable[[], TextIO]
    as_json: bool = False
    passing: TextIO | None = None
    several: bool = False
    alone: bool = False

    def open(self, of: Opening) -> Sink:
        """Return the sink of a sensor; see `drsn_edge.monitor.sink_table`."""
        named = of.machine if self.several else None
        stream = self.stream()
        lines: Sink = ConsoleSink(stream, self.passing, named)
        if self.as_json:
            lines = JsonLinesSink(stream, named, of.now_s)
        printed = PrintedSink(lines, stream, alone=self.alone)
        return Guarded("stdout", printed, of.say, passes=(BrokenPipeError,))


def can_view() -> bool:
    """Tell whether the library of the view is installed, by the extra `view`."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def active_bundle() -> Path:
    """Return the active bundle of this gateway, without counting a start of it; this site's own if none is active.

    Raises:
        GatewayError: If there is neither.
    """
    from drsn_edge.gateway.local_store import open_store
    from drsn_edge.gateway.own_bundle import active_or_own

    return active_or_own(open_store("the monitor"))


@dataclass(frozen=True)
class _Shared:
    """What the stations of one monitor share."""

    plan: Plan
    stopped: Stop
    say: Tell
    say_once: Tell
    first: Mapping[str, Opener]
    last: Mapping[str, Opener]
    open_source: Callable[[SensorConfig, Stop, LogKeeper | None], Source] | None

    def __post_init__(self) -> None:
        """Refuse further sinks with names of the monitor's own sinks."""
        taken = sorted(self.first.keys() & {*SINKS, "metrics"})
        if taken:
            words = f"The monitor has sinks of its own called {', '.join(taken)}. Give yours another name."
            raise OutputError(words, "name_taken", names=taken)


@dataclass(frozen=True)
class _Connected:
    """The connections of one sensor, by its configuration."""

    config: SensorConfig
    shared: _Shared
    tell: Tell

    def open_log(self) -> LogKeeper | None:
        config = self.config
        if config.record is None:
            return None
        machine = re.sub("[^A-Za-z0-9._-]+", "_", config.machine)
        name = f"{log_name()}-{machine}" if self.shared.plan.several else log_name()
        return LogKeeper(
            config.record, name, ROTATE_BYTES, lambda failure: self.shared.say(str(failure)), option="--record"
        )

    def open_source(self, log: LogKeeper | None) -> Source:
        plan, config, stopped = self.shared.plan, self.config, self.shared.stopped
        if self.shared.open_source is not None:
            return self.shared.open_source(config, stopped, log)
        if plan.replay:
            return ReplaySource(log_files(plan.replay), speed=plan.speed or None, stop=stopped)
        gathering = Gathering.for_slices(config.latency_s)
        opens = partial(port_of(config).open, gathering=gathering, tell=self.shared.say)
        return Threaded(opens, stopped, keeps_bytes=log is not None)

    def open_sinks(self, station: Station, source: Source) -> Iterator[Sink]:
        shared = self.shared
        return open_sinks(Opening(station, source, self.tell, shared.say, shared.say_once), shared.first, shared.last)


def port_of(config: SensorConfig) -> SensorPort:
    """Return the port of a sensor."""
    return SensorPort(
        str(config.port), config.baud, config.text_unit, config.text_range, config.text_scale, config.text_axes
    )


def _station(config: SensorConfig, shared: _Shared, follower: Follower | None, viewed: bool) -> Station:
    tell = partial(_tell_about, shared.say, config.machine) if shared.plan.several else shared.say
    return Station(config, _Connected(config, shared, tell), follower if config.model is None else None, tell, viewed)


def _tell_about(say: Tell, machine: str, text: str) -> None:
    say(about(machine, text))


def _metrics_sink(plan: Plan, stack: ExitStack) -> dict[str, Opener]:
    """Serve /metrics until the stack ends, if the plan asks for it; return the openers of its sinks."""
    if plan.metrics is None:
        return {}
    from drsn_edge.monitor.sinks.metrics import MetricsServer

    server = MetricsServer(*plan.metrics)
    stack.callback(server.close)
    return {"metrics": lambda of: server.sink(of.machine, of.counters, of.about, of.now_s)}


def _follower(trial_s: float, sensors: Sequence[SensorConfig], tell: Tell) -> Follower:
    from drsn_edge.gateway.follower import Follower
    from drsn_edge.gateway.health_gate import run_gate
    from drsn_edge.gateway.local_store import open_store
    from drsn_edge.gateway.own_bundle import own_bundle

    store = open_store("the monitor", patience_s=_STORE_PATIENCE_S)
    # The gate's process cannot open an Edge TPU that a station holds, so it falls back to the CPU.
    each_way = dict.fromkeys(replace(each.runtime_choice, fallback="cpu") for each in sensors)

    def gate(path: Path) -> None:
        for choice in each_way:
            run_gate(path, choice)

    return Follower(store, gate, tell, trial_s, own=own_bundle())


def _listen(stations: Sequence[Station], stack: ExitStack, tell: Tell) -> None:
    """Open the control socket until the stack ends; if it cannot be opened, report that and continue."""
    try:
        control = ControlSocket(state_folder(), handlers_of(stations))
    except ControlError as exc:
        tell(Notice(exc))
        return
    stack.callback(control.close)


def _view(stations: Sequence[Station]) -> View:
    from drsn_edge.monitor.view import View

    def acknowledge() -> None:
        for station in stations:
            station.acknowledge()

    return View([each.shown for each in stations], acknowledge=acknowledge)
