"""Measure what each stage of the monitor takes of a second of stream, on one thread.

    python benchmarks/monitor_stages.py --model adi.drsn [--rate 26667] [--slice 0.2] [--json]

The wire of a sensor with three axes is read from a socket, decoded, judged in slices and written to lines and history
by the monitor's own parts; clocks follow the stream, so that it runs as fast as it can. What only a running process
has is missing: threads, waking up, the connection to a broker.

The first stretch is measured as a whole, the second one stage by stage: functions of the modules in `MODULES` then note
when they begin and end. Figures of stages are scaled to the first stretch, as noting takes time itself.

On emulated Raspberry Pis, benchmarks/pi_monitor.py counts instructions with the same stages.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import inspect
import json
import os
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from bundles import calling_all_known

from drsn_edge.bundle.bundle import read_bundle, write_bundle
from drsn_edge.monitor.judging import open_judging
from drsn_edge.monitor.sensor_config import SensorConfig
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.json_lines import JsonFilesSink
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.stream_state import HostClock
from firmware_bridge.sources import link
from firmware_bridge.sources.serial_port import DEFAULT_BAUD_RATE, SerialSource
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, SamplesPayload, encode_hello, encode_samples

AXES, BLOCK = ("x", "y", "z"), 64
WARM_UP_S = 2.6
"""Time of stream before anything is measured: a stretch of vibration severity is 2 s long."""

READING, DECODING, BLOCKS, QUALITY, JUDGE, SPECTRA, NOVELTY, NOISE, NETWORK, SEVERITY, DECISIONS, LINES, HISTORY = (
    "reading", "decoding", "blocks", "quality", "judge", "spectra", "novelty", "noise alone", "network", "severity",
    "decisions", "lines", "history",
)  # fmt: skip
OUTSIDE = "outside"
"""The benchmark itself, with the sensor's end of the socket."""

WHOLE, BY_STAGE, OVER = "whole", "by stage", "over"
"""The stretches of the stream that are measured, and their end."""

STAGES = (
    READING, DECODING, BLOCKS, QUALITY, JUDGE, SPECTRA, NOVELTY, NOISE, NETWORK, SEVERITY, DECISIONS, LINES, HISTORY,
    OUTSIDE,
)  # fmt: skip

MODULES = {
    DECODING: ("firmware_bridge.wire.stream",),
    QUALITY: ("drsn_edge.signal.quality", "drsn_edge.signal.amplitude", "drsn_edge.signal.repeats"),
    JUDGE: ("drsn_edge.monitor.stages.judge",),
    SPECTRA: (
        "drsn_edge.signal.windows", "drsn_edge.signal.spectra", "drsn_edge.signal.network_input",
        "drsn_edge.signal.resampling",
    ),
    NOVELTY: ("drsn_edge.signal.novelty", "drsn_edge.signal.mounting"),
    NOISE: ("drsn_edge.signal.noise_alone",),
    NETWORK: ("drsn_edge.runtime.classifier",),
    SEVERITY: ("drsn_edge.monitor.stages.severity_meter",),
    DECISIONS: (
        "drsn_edge.monitor.stages.conclusions", "drsn_edge.monitor.stages.decision", "drsn_edge.monitor.stages.alarms",
        "drsn_edge.monitor.stages.freshness",
    ),
}  # fmt: skip
"""Modules whose functions begin a stage when they are called from a stage that it may interrupt."""

INTERRUPTS = {
    READING: {DECODING},
    BLOCKS: {QUALITY, JUDGE, SEVERITY, DECISIONS},
    JUDGE: {QUALITY, SPECTRA, NOVELTY, NOISE, NETWORK},
    NOVELTY: {SPECTRA},
    NOISE: {SPECTRA},
}
"""Stages that may begin within another one; anything else that is called there belongs to that stage."""

INNER = (BLOCKS, *(stage for stage in STAGES if stage in MODULES and stage != DECODING))
"""Stages inside the monitor's `take_slice`."""


class Stages:
    """Which stage runs now. `note` is called with each stage as it is left."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.now, self._note = OUTSIDE, note

    def to(self, stage: str) -> str:
        """Leave the present stage for another; return the one that was left."""
        left = self.now
        self._note(left)
        self.now = stage
        return left


class Clock:
    """Seconds of processor time that each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._since_s = time.thread_time()

    def __call__(self, left: str) -> None:
        now_s = time.thread_time()
        self.seconds[left] += now_s - self._since_s
        self._since_s = now_s


