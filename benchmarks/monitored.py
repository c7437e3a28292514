"""A `drsn-edge monitor` under measurement: its sensors, its outputs, and what it costs and how late its lines come.

The monitor runs as a process of its own, as a person would type it: alarms, history, every window as a line of JSON in
a file, severity, and MQTT to a local broker; no view. Nothing is set in its environment. The sensors play in another
process, and this one reads the files of lines as they grow; neither counts in `core_share`.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from bundles import calling_all_known
from decode import AXIS_NAMES, BLOCK
from wire_players import Played, Players, Wire, playing, wire_of

from drsn_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from drsn_edge.monitor.stages.judge import Judge, model_of
from drsn_edge.monitor.stages.pipeline import Monitor
from firmware_bridge.wire.stream import StreamDecoder

ROOT = Path(__file__).parents[1]
VOTES = 4
"""Windows that a first decision needs."""
SETTLE_S, SETTLE_EACH_S = 2.0, 0.25
"""Time in seconds from the last sensor's first decision until the measurement begins, and more for each sensor: what
came while the process started is judged by then."""
PROGRAM = ("-m", "drsn_edge.cli.main")
AS_SERIAL_PORT = (
    "-c",
    "import os; os.environ['OMP_NUM_THREADS'] = '1'; "
    "import firmware_bridge.sources.link as link; link.TERMINAL_TAKES = link.SERIAL_TAKES; "
    "from drsn_edge.cli.main import main; main()",
)
"""The program that reads a pseudo-terminal as often as a serial port, which holds fewer bytes. Its first import loads
NumPy, and only before that the monitor could itself choose one thread, as it otherwise does."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Setting of an earlier monitor, with which its figures were published."""
_START_S = _DRAIN_S = 90.0
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_WINDOW = re.compile(rb'"type": "window", "first_sample": (\d+)')


def used_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    return time.clock_gettime((~pid << 3) | 2)  # the clock of another process, as clock_getcpuclockid(3) makes it


def resident_mb(pid: int) -> float:
    """Return the peak memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1]
    return int(status.split()[0]) * 1024 / 1e6


def wakeups(pid: int) -> int:
    """Return how often the living threads of a process have waited and were woken."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            total += int((task / "status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


@dataclass(frozen=True)
class Fitted:
    """A bundle that was fitted to a sensor of a measurement, and takes it for a healthy machine.

    Attributes:
        path: The bundle.
        window: Samples in a window.
        hop: Samples between the starts of two windows.
        label: Class of most windows; no alarm is raised for it.
    """

    path: Path
    window: int
    hop: int
    label: str


def fitted(model: Path, rate_hz: float, folder: Path, axes: int = 3, hop: int | None = None) -> Fitted:
    """Write a bundle with the sensor's rate; its windows overlap by half unless `hop` says otherwise."""
    bundle = calling_all_known(read_bundle(model))
    window = bundle.manifest.contract.window
    contract = replace(
        bundle.manifest.contract,
        sample_rate_hz=float(rate_hz), hop=hop or window // 2, unit="g", axes=AXIS_NAMES[:axes],
    )  # fmt: skip
    path = folder / "fitted.drsn"
    bundle = replace(bundle, manifest=replace(bundle.manifest, contract=contract))
    write_bundle(bundle, path)
    return Fitted(path, window, contract.hop, _most_common_label(bundle, rate_hz, axes))


def _most_common_label(bundle: Bundle, rate_hz: float, axes: int) -> str:
    monitor = Monitor(Judge(model_of(bundle)))
    wire = wire_of(1.0 + 10 * bundle.manifest.contract.window_s, rate_hz, axes)
    for event in StreamDecoder().feed(wire.data):
        monitor.take(event)
    return max(bundle.manifest.labels, key=monitor.stream.counts.labels.__getitem__)


class Mosquitto:
    """A broker on a free port of this machine; `url` is None where Mosquitto is not installed."""

    def __init__(self, folder: Path) -> None:
        """Start it and wait until it listens."""
        self.url: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
        if program is None:
            print("Mosquitto is not installed (Debian: apt-get install mosquitto): measured without --mqtt.",
                  file=sys.stderr)  # fmt: skip
            return
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser {getpass.getuser()}\n"
        )
        self._process = subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                self.url = f"mqtt://127.0.0.1:{port}/measured"
                return
            time.sleep(0.05)
        raise SystemExit("Mosquitto was started and does not listen.")

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


