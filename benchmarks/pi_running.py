"""Count the instructions per second of the running monitor on an emulated Raspberry Pi, with all its threads.

benchmarks/pi_monitor.py uses it, for what the stages by themselves lack: threads and waking up, the station around the
stages, and MQTT. Monitor and sensor run in slow motion: clocks go slower and waits take longer by a factor, so that the
emulator keeps up. Where it does not even then, the figure says so.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emulated_pi import EmulatedPi
from monitor_stages import Setting, prepare

SETTLE_S, COUNTED_S = 3.0, 6.0
PIECE_S = 0.01
KEPT_UP = 0.97
"""Least share of the sensor's windows that the emulated monitor must judge in the counted time."""

GUEST = """
import functools, json, os, select, sys, threading, time
from pathlib import Path
slower, settle_s, counted_s = map(float, sys.argv[1:4])
real = time.sleep, time.monotonic, time.time, select.select, threading.Condition.wait, threading.Thread.join
began_s, began = real[1](), real[2]()
time.sleep = lambda s: real[0](s * slower)
still = functools.partial  # a class may hold a clock, and would make a method of a function
time.monotonic = still(lambda: began_s + (real[1]() - began_s) / slower)
time.time = still(lambda: began + (real[2]() - began) / slower)
select.select = lambda *sets: real[3](*sets[:3], *(s if s is None else s * slower for s in sets[3:]))
def slow(wait):
    return lambda self, timeout=None: wait(self, timeout if timeout is None else timeout * slower)
threading.Condition.wait, threading.Thread.join = slow(real[4]), slow(real[5])
lines = Path("lines.jsonl")
def watch():
    while not lines.exists():
        time.sleep(0.2)
    time.sleep(settle_s)
    for _ in range(2):
        os.getppid()
        with open("marks", "a") as marks:
            print(json.dumps([time.monotonic(), lines.read_text().count('"type": "window"')]), file=marks)
        time.sleep(counted_s)
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
from drsn_edge.cli.main import main
from firmware_bridge.sources import link
link.has_rate = lambda port: True
sys.argv = ["drsn-edge", *sys.argv[4:]]
main()
"""
"""Runs a monitor in slow motion that reads its socket as it reads a serial port, and asks for the count twice; `marks`
gets the times and the windows so far."""


def slower(rate_hz: float) -> float:
    """Return the factor of the slow motion: the more samples, the slower."""
    return max(10.0, rate_hz / 1600)


def running(pi: EmulatedPi, model: Path, checkout: Path, cpu: str, rate_hz: float, *, silent: bool) -> dict[str, Any]:
    """Return the instructions and the system calls of a monitor per second, and how it kept up.

    Args:
        pi: The userland.
        model: Bundle of three axes.
        checkout: The version of drsn-edge.
        cpu: What QEMU emulates.
        rate_hz: Samples per second of the sensor.
        silent: Whether the sensor describes itself and then sends nothing.
    """
    length_s, piece_s = 5 * (SETTLE_S + COUNTED_S), PIECE_S * slower(rate_hz)
    with tempfile.TemporaryDirectory() as name, broker() as port:
        folder = Path(name)
        prepare(model, Setting(folder, rate_hz, length_s / 2, 0.2))
        (folder / "guest.py").write_text(GUEST)
        arguments = [
            "monitor", "--model", "fast.drsn", "--settings", "monitor.toml", "--lines", "lines.jsonl", "--history",
            "history.sqlite", "--severity", "--machine", "m",
        ]  # fmt: skip
        if port is not None:
            import paho

            shutil.copytree(Path(paho.__path__[0]), folder / "paho")
            arguments += ["--mqtt", f"mqtt://127.0.0.1:{port}/bench"]
        with sensor((folder / "wire").read_bytes(), length_s, piece_s, silent=silent) as source:
            started = [
                str(folder / "guest.py"),
                *map(str, (slower(rate_hz), SETTLE_S, COUNTED_S)),
                *arguments,
                "--port",
                source,
            ]
            state = {"DRSN_EDGE_STATE": str(folder / "state"), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            _, log = pi.counted(cpu, started, (checkout, folder), folder, state)
        marks = [json.loads(line) for line in (folder / "marks").read_text().splitlines()]
    return per_second(marks, log, 0.0 if silent else 2 * rate_hz / 1024)


def per_second(marks: list[tuple[float, int]], log: list[tuple[int, int]], windows_per_s: float) -> dict[str, Any]:
    """Return what was counted between two marks, per second.

    Args:
        marks: Time in seconds and windows so far, at each mark.
        log: Instructions and system calls so far, at each mark.
        windows_per_s: What the sensor sends.
    """
    (began_s, before), (ended_s, after) = marks
    took_s = ended_s - began_s
    instructions, calls = ((log[1][what] - log[0][what]) / took_s for what in (0, 1))
    kept_up = (after - before) / took_s >= KEPT_UP * windows_per_s
    return {"instructions": round(instructions), "calls": round(calls, 1), "kept_up": kept_up}


@contextmanager
def sensor(data: bytes, length_s: float, piece_s: float, *, silent: bool) -> Iterator[str]:
    """Yield the port of a sensor that sends to whoever connects; a silent one only describes itself.

    Args:
        data: What it sends.
        length_s: Length of that in seconds.
        piece_s: How long sending `PIECE_S` of it takes.
        silent: Whether only the description is sent.
    """
    hello = data.index(b"\0", 1) + 1
    step = len(data) / length_s * PIECE_S
    over = threading.Event()

    def play(listener: socket.socket) -> None:
        with suppress(OSError), listener.accept()[0] as line:
            line.recv(100)  # what came before it asks would be discarded
            line.sendall(data[:hello])
            began_s, number = time.monotonic(), 0
            while not over.wait(max(0.0, began_s + number * piece_s - time.monotonic())):
                if not silent:
                    line.sendall(data[hello + round(number * step) : hello + round((number + 1) * step)])
                number += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=play, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()


@contextmanager
def broker() -> Iterator[int | None]:
    """Yield the port of an MQTT broker; None if mosquitto is not installed."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()
