"""Puts a monitor together: from what sensors are watched with to a supervisor that runs their stations.

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
from drsn_edge.gateway.follower import TRIAL_S, Follower
from drsn_edge.gateway.health_gate import run_gate
from drsn_edge.gateway.local_store import open_store
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
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.threaded import Threaded

if TYPE_CHECKING:  # rich, which it draws with, is not there everywhere
    from drsn_edge.monitor.view import View

GATHER_S = 0.010
"""Fewer reads cost less: 26.7 kHz took 19 % of a core with 3 ms, 13 % with 8, 11 to 12 % with 12. Windows wait that
long at most."""

_STORE_PATIENCE_S = 150.0
"""Longer than any gate takes that runs meanwhile."""

Tell = Callable[[str], None]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Plan:
    """What to watch, and with what.

    Attributes:
        sensors: At least one, of different machines.
        replay: Raw logs, or folders of them, that are judged instead of the port of the only sensor.
        speed: Of a replay: times the pace of that day; 0: at once.
        metrics: Host and port of /metrics for Prometheus; None: it is not served.
        trial_s: How long a bundle that was flashed must work before it is confirmed, where a sensor has no model of its
            own.
    """

    sensors: Sequence[SensorConfig]
    replay: Sequence[Path] = ()
    speed: float = 0.0
    metrics: tuple[str, int] | None = None
    trial_s: float = TRIAL_S

    @property
    def several(self) -> bool:
        """Whether what is said must name the machine."""
        return len(self.sensors) > 1

    @property
    def prints_only(self) -> bool:
        """Whether nothing gets results but what is printed, and nothing is recorded."""
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
    """Yield what runs the stations of a plan; at the end, everything that they share is closed.

    Args:
        plan: What to watch.
        sinks: Further sinks of each sensor, by name; an opener is given an `Opening` and returns a sink.
        stopped: Asked whether to stop.
        tell: Given what a person should read; see `drsn_edge.support.notice`.
        viewed: Whether a view is drawn on standard output, a terminal; it needs the extra `view`.
        open_source: Opens what a sensor sends; None: its port, or the logs of the plan.

    Raises:
        OutputError, SettingsError: If outputs cannot be used, or do not go together.
        GatewayError: If a sensor has no model, and this gateway no bundle.
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
        stream: Returns where to, asked when the outputs of a sensor are opened: a view, which is shown by then, has put
            itself in the place of standard output.
        as_json: Whether as JSON, a line for each result; otherwise what changes, in words.
        passing: A terminal where the last window is shown as it passes by; None: nowhere.
        several: Whether lines name the machine.
        alone: Whether nothing else gets results: a reader that has gone ends the run then.
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
    """Tell whether the library is here that a view is drawn with, the extra `view`."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def active_bundle() -> Path:
    """Return the bundle that is active on this gateway, which does not count as a start of it.

    Raises:
        GatewayError: If there is none.
    """
    return open_store("the monitor").active().path


@dataclass(frozen=True)
class _Shared:
    """What the stations of one monitor have in common."""

    plan: Plan
    stopped: Stop
    say: Tell
    say_once: Tell
    first: Mapping[str, Opener]
    last: Mapping[str, Opener]
    open_source: Callable[[SensorConfig, Stop, LogKeeper | None], Source] | None

    def __post_init__(self) -> None:
        """Refuse further sinks that have the names of the monitor's own."""
        taken = sorted(self.first.keys() & {*SINKS, "metrics"})
        if taken:
            raise OutputError(f"Sinks of the monitor itself are called {', '.join(taken)}. Give yours another name.")


@dataclass(frozen=True)
class _Connected:
    """The connections of one sensor as its configuration names them."""

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
        opens = partial(port_of(config).open, gather_s=GATHER_S, tell=self.shared.say)
        return Threaded(opens, stopped, None if log is None else log.write)

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
    """Serve /metrics until the stack ends, where that is asked for; return what opens its sinks."""
    if plan.metrics is None:
        return {}
    from drsn_edge.monitor.sinks.metrics import MetricsServer

    server = MetricsServer(*plan.metrics)
    stack.callback(server.close)
    return {"metrics": lambda of: server.sink(of.machine, of.counters, of.about)}


def _follower(trial_s: float, sensors: Sequence[SensorConfig], tell: Tell) -> Follower:
    store = open_store("the monitor", patience_s=_STORE_PATIENCE_S)
    # An Edge TPU that a station holds cannot be opened by the gate's process: the processor shows the rest.
    each_way = dict.fromkeys(replace(each.runtime_choice, fallback="cpu") for each in sensors)
    return Follower(store, lambda path: [run_gate(path, choice) for choice in each_way], tell, trial_s)


def _listen(stations: Sequence[Station], stack: ExitStack, tell: Tell) -> None:
    """Open the control socket until the stack ends; where there can be none, say so and go on."""
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
