"""Whatever a sensor sends, and however often it has to be taken up again, its outputs stay sound."""

from __future__ import annotations

import io
import json
import math
import re
import sqlite3
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.votes import Votes
from drsn_edge.monitor import judging as judging_module
from drsn_edge.monitor import supervisor as supervisor_module
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sink_table import Opening
from drsn_edge.monitor.sinks import Guarded, Sink
from drsn_edge.monitor.sinks.console import ConsoleSink
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.json_lines import JsonFilesSink, JsonLinesSink
from drsn_edge.monitor.sinks.metrics import MetricsServer
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings
from drsn_edge.monitor.stages.judge import Model
from drsn_edge.monitor.stages.settings import CaptureSettings, MonitorSettings
from drsn_edge.monitor.station import Source, Station
from drsn_edge.monitor.supervisor import Crew
from drsn_edge.support.telling import Sparing
from firmware_bridge.errors import PortAbsentError
from firmware_bridge.wire.events import Idle, LinkLost, LinkRestored, SourceEvent, Status
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import DeviceState, MessageType
from firmware_bridge.wire.stream import StreamCounters, StreamDecoder

RATE_HZ = 4000.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would take most of the time
NOISE = (np.random.default_rng(0).normal(size=(4096, 2)) * 100).astype("<i2")


# --- a device that says what it likes ---------------------------------------------------------------------------------


def hello(session: int, **changes: Any) -> bytes:
    """Return the payload of a HELLO of an accelerometer that fits the model, changed by what is given."""
    values = {
        "version": 1, "device": b"bench", "firmware": b"1", "model": b"fake", "axes": b"x,y", "unit": b"g",
        "scale": 16 / 2**15, "full_scale": 16.0, "rate": RATE_HZ, "produced": 0, "time_us": 0, **changes,
    }  # fmt: skip
    tail = ("device", "firmware", "model", "axes", "unit")
    fields = [bytes([values["version"]]), struct.pack("<I", session), *(values[name] for name in tail)]
    fields += [struct.pack("<d", values[name]) for name in ("scale", "full_scale", "rate")]
    fields += [struct.pack("<Q", values[name] % 2**64) for name in ("produced", "time_us")]
    return b"".join(bytes([tag, len(value)]) + value for tag, value in enumerate(fields, start=1))


def samples(session: int, first: int, time_us: int, counts: Any, overrun: bool = False) -> bytes:
    rows, axes = counts.shape
    head = struct.pack("<IIIHBB", session, first % 2**32, time_us % 2**32, rows, axes, 0x80 * overrun)
    return head + counts.astype("<i2").tobytes()


def status(session: int, produced: int, time_us: int, state: int = 1, overruns: int = 0) -> bytes:
    return struct.pack("<IQQBIIHHh", session, produced % 2**64, time_us % 2**64, state, overruns, 0, 0, 0, -0x8000)


NUMBERS = st.sampled_from([0, 1, 63, 64, 2**31, 2**32 - 60_000, 2**32, 2**52, 2**53, 2**63 - 1, 2**63, 2**64 - 60_000])
FLOATS = st.sampled_from(
    [math.nan, math.inf, -math.inf, 0.0, -1.0, 5e-324, 1e-300, 1e-12, 0.5, 1.0, 3900.0, 4000.0, 1e36, 1e40, 1e300]
)
TEXTS = st.sampled_from(
    [b"x,y", b"y,x", b"-x,y", b"x", b"g", b"m/s2", b"furlong", b"\x1b[2J", b"\xff", b"", b"\xc2\x85"]
)
ABSURD = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from([0, 1, 2, 255]), "scale": FLOATS, "full_scale": FLOATS, "rate": FLOATS,
        "produced": NUMBERS, "time_us": NUMBERS, "axes": TEXTS, "unit": TEXTS, "device": TEXTS,
    },
)  # fmt: skip
KINDS = ("noise", "flat", "extreme")
ACTIONS = st.one_of(
    st.tuples(st.just("play"), st.integers(1, 12), st.sampled_from(KINDS)),
    st.tuples(st.just("play"), st.integers(8, 40), st.just("noise")),
    st.tuples(st.just("skip"), NUMBERS),
    st.tuples(st.just("jump"), NUMBERS),
    st.tuples(st.just("overrun"), st.integers(0, 200)),
    st.tuples(st.just("hello"), ABSURD),
    st.tuples(st.just("hello"), st.just({})),
    st.tuples(st.just("restart"), ABSURD),
    st.tuples(st.just("restart"), st.just({})),
    st.tuples(st.just("status"), NUMBERS, NUMBERS, st.integers(0, 3)),
    st.tuples(st.just("log"), st.sampled_from([b"\1hot", b"\2\x1b]0;owned\x07", b"\3", b"\xff"])),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
    st.tuples(st.just("raw"), st.integers(0, 6), st.binary(max_size=60)),
    st.just(("unplug",)),
    st.just(("idle",)),
    st.just(("absent",)),
    st.just(("mistake",)),
)


