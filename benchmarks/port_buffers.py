"""Measure how much a port holds while nobody reads it, and how late a reading thread wakes beside many others.

    python benchmarks/port_buffers.py --results docs/results/port_buffers.json

`holds`: bytes that a sender gets rid of before it must wait, through a pseudo-terminal and through TCP on this machine,
in sends of 411 bytes (a block of an IIS3DWB) or in one send of a megabyte. There is no serial port here to measure: the
line discipline of Linux holds 4096 bytes (drivers/tty/n_tty.c, N_TTY_BUF_SIZE).

`gathers_ms`: time in which bytes accumulate before a read of the monitor with its usual slices of 200 ms.

`wakes_per_s`: how often the thread that reads a sensor of 26.7 kHz and 3 axes and the thread that takes its slices wait
and wake, as Linux counts voluntary context switches: with reads each 10 ms and every event at once, and with slices.

`wakes_late_ms`: how late threads wake that sleep until a multiple of 10 ms, in one process with 16 judges that work
together every 200 ms: all at once or one after the other, and by the interpreter's switch interval. A judge computes
with Python and NumPy for 4 ms, which is 2 % of a core. `no judges` shows what the machine adds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
import time
import tty
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from wire_players import playing, wire_of

from firmware_bridge.sources.link import Gathering, LineRate
from firmware_bridge.sources.names import LATENCY_S
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.sources.threaded import Threaded

SEND = bytes(range(256)) + bytes(155)
SENSORS, JUDGE_S, READ_S = 16, 0.004, 0.010
RATES_BYTES_PER_S = {"6.7 kHz x 3": 43_000, "26.7 kHz x 3": 171_000}


def taken(send: Callable[[bytes], int]) -> int:
    """Return the bytes that a sender gets rid of within half a second."""
    total, until_s = 0, time.monotonic() + 0.5
    while time.monotonic() < until_s:
        try:
            total += send(SEND)
        except BlockingIOError:
            time.sleep(0.005)
    return total


def terminal_holds() -> dict[str, int]:
    found = {}
    for name, data in (("small_sends", SEND), ("one_send", bytes(1_000_000))):
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        found[name] = os.write(master, data) if data is not SEND else taken(lambda data: os.write(master, data))  # noqa: B023
        os.close(master)
        os.close(slave)
    return found


def socket_holds() -> dict[str, int]:
    """Return the bytes in the receiver, and with those that wait in the sender."""
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(socket.create_connection(server.getsockname())) as sender,
    ):
        receiver, _ = server.accept()
        with closing(receiver):
            sender.setblocking(False)
            total = taken(sender.send)
            received = len(receiver.recv(1 << 24, socket.MSG_PEEK))
    return {"receiver": received, "with_sender": total}


def gathers_ms() -> dict[str, float]:
    """Return the time between two reads by port and rate."""
    gathering = Gathering.for_slices(LATENCY_S)
    found = {}
    for name, port, baud_rate, bytes_per_s in (
        ("serial, 115200 baud", "/dev/ttyUSB0", 115_200, 0),
        ("serial, 921600 baud", "/dev/ttyUSB0", 921_600, 0),
        ("serial, 2000000 baud", "/dev/ttyUSB0", 2_000_000, 0),
        ("native USB, 400 kB/s", "/dev/ttyACM0", 921_600, 400_000),
        *((f"socket, {name}", "socket://h:1", 921_600, rate) for name, rate in RATES_BYTES_PER_S.items()),
    ):
        rate = LineRate(port, baud_rate)
        rate.saw(bytes_per_s, 1.0)
        found[name] = round(1e3 * gathering.pause_s(0.0, rate.safe_s), 2)
    return found


def switches(thread: int) -> int:
    """Return the voluntary context switches of a thread of this process."""
    status = Path(f"/proc/self/task/{thread}/status").read_text()
    return int(status.split("voluntary_ctxt_switches:")[1].split()[0])


def wakes_per_s(gathering: Gathering, latency_s: float, seconds: float) -> dict[str, float]:
    """Return how often the two threads of a sensor wake; nothing may be lost."""
    began = 0.0
    with playing(wire_of(seconds)) as players:
        until_s = time.monotonic() + seconds
        source = Threaded(
            lambda stop, on_bytes: SerialSource(players.ports[0], stop=stop, on_bytes=on_bytes, gathering=gathering),
            lambda: time.monotonic() > until_s,
        )
        for _ in source.slices(latency_s):
            if not source.counters.samples_received or time.monotonic() > until_s - 0.5:
                continue  # the reader is not there yet, or soon no more
            reader = next(each.native_id or 0 for each in threading.enumerate() if each.name == "reader")
            last, at_s = (switches(reader), switches(threading.get_native_id())), time.monotonic()
            if not began:
                began, first = at_s, last
    assert source.counters.samples_lost == 0
    taken_s = at_s - began
    return {name: round((b - a) / taken_s, 1) for name, a, b in zip(("reader", "judge"), first, last, strict=True)}


def judge(over: threading.Event, turn: AbstractContextManager[Any]) -> None:
    samples = np.random.default_rng(0).normal(size=(3, 1024))
    while not over.is_set():
        time.sleep(LATENCY_S - time.monotonic() % LATENCY_S)
        with turn:
            began = time.thread_time()
            while time.thread_time() - began < JUDGE_S:
                for _ in range(20):
                    np.abs(np.fft.rfft(samples)).sum()
                sum(range(2000))


def read(over: threading.Event, late_s: list[float]) -> None:
    while not over.is_set():
        now_s = time.monotonic()
        due_s = now_s + READ_S - now_s % READ_S
        time.sleep(due_s - now_s)
        late_s.append(time.monotonic() - due_s)


def wakes_late_ms(
    seconds: float, judges: int, turn: AbstractContextManager[Any], switch_s: float = 0.005
) -> dict[str, float]:
    """Return quantiles of how late the readers wake, in ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(switch_s)
    over, late_s = threading.Event(), [[] for _ in range(SENSORS)]  # type: ignore[var-annotated]
    threads = [threading.Thread(target=judge, args=(over, turn)) for _ in range(judges)]
    threads += [threading.Thread(target=read, args=(over, out)) for out in late_s]
    began = time.process_time()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    share = (time.process_time() - began) / seconds
    sys.setswitchinterval(before)
    p50, p99, worst = 1e3 * np.percentile(np.concatenate(late_s), [50, 99, 100])
    return {
        "median": round(p50, 2), "p99": round(p99, 2), "worst": round(worst, 2), "core_share": round(share, 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    report: dict[str, Any] = {
        "command": "benchmarks/port_buffers.py",
        "machine": machine(),
        "kernel": os.uname().release.partition("-")[0],
        "holds": {"serial": 4096, "pseudo_terminal": terminal_holds(), "socket": socket_holds()},
        "gathers_ms": gathers_ms(),
        "wakes_per_s": {
            "10 ms, each event at once": wakes_per_s(Gathering(0.010), 0.0, given.seconds),
            **{
                f"slices of {1e3 * each:g} ms": wakes_per_s(Gathering.for_slices(each), each, given.seconds)
                for each in (0.02, 0.2, 1.0)
            },
        },
        "wakes_late_ms": {
            name: wakes_late_ms(given.seconds, *how)  # type: ignore[arg-type]
            for name, how in {
                "no judges": (0, nullcontext()),
                "at once": (SENSORS, nullcontext()),
                "at once, switch interval 1 ms": (SENSORS, nullcontext(), 0.001),
                "in turn": (SENSORS, threading.Lock()),
                "in turn, switch interval 1 ms": (SENSORS, threading.Lock(), 0.001),
            }.items()
        },
    }
    text = json.dumps(report, indent=1)
    print(text)
    if given.results is not None:
        given.results.write_text(text + "\n")


if __name__ == "__main__":
    main()