class Tail:
    """The lines of one file as they come.

    Attributes:
        windows: First sample and time, by `time.monotonic`, of each line of a window.
        first_decision_s: Time of the first line of a decision; None before it.
        summary: The last line of a summary.
    """

    def __init__(self, path: Path) -> None:
        """Follow a file that need not exist yet, also when it is rotated."""
        self._path, self._file, self._partial = path, -1, b""
        self.windows: list[tuple[int, float]] = []
        self.first_decision_s: float | None = None
        self.summary: dict[str, Any] | None = None

    def look(self) -> None:
        """Take what has come."""
        if self._file < 0:
            with suppress(FileNotFoundError):
                self._file = os.open(self._path, os.O_RDONLY)
            return
        data = os.read(self._file, 1 << 20)
        if data:
            *lines, self._partial = (self._partial + data).split(b"\n")
            now_s = time.monotonic()
            for line in lines:
                self._take(line, now_s)
        elif os.lseek(self._file, 0, os.SEEK_CUR) > 9_000_000:
            self._follow()

    def _follow(self) -> None:
        """Open the new file if this one was rotated."""
        with suppress(FileNotFoundError):
            if not os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                os.close(self._file)
                self._file = os.open(self._path, os.O_RDONLY)

    def _take(self, line: bytes, now_s: float) -> None:
        found = _WINDOW.search(line)
        if found:
            self.windows.append((int(found[1]), now_s))
        elif self.first_decision_s is None and b'"type": "decision"' in line:
            self.first_decision_s = now_s
        elif b'"type": "summary"' in line:
            self.summary = json.loads(line)


@dataclass(frozen=True)
class Load:
    """What a monitor is measured with.

    Attributes:
        bundle: Bundle that fits the stream.
        wire: Stream of each sensor.
        sensors: Number of sensors.
        seconds: Length of the measurement in seconds.
        latency: Value of --latency; None: not given.
        options: Further options of the monitor.
        checkout: Folder of the sources that run.
        program: Arguments of Python that start them, `PROGRAM` or `AS_SERIAL_PORT`.
        environment: Variables that the monitor gets beside those of this process.
        every_s: Shortest time in seconds between two writes of the sensors; see `wire_players.playing`.
        look_s: Time in seconds between two looks at the files of lines: delays are too long by up to this.
    """

    bundle: Fitted
    wire: Wire
    sensors: int = 1
    seconds: float = 20.0
    latency: str | None = None
    options: tuple[str, ...] = ()
    checkout: Path = ROOT
    program: tuple[str, ...] = PROGRAM
    environment: Mapping[str, str] = field(default_factory=dict)
    every_s: float = 0.0
    look_s: float = 0.002


def seconds_of_stream(seconds: float, sensors: int = 1) -> float:
    """Return the seconds of a stream that lasts for a measurement with its start."""
    return seconds + SETTLE_S + 4.0 + 1.75 * sensors


def measure(load: Load) -> dict[str, Any]:
    """Run a monitor with its sensors and return its figures."""
    with tempfile.TemporaryDirectory() as name, playing(load.wire, load.sensors, load.every_s) as players:
        folder = Path(name)
        broker = Mosquitto(folder)
        try:
            return _measured(load, players, folder, broker.url)
        finally:
            broker.close()


def _measured(load: Load, players: Players, folder: Path, broker: str | None) -> dict[str, Any]:
    tails = [Tail(folder / f"lines{number}.jsonl") for number in range(load.sensors)]
    with _monitor(load, players.ports, folder, broker) as (process, began_s):
        _follow_until(process, tails, load.look_s, _START_S, lambda: all(t.first_decision_s for t in tails))
        if any(each.first_decision_s is None for each in tails):
            raise SystemExit(f"The monitor made no decision within {_START_S:g} s:\n{(folder / 'out').read_text()}")
        _follow_until(process, tails, load.look_s, SETTLE_S + SETTLE_EACH_S * (load.sensors - 1))
        start_s, used, woken = time.monotonic(), used_s(process.pid), wakeups(process.pid)
        _follow_until(process, tails, load.look_s, load.seconds)
        end_s = time.monotonic()
        share, woken = (used_s(process.pid) - used) / (end_s - start_s), wakeups(process.pid) - woken
        memory = resident_mb(process.pid)
        played = players.stop()
        _drain(process, tails, load.look_s)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    for each in tails:
        each.look()
        each.look()
    needed_s = (load.bundle.window + (VOTES - 1) * load.bundle.hop) / load.wire.rate_hz
    return {
        "sensors": load.sensors,
        "measured_s": round(end_s - start_s, 1),
        "latency": load.latency,
        "mqtt": broker is not None,
        "core_share": round(share, 4),
        "core_share_each": round(share / load.sensors, 4),
        "wakeups_per_s": round(woken / (end_s - start_s), 1),
        "resident_mb": round(memory, 1),
        "first_decision_s": round(max(t.first_decision_s or 0.0 for t in tails) - began_s - needed_s, 3),
        **_delays(load.bundle.window, tails, played, start_s, end_s),
        **_counts([each.summary for each in tails], played),
    }