class Device:
    """Turns actions into the events that a source would make of them, over several iterations."""

    lag_s = 0.0

    def __init__(self, actions: list[Any], pass_time: Callable[[float], None]) -> None:
        self._left, self._pass_time = list(actions), pass_time
        self._decoder, self._writer = StreamDecoder(), FrameWriter()
        self._session, self._next, self._time_us = 1, 0, 0
        self._is_overrun = False
        self._says: dict[str, Any] = {}
        self._left_before = -1

    @property
    def counters(self) -> StreamCounters:
        return self._decoder.counters

    @property
    def is_done(self) -> bool:
        return not self._left

    def __iter__(self) -> Iterator[SourceEvent]:
        self._decoder.reset_link()
        self._decoder.introduce_again()
        if self._left_before == len(self._left):  # what it says keeps it from being heard: somebody mends it
            self._says = {}
        self._left_before = len(self._left)
        yield from self._identify()
        while self._left:
            name, *values = self._left.pop(0)
            for event in getattr(self, f"_{name}")(*values):
                yield event
                if isinstance(event, Status) and event.state is DeviceState.ENDED:
                    return

    def _feed(self, kind: int, payload: bytes) -> list[Any]:
        return [*self._decoder.feed(self._writer.encode(kind, payload))]

    def _play(self, blocks: int, kind: str) -> Iterator[SourceEvent]:
        if self._decoder.needs_hello:  # a source asks for it
            yield from self._identify()
        for _ in range(blocks):
            at = self._next % 4000
            counts = (
                NOISE[at : at + 32] if kind == "noise" else np.full((32, 2), 0 if kind == "flat" else -32768, "<i2")
            )
            yield from self._feed(
                MessageType.SAMPLES, samples(self._session, self._next, self._time_us, counts, self._is_overrun)
            )
            self._is_overrun = False
            self._next += 32
            self._time_us += 8000
            self._pass_time(0.008)

    def _skip(self, n: int) -> list[Any]:
        self._next += n
        return []

    def _jump(self, us: int) -> list[Any]:
        self._time_us += us
        return []

    def _overrun(self, n: int) -> list[Any]:
        self._next, self._is_overrun = self._next + n, True
        return []

    def _hello(self, changes: dict[str, Any]) -> list[Any]:
        self._says = changes
        return self._identify()

    def _identify(self) -> list[Any]:
        stands = {"produced": self._next, "time_us": self._time_us}
        return self._feed(MessageType.HELLO, hello(self._session, **{**stands, **self._says}))

    def _restart(self, changes: dict[str, Any]) -> list[Any]:
        self._session, self._next, self._time_us = self._session + 1, 0, 0
        return self._hello(changes)

    def _status(self, produced: int, time_us: int, state: int) -> list[Any]:
        return self._feed(MessageType.STATUS, status(self._session, produced, time_us, state))

    def _log(self, payload: bytes) -> list[Any]:
        return [event for _ in range(20) for event in self._feed(MessageType.LOG, payload)]

    def _bytes(self, data: bytes) -> list[Any]:
        return [*self._decoder.feed(data + b"\0")]

    def _raw(self, kind: int, payload: bytes) -> list[Any]:
        return self._feed(kind, payload)

    def _unplug(self) -> list[Any]:
        self._decoder.reset_link()
        return [LinkLost("unplugged"), LinkRestored(), *self._identify()]

    def _idle(self) -> list[Any]:
        self._pass_time(5.0)
        return [Idle()]

    def _absent(self) -> list[Any]:
        raise PortAbsentError("Expected a device, found none.")

    def _mistake(self) -> list[Any]:
        raise ZeroDivisionError("of a library")