class Marks:
    """Asks what counts this process's instructions to log its count, and keeps which stage each of them ended."""

    def __init__(self) -> None:
        self.left = bytearray()

    def __call__(self, left: str) -> None:
        self.left.append(_NUMBERS[left])
        os.getppid()


_NUMBERS = {stage: number for number, stage in enumerate(STAGES)}


def watch_modules(stages: Stages) -> None:
    """Let the functions and methods of `MODULES` begin and end their stages."""
    for stage, names in MODULES.items():
        for name in names:
            if importlib.util.find_spec(name) is not None:
                _watch_module(importlib.import_module(name), stage, stages)


def _watch_module(module: ModuleType, stage: str, stages: Stages) -> None:
    for name, value in [*vars(module).items()]:
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, FunctionType) and not inspect.isgeneratorfunction(value):
            noted = _noted(value, stage, stages)
            for other in [*sys.modules.values()]:  # whoever imported the function holds it by itself
                if isinstance(other, ModuleType) and vars(other).get(name) is value:
                    setattr(other, name, noted)
        elif isinstance(value, type):
            _watch_class(value, stage, stages)


def _watch_class(kind: type, stage: str, stages: Stages) -> None:
    for name, value in [*vars(kind).items()]:
        if isinstance(value, functools.cached_property):
            value.func = _noted(value.func, stage, stages)
        elif isinstance(value, FunctionType) and not name.startswith("__") and not inspect.isgeneratorfunction(value):
            setattr(kind, name, _noted(value, stage, stages))