def plain_environment(checkout: Path, folder: Path) -> dict[str, str]:
    """Return the environment of a monitor from the sources of a checkout, whose state lies in a folder."""
    kept = {name: value for name, value in os.environ.items() if name not in _THREAD_SETTINGS}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling all modules at each start is no part of a start
    return {**kept, "PYTHONPATH": str(checkout.resolve()), "DRSN_EDGE_STATE": str(folder / "state")}


@contextmanager
def _monitor(
    load: Load, ports: Sequence[str], folder: Path, broker: str | None
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Yield the running monitor, and the time by `time.monotonic` at which it was started."""
    command = [sys.executable, *load.program, "monitor", "--plain", *_options(load, ports, folder, broker)]
    environment = {**plain_environment(load.checkout, folder), **load.environment}
    with (folder / "out").open("wb") as out:
        began_s = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment)
    try:
        yield process, began_s
    finally:
        process.kill()
        process.wait()


def _options(load: Load, ports: Sequence[str], folder: Path, broker: str | None) -> list[str]:
    label = json.dumps(load.bundle.label)
    (folder / "monitor.toml").write_text(f"[alarms]\nnormal = [{label}]\n[capture]\nfolder = 'captures'\n")
    options = ["--model", str(load.bundle.path), "--settings", "monitor.toml", "--severity"]
    options += ["--history", "history.sqlite", *load.options]
    options += [] if load.latency is None else ["--latency", load.latency]
    options += [] if broker is None else ["--mqtt", broker]
    if len(ports) == 1:
        return [*options, "--port", ports[0], "--lines", "lines0.jsonl"]
    sensors = [
        f"[[sensor]]\nport = {json.dumps(port)}\nmachine = 'machine{number}'\nlines = 'lines{number}.jsonl'\n"
        for number, port in enumerate(ports)
    ]
    (folder / "sensors.toml").write_text("\n".join(sensors))
    return [*options, "--sensors", "sensors.toml"]


def _follow_until(
    process: subprocess.Popen[bytes], tails: Sequence[Tail], look_s: float, seconds: float, done: Any = lambda: False
) -> None:
    """Read the lines for a number of seconds, or until it is done or the monitor has ended."""
    end_s = time.monotonic() + seconds
    while not done() and time.monotonic() < end_s and process.poll() is None:
        for each in tails:
            each.look()
        time.sleep(look_s)


def _drain(process: subprocess.Popen[bytes], tails: Sequence[Tail], look_s: float) -> None:
    """Read the lines until no more come."""
    deadline_s, before, seen = time.monotonic() + _DRAIN_S, -1, 0
    while seen != before and time.monotonic() < deadline_s:
        _follow_until(process, tails, look_s, 1.0)
        before, seen = seen, sum(len(each.windows) for each in tails)


def _delays(
    window: int, tails: Sequence[Tail], played: Sequence[Played], start_s: float, end_s: float
) -> dict[str, Any]:
    """Return the times from the last byte of a window to its line, of the lines that came in the measurement."""
    delays = []
    for tail, each in zip(tails, played, strict=True):
        for first, came_s in tail.windows:
            block = (first + window - 1) // BLOCK
            if start_s <= came_s <= end_s and block < len(each.out_s):
                delays.append(1e3 * (came_s - each.out_s[block]))
    if not delays:
        return {"beyond_window_ms_median": None, "beyond_window_ms_p99": None, "beyond_window_ms_worst": None}
    median, p99, worst = np.percentile(delays, [50, 99, 100])
    return {
        "beyond_window_ms_median": round(float(median), 1),
        "beyond_window_ms_p99": round(float(p99), 1),
        "beyond_window_ms_worst": round(float(worst), 1),
    }


def _counts(summaries: Sequence[dict[str, Any] | None], played: Sequence[Played]) -> dict[str, Any]:
    """Return what the monitor counted, beside what was sent; a sensor whose summary is missing is left out."""
    found = [each for each in summaries if each is not None]
    verdicts: dict[str, int] = {}
    for each in found:
        for name, count in each["verdicts"].items():
            verdicts[name] = verdicts.get(name, 0) + count
    sent = BLOCK * sum(len(each.out_s) for each, own in zip(played, summaries, strict=True) if own is not None)
    return {
        "summaries": len(found),
        "windows": sum(each["windows"] for each in found),
        "verdicts": verdicts,
        "samples_lost": sum(each["samples_lost"] for each in found),
        "samples_not_received": sent - sum(each["samples_received"] for each in found),
        "windows_skipped": sum(each["windows_skipped"] for each in found),
        "sender_held_s": round(max(each.held_s for each in played), 3),
    }