# --- a station with everything on -------------------------------------------------------------------------------------


class Plant:
    """A station with every output, whose clock passes when the device says so."""

    def __init__(self, actions: list[Any], folder: Path, machine: str, metrics: MetricsServer) -> None:
        self.now_s, self.folder, self.machine, self.metrics = 1_800_000_000.0, folder, machine, metrics
        self.console, self.json, self.said = io.StringIO(), io.StringIO(), list[str]()
        self.device = Device(actions, self._pass)
        self.over = threading.Event()
        config = SensorConfig("port", machine, Path("m.drsn"), severity=True)
        self.station = Station(config, self, tell=self.said.append, show=True)
        self.crew = Crew([self.station, _Other()], self._stopped, self.over, self.said.append)  # type: ignore[list-item]

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds

    def _stopped(self) -> bool:
        return self.over.is_set() or self.device.is_done

    def open_log(self) -> None:
        """Keep no bytes."""

    def open_source(self, log: Any) -> Device:
        return self.device

    def open_sinks(self, station: Station, source: Source) -> Iterator[Sink]:
        def now_s() -> float:
            return self.now_s

        of = Opening(station, source, self.said.append, self.said.append, self.said.append)
        sinks: dict[str, Sink] = {
            "json": JsonLinesSink(self.json, self.machine),
            "console": ConsoleSink(self.console),
            "lines": JsonFilesSink(self.folder / "lines", self.machine, now_s),
            "history": HistorySink(self.folder / "history", self.machine, now_s=now_s),
            "metrics": self.metrics.sink(self.machine, of.counters, of.about),
        }
        for name, sink in sinks.items():
            yield Guarded(name, sink, self.said.append)

    @property
    def results(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=_no_number) for line in self.json.getvalue().splitlines()]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [result for result in self.results if result["type"] == kind]

    def decisions_in_metrics(self) -> list[tuple[str, str]]:
        with urlopen(f"http://127.0.0.1:{self.metrics.port}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(r"^drsn_edge_decision\{(.*)\} 1\.0$", text, re.MULTILINE)
        own = [dict(re.findall(r'(\w+)="([^"]*)"', labels)) for labels in found]
        return [(each["verdict"], each["detail"]) for each in own if each["machine"] == self.machine]


class _Other:
    """Another station that goes on, so that this one is taken up again after it ended."""

    sampled_s = math.inf


def _no_number(text: str) -> None:
    raise AssertionError(f"JSON has no {text}")


@pytest.fixture(scope="module")
def live(manifest: Manifest, new_classifier: Any) -> Iterator[Callable[[list[Any]], Plant]]:
    """Return what has a plant live through actions; no model is read, and no time passes between attempts."""
    patch, served = pytest.MonkeyPatch(), list[MetricsServer]()
    alarms = AlarmSettings(("calm",), windows=2, limits=AlarmLimits(0.2, 0.1, 0.0, 0.0))
    patch.setattr(judging_module, "read_bundle", lambda path: SimpleNamespace(manifest=manifest))
    patch.setattr(judging_module, "model_of", lambda *_: Model(manifest, new_classifier()))
    patch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.0)
    patch.setattr(supervisor_module, "LAST_PAUSE_S", 0.0)
    numbers = count()

    def run(actions: list[Any]) -> Plant:
        number = next(numbers)
        if number % 50 == 0:
            served.append(MetricsServer("127.0.0.1", 0))
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            kept = CaptureSettings(f"{name}/captures", 0.05, 0.05, 3)
            patch.setattr(judging_module, "settings_for", lambda *_: MonitorSettings(Votes(2, 3), alarms, kept))
            plant = Plant(actions, Path(name), f"pump {number}", served[-1])
            plant.crew.run(plant.station)
            check(plant)
        return plant

    yield run
    patch.undo()
    for server in served:
        server.close()