def _noted(function: Callable[..., Any], stage: str, stages: Stages) -> Callable[..., Any]:
    from_here = {each for each, inner in INTERRUPTS.items() if stage in inner}

    @functools.wraps(function)
    def noted(*args: Any, **kwargs: Any) -> Any:
        if stages.now not in from_here:
            return function(*args, **kwargs)
        before = stages.to(stage)
        try:
            return function(*args, **kwargs)
        finally:
            stages.to(before)

    return noted


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        folder: Holds bundle, settings and wire; outputs are written to it.
        rate_hz: Samples per second.
        seconds: Length of each of the two stretches, in seconds of stream.
        slice_s: Length of a slice in seconds.
    """

    folder: Path
    rate_hz: float
    seconds: float
    slice_s: float

    @property
    def length_s(self) -> float:
        """Length of the whole stream in seconds."""
        return WARM_UP_S + 2 * self.seconds + 3 * self.slice_s


def prepare(model: Path, setting: Setting) -> None:
    """Write the bundle with the sensor's rate, the settings and the wire to the folder."""
    bundle = read_bundle(model)
    contract = bundle.manifest.contract
    contract = replace(contract, sample_rate_hz=setting.rate_hz, hop=contract.window // 2, unit="g", axes=AXES)
    bundle = calling_all_known(bundle)
    manifest = replace(bundle.manifest, contract=contract)
    write_bundle(replace(bundle, manifest=manifest), setting.folder / "fast.drsn")
    normal = json.dumps(bundle.manifest.labels[0])
    (setting.folder / "monitor.toml").write_text(f"[alarms]\nnormal = [{normal}]\n")
    (setting.folder / "wire").write_bytes(wire(setting.rate_hz, setting.length_s))


def wire(rate_hz: float, seconds: float) -> bytes:
    """Return the bytes of a sensor: a tone in noise, on three axes."""
    hello = Hello(1, "bench", "1", "IIS3DWB", AXES, "g", 0.000488, 16.0, rate_hz)
    writer, random = FrameWriter(), np.random.default_rng(0)
    parts = [writer.encode(MessageType.HELLO, encode_hello(hello))]
    for first in range(0, round(seconds * rate_hz), BLOCK):
        tone = 400 * np.sin(0.3 * np.arange(first, first + BLOCK))[:, None]  # noise alone would not be judged
        counts = (random.normal(0, 100, (BLOCK, len(AXES))) + tone).astype(np.int16)
        payload = SamplesPayload(1, first, round(first / rate_hz * 1e6), counts)
        parts.append(writer.encode(MessageType.SAMPLES, encode_samples(payload)))
    return b"".join(parts)


def piece_s(bytes_per_s: float, slice_s: float) -> float:
    """Return the seconds between two reads of a serial port on which this much comes."""
    if not hasattr(link, "Gathering"):  # versions before slices
        return 0.010
    fastest = max(DEFAULT_BAUD_RATE / 10, bytes_per_s)
    return link.Gathering.for_slices(slice_s).pause_s(0.0, link.SERIAL_TAKES / fastest)


def source_of(port: str, stop: Callable[[], bool]) -> SerialSource:
    """Return the source on a port; how long it waits before it reads does not matter here."""
    if not hasattr(link, "Gathering"):  # versions before slices
        return SerialSource(port, stop=stop, gather_s=0.001)  # type: ignore[call-arg]
    return SerialSource(port, stop=stop, gathering=link.Gathering(0.001))


class Sensor:
    """The sensor's end of a socket: sends the next piece whenever the source is about to read."""

    def __init__(self, data: bytes, setting: Setting, stages: Stages) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        bytes_per_s = len(data) / setting.length_s
        self._step = round(bytes_per_s * piece_s(bytes_per_s, setting.slice_s))
        self._data, self._at, self._stages = data, 0, stages
        self._line: socket.socket | None = None

    def stop(self) -> bool:
        """Send the next piece; True at the end."""
        before = self._stages.to(OUTSIDE)
        if self._line is None:
            self._line = self._listener.accept()[0]
        self._line.sendall(self._data[self._at : self._at + self._step])
        self._at += self._step
        self._stages.to(before)
        return self._at >= len(self._data)

    def close(self) -> None:
        for each in (self._line, self._listener):
            if each is not None:
                each.close()


class StreamClock:
    """A clock that stands at the last block that came."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def time_s(self) -> float:
        return 1.7e9 + self.now_s

    def steady_s(self) -> float:
        return self.now_s


def slices(source: Any, setting: Setting, stages: Stages) -> Iterator[list[tuple[Any, float]]]:
    """Yield slices of a source's events with the times at which they came."""
    reads = source.reads() if hasattr(source, "reads") else ([event] for event in source)  # versions before slices
    came_s, until_s = 0.0, setting.slice_s
    taken: list[tuple[Any, float]] = []
    stages.to(READING)
    for events in reads:
        for event in events:
            if isinstance(event, SampleBlock):
                came_s = (event.first_sample + len(event.samples)) / setting.rate_hz
            taken.append((event, came_s))
        if came_s >= until_s:
            stages.to(OUTSIDE)
            yield taken
            taken, until_s = [], until_s + setting.slice_s
            stages.to(READING)
    stages.to(OUTSIDE)


class Watched:
    """The monitor of a sensor with its outputs."""

    def __init__(self, setting: Setting, stages: Stages) -> None:
        folder, self.stages, self.clock = setting.folder, stages, StreamClock()
        config = SensorConfig(
            machine="m", port="x", model=folder / "fast.drsn", settings=folder / "monitor.toml", severity=True
        )
        judging = open_judging(config, folder / "fast.drsn", lambda words: None)
        host = HostClock(self.clock.steady_s, lambda: 0.0)
        self._monitor = Monitor(judging.judge, host, severity=judging.severity)
        self._sinks: dict[str, Any] = {
            LINES: JsonFilesSink(folder / "lines.jsonl", "m", self.clock.time_s),
            HISTORY: HistorySink(folder / "history.sqlite", "m", now_s=self.clock.time_s),
        }
        self.verdicts: Counter[str] = Counter()

    def take(self, events: list[tuple[Any, float]]) -> None:
        """Judge a slice and write its results."""
        for came_s, results in self._judged(events):
            self.clock.now_s = came_s
            for stage, sink in self._sinks.items():
                before = self.stages.to(stage)
                for each in results:
                    sink.take(each)
                self.stages.to(before)
        for stage, sink in self._sinks.items():
            if hasattr(sink, "flush"):
                before = self.stages.to(stage)
                sink.flush()
                self.stages.to(before)

    def close(self) -> None:
        for sink in self._sinks.values():
            sink.close()

    def _judged(self, events: list[tuple[Any, float]]) -> Iterator[tuple[float, list[Any]]]:
        self.stages.to(BLOCKS)
        for came_s, results in self._found(events):
            self.stages.to(OUTSIDE)
            self.verdicts.update(str(each.verdict) for each in results if hasattr(each, "novelty"))
            yield came_s, results
            self.stages.to(BLOCKS)
        self.stages.to(OUTSIDE)

    def _found(self, events: list[tuple[Any, float]]) -> Iterator[tuple[float, list[Any]]]:
        if not hasattr(self._monitor, "take_slice"):  # versions before slices
            for event, self.clock.now_s in events:
                if results := self._monitor.take(event):
                    yield self.clock.now_s, results
            return
        from firmware_bridge.sources.arrivals import Arrival

        arrivals = [Arrival(event, came_s, 1.7e9 + came_s) for event, came_s in events]
        for arrival, results in self._monitor.take_slice(arrivals):
            yield arrival.steady_s, results


Began = Callable[[str, float], None]


def run(setting: Setting, stages: Stages, began: Began) -> dict[str, int]:
    """Run the stream; return the number of windows by verdict.

    Args:
        setting: What is measured.
        stages: Is told of each stage.
        began: Called as each stretch begins, with `WHOLE`, `BY_STAGE` or at the end `OVER`, and the stream's time in s.
    """
    sensor = Sensor((setting.folder / "wire").read_bytes(), setting, stages)
    watched = Watched(setting, stages)
    due = [(WARM_UP_S + number * setting.seconds, name) for number, name in enumerate((WHOLE, BY_STAGE, OVER))]
    for events in slices(source_of(sensor.port, sensor.stop), setting, stages):
        watched.take(events)
        from_s, name = due[0]
        if events[-1][1] < from_s:
            continue
        began(name, events[-1][1])
        if name == BY_STAGE:
            watch_modules(stages)
        del due[0]
        if not due:
            break
    watched.close()
    sensor.close()
    return dict(watched.verdicts)


def timed(setting: Setting) -> dict[str, Any]:
    """Return milliseconds per second of stream by stage."""
    clock = Clock()
    stages, at = Stages(clock), {}

    def began(name: str, at_s: float) -> None:
        stages.to(OUTSIDE)
        at[name] = at_s, dict(clock.seconds)
        clock.seconds.clear()

    verdicts = run(setting, stages, began)
    taken = {
        name: {stage: 1e3 * taken_s / (at[end][0] - at[name][0]) for stage, taken_s in at[end][1].items()}
        for name, end in ((WHOLE, BY_STAGE), (BY_STAGE, OVER))
    }
    return {"verdicts": verdicts, **scaled(taken[WHOLE], taken[BY_STAGE])}


def scaled(whole: dict[str, float], by_stage: dict[str, float]) -> dict[str, Any]:
    """Return what each stage takes, all of them and what noting adds, from the two stretches.

    Args:
        whole: What the stages took that the benchmark itself begins; the monitor as a whole is `BLOCKS`.
        by_stage: What each stage took while all of them were noted, which takes time itself.
    """
    found: dict[str, float] = {}
    for parts in ((READING, DECODING), INNER, (LINES,), (HISTORY,)):
        noted = sum(by_stage.get(part, 0.0) for part in parts)
        taken = sum(whole.get(part, 0.0) for part in parts)
        found.update({part: by_stage.get(part, 0.0) * taken / noted for part in parts if noted})
    total = sum(found.values())
    inside = sum(taken for stage, taken in by_stage.items() if stage != OUTSIDE)
    return {"stages": found, "total": total, "noting": inside / total - 1}


def marked(setting: Setting) -> dict[str, Any]:
    """Run under an emulator that counts instructions; return which stage each line of its log ends.

    `at` has the time of the stream at which each stretch began, and the number of lines before it.
    """
    marks = Marks()
    stages, at = Stages(marks), {}

    def began(name: str, at_s: float) -> None:
        stages.to(OUTSIDE)
        at[name] = at_s, len(marks.left)

    verdicts = run(setting, stages, began)
    return {"verdicts": verdicts, "at": at, "left": list(marks.left)}


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{stage:14}{taken:8.2f} ms/s" for stage, taken in report["stages"].items()]
    lines += [f"{'all':14}{report['total']:8.2f} ms/s", f"noting took {100 * report['noting']:.1f} % more"]
    lines += [f"windows: {report['verdicts']}"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle of three axes")
    parser.add_argument("--rate", type=float, default=26_667.0, help="samples per second (default 26667)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each stretch (default 4)")
    parser.add_argument("--slice", type=float, default=0.2, help="length of a slice in seconds (default 0.2)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder), given.rate, given.seconds, given.slice)
        prepare(given.model, setting)
        report = timed(setting)
    print(json.dumps(report) if given.json else as_text(report))


if __name__ == "__main__":
    main()
