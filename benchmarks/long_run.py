"""Run the monitor command at many times real time while its link and its broker fail again and again.

    python benchmarks/long_run.py --model cwru.drsn --data cwru/ --minutes 10 --results docs/results/long_run.json

A virtual accelerometer plays recordings faster than real time into a pseudo-terminal that is unplugged, stalls, loses
and damages frames, and is restarted every minute with a new session; Mosquitto is killed and started again without its
memory. `drsn-edge monitor` reads it with history, MQTT, metrics, lines, alarms and severity. At the end the monitor's
count of samples is compared with that of the device, and the contents of the outputs with the printed results. Memory
is recorded every second.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from day import played
from machine import machine
from paho.mqtt.enums import CallbackAPIVersion

from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import full_scale_for
from drsn_edge.support.files import write_file
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.messages import Hello

SESSION_S = 60.0
DRAIN_S = 3.0
"""How long a device is silent before it is restarted: what it sent has then been read, so that accounts can agree."""
SETTINGS = '[alarms]\nnormal = ["normal"]\non_delay_s = 0.0\n'


class Broker:
    """Mosquitto without persistence."""

    def __init__(self, folder: Path) -> None:
        """Choose a port and start."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")
        self.kills = 0
        self._start()

    def _start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen([program, "-c", self._config], stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill the broker, and start it again after two seconds with an empty memory."""
        self._process.kill()
        self._process.wait()
        self.kills += 1
        time.sleep(2)
        self._start()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def retained(self) -> dict[str, str]:
        """Return the retained messages by topic."""
        import paho.mqtt.client as paho

        found: dict[str, str] = {}
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _, __, message: found.__setitem__(message.topic, message.payload.decode())
        client.connect("127.0.0.1", self.port)
        client.subscribe("run/#", 1)
        client.loop_start()
        time.sleep(2)
        client.loop_stop()
        client.disconnect()
        return found


def sessions(recordings: list[Recording], speed: float, minutes: float, link: Path, told: Counter[str]) -> None:
    """Play one session after the other on the same link, and count the faults."""
    full_scale = max(full_scale_for(each.samples) for each in recordings)
    first = recordings[0]
    hello = Hello(
        0, "run", "1", "virtual", first.axes, first.unit, full_scale / 32768, full_scale, first.sample_rate_hz
    )
    device_s = SESSION_S * speed
    for number in range(round(minutes * 60 / SESSION_S)):
        is_last = number == round(minutes * 60 / SESSION_S) - 1
        script = ["drop-frame 1e-5", "repeat-frame 1e-5", "flip 1e-8"]
        script += [f"{what} at {share * device_s:g}{length}" for what, share, length in (
            ("unplug", 0.3, f" for {speed:g}"), ("overrun 80", 0.5, ""), ("stall", 0.6, f" for {speed:g}"),
        )]  # fmt: skip
        faults = FaultInjector(parse_script(script), number)
        over = threading.Event()

        def samples(over: threading.Event = over, is_last: bool = is_last) -> Iterator[np.ndarray]:
            yield from played(recordings, device_s / 3600)
            if not is_last:
                time.sleep(DRAIN_S)
                over.set()
                yield np.zeros((1, len(first.axes)), np.float32)  # never sent: the device has stopped

        device = VirtualAccelerometer(hello, samples(), link=link, speed=speed, faults=faults, block_samples=500)
        summary = device.run(over.is_set)
        told["sessions"] += 1
        told["samples_not_sent"] += summary.samples_dropped
        told["samples_lost_by_faults"] += faults.totals.samples_lost
        told["samples"] += round(device_s * first.sample_rate_hz)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Run the monitor and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speed", type=float, default=40.0)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    recordings = load_recordings(given.data)[::4]
    told: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder)
        (folder / "monitor.toml").write_text(SETTINGS)
        link = folder / "port"
        devices = threading.Thread(
            target=sessions, args=(recordings, given.speed, given.minutes, link, told), daemon=True
        )
        devices.start()
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            monitor = subprocess.Popen(
                [
                    Path(sys.executable).parent / "drsn-edge", "monitor", "--port", link,
                    "--model", given.model.resolve(), "--json", "--machine", "run", "--severity",
                    "--settings", folder / "monitor.toml",
                    "--history", folder / "h.sqlite", "--lines", folder / "lines.jsonl",
                    "--mqtt", f"mqtt://127.0.0.1:{broker.port}/run", "--metrics", "0",
                ],
                stdout=out, stderr=err, cwd=folder,
            )  # fmt: skip
            began_s, memory, killed_s = time.monotonic(), [], time.monotonic()
            while monitor.poll() is None and time.monotonic() - began_s < 60 * given.minutes + 120:
                time.sleep(1)
                if monitor.poll() is None:
                    memory.append(resident_mb(monitor.pid))
                if time.monotonic() - killed_s > SESSION_S * 1.3 and devices.is_alive():
                    broker.kill()
                    killed_s = time.monotonic()
            if monitor.poll() is None:
                monitor.send_signal(signal.SIGINT)
                monitor.wait(30)
        found = {
            "command": f"benchmarks/long_run.py --minutes {given.minutes:g} --speed {given.speed:g}",
            **machine(),
            **account(folder, told, memory),
            "exit_status": monitor.returncode,
            "broker_kills": broker.kills,
            "retained_after": sorted(broker.retained()),
            "stderr": (folder / "err").read_text().splitlines()[-12:],
        }
        broker.close()
    text = json.dumps(found, indent=1)
    print(text)
    if given.results:
        write_file(given.results, (text + "\n").encode())


def account(folder: Path, told: Counter[str], memory: list[float]) -> dict[str, Any]:
    """Return the counts of monitor and device, and those of the outputs and the printed results."""
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines()]
    kinds = Counter(line["type"] for line in lines)
    summary: dict[str, Any] = next((line for line in reversed(lines) if line["type"] == "summary"), {})
    with sqlite3.connect(folder / "h.sqlite") as history:
        windows = history.execute("SELECT sum(windows) FROM minutes").fetchone()[0]
        decisions = history.execute("SELECT count(*) FROM decisions").fetchone()[0]
    half = np.array(memory[len(memory) // 2 :])
    slope = float(np.polyfit(np.arange(len(half)) / 3600, half, 1)[0]) if len(half) > 2 else None
    return {
        "device": dict(told),
        "received_and_lost_are_all": summary["samples_received"] + summary["samples_lost"] == told["samples"],
        "samples_received": summary.get("samples_received"),
        "samples_lost": summary.get("samples_lost"),
        "link_losses": summary.get("link_losses"),
        "windows_skipped": summary.get("windows_skipped"),
        "windows": {"printed": kinds["window"], "history": windows},
        "decisions": {"printed": kinds["decision"], "history": decisions},
        "resident_mb": [round(value, 1) for value in memory[:: max(1, len(memory) // 20)]],
        "slope_mb_per_hour": None if slope is None else round(slope, 3),
    }


if __name__ == "__main__":
    main()