def check(plant: Plant) -> None:
    """Expect that every output was written, that all say the same, and that nothing but text reached a person."""
    assert plant.crew.failure is None
    assert not any(plant.station.outputs.failing.values()), plant.said
    assert all(text.isprintable() for text in plant.said) and "\x1b" not in plant.console.getvalue()
    windows, summaries = plant.of_type("window"), plant.of_type("summary")
    assert len(summaries) == 1 or not plant.station.judged
    assert all(each["windows"] == len(windows) == sum(each["verdicts"].values()) for each in summaries)
    with closing(sqlite3.connect(plant.folder / "history")) as history:
        (kept,) = history.execute("SELECT coalesce(sum(windows), 0) FROM minutes").fetchone()
        (runs,) = history.execute("SELECT count(*) FROM runs").fetchone()
        (decisions,) = history.execute("SELECT count(*) FROM decisions").fetchone()
    assert (kept, runs, decisions) == (len(windows), len(summaries), len(plant.of_type("decision")))
    assert (plant.folder / "lines").read_text().count("\n") == len(plant.results)
    shown = [(each["verdict"], each["label"] or each["reason"] or "") for each in plant.of_type("decision")]
    assert plant.decisions_in_metrics() == (shown[-1:] or [("NO_VERDICT", "no decision yet")])
    assert len(plant.said) < 60


# --- what it must stand -----------------------------------------------------------------------------------------------

PLAY = ("play", 20, "noise")


@given(actions=st.lists(ACTIONS, max_size=14))
def test_outputs_stay_sound_whatever_a_sensor_sends(live: Callable[[list[Any]], Plant], actions: list[Any]) -> None:
    live([*actions, PLAY])


@pytest.mark.parametrize(
    "between",
    [
        [("status", 2**64 - 60_000, 250_000, 1)],
        [("status", 0, 0, 2)],
        [("hello", {"rate": 3950.0})],
        [("hello", {"version": 2}), PLAY, ("hello", {})],
        [("restart", {"scale": 1e36, "full_scale": 1e40}), PLAY, ("restart", {})],
        [("restart", {"rate": math.nan}), PLAY, ("restart", {})],
        [("restart", {"axes": b"x"}), ("restart", {})],
        [("absent",)] * 3,
        [("mistake",)],
        [("unplug",)],
    ],
)
def test_a_sensor_is_judged_again_after(live: Callable[[list[Any]], Plant], between: list[Any]) -> None:
    plant = live([PLAY, *between, PLAY])
    verdicts = [each["verdict"] for each in plant.of_type("window")]
    assert verdicts[:3] == ["CLASS"] * 3 and verdicts[-3:] == ["CLASS"] * 3
    said = [each["verdict"] for each in plant.of_type("decision")]
    assert said in (["CLASS"], ["CLASS", "NO_VERDICT", "CLASS"])


def test_what_failed_is_withdrawn_and_its_losses_are_counted(live: Callable[[list[Any]], Plant]) -> None:
    plant = live([PLAY, ("mistake",), ("skip", 100), PLAY])
    assert [each["reason"] for each in plant.of_type("decision")] == [None, "LINK LOST", None]
    (summary,) = plant.of_type("summary")
    assert (summary["samples_received"], summary["samples_lost"]) == (1280, 100)
    assert any("Internal error: ZeroDivisionError" in text and "Trying again" in text for text in plant.said)


def test_absurd_losses_without_end_do_not_end_the_history(live: Callable[[list[Any]], Plant]) -> None:
    lie = ("status", 2**53 - 1, 0, 1)  # believed if said twice
    jump: list[Any] = [("restart", {}), ("play", 3, "noise"), ("skip", 2**52), lie, lie, ("restart", {})]
    plant = live([*jump * 3, PLAY])
    assert plant.of_type("summary")[0]["samples_lost"] > 2**54


def test_a_flood_of_words_is_told_a_few_times_and_counted() -> None:
    told, now_s = list[str](), [0.0]
    tell = Sparing(told.append, most=3, period_s=60.0, now_s=lambda: now_s[0])
    for number in range(1000):
        tell(str(number))
        now_s[0] += 0.001
    assert told == ["0", "1", "2"]
    now_s[0] = 61.0
    tell.look()
    assert len(told) == 4 and told[-1].startswith("997 ")
    tell("again")
    tell.close()
    assert told[4:] == ["again"]
