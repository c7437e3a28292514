"""Measure the time from the last byte of a block on the wire to the block in the program, and the cost of a sensor.

    python benchmarks/stream_latency.py [--seconds 20] [--sensors 1] [--json]

Each sensor is a process that writes the stream of an IIS3DWB to a pseudo-terminal: 26,667 samples per second of three
axes in blocks of 64, at the pace of a 2 Mbaud line (200 bytes per ms). It records when it wrote the last byte of each
block. `SerialSource` reads in this process; its blocks are matched with these times, which come from the same clock. A
sensor that must wait for its reader reports it.

The exit code is 0 only if no sample was lost and, with one sensor, the 99th percentile is at most 5 ms.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

import numpy as np
from decode import BLOCK, RATE_HZ, SECONDS, stream
from machine import machine

from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import DELIMITER

BYTES_PER_S = 200_000
PACE_S = 0.001
P99_BAR_MS = 5.0


def play(port: Connection, seconds: float) -> None:
    """Play a sensor: report the port, wait for a reader, write, and report the time of each block by its number."""
    master, slave = os.openpty()
    import tty

    tty.setraw(slave)
    port.send(os.ttyname(slave))
    frames = [frame + DELIMITER for frame in stream(SECONDS).split(DELIMITER) if frame]
    hello, blocks = frames[0], frames[1:]
    while DELIMITER not in os.read(master, 100):
        pass
    os.write(master, DELIMITER + hello)
    n_blocks = min(len(blocks), int(seconds * RATE_HZ / BLOCK))
    began, line_free, out = time.monotonic(), 0.0, []
    for number, frame in enumerate(blocks[:n_blocks]):
        at = began + (number + 1) * BLOCK / RATE_HZ  # a block is sent once its last sample is there
        line_free = max(line_free, at)
        for start in range(0, len(frame), round(BYTES_PER_S * PACE_S)):
            piece = frame[start : start + round(BYTES_PER_S * PACE_S)]
            line_free += len(piece) / BYTES_PER_S
            if (wait_s := line_free - time.monotonic()) > 0:
                time.sleep(wait_s)
            os.write(master, piece)
        out.append(time.monotonic())
    port.send((out, out[-1] - line_free))
    port.recv()


def read(path: str, n_blocks: int, found: list[Any]) -> None:
    seen: dict[int, float] = {}
    source = SerialSource(path, stop=lambda: len(seen) >= n_blocks or time.monotonic() > deadline)
    deadline = time.monotonic() + 60 + SECONDS
    began = time.thread_time()
    for event in source:
        if isinstance(event, SampleBlock):
            seen[event.first_sample // BLOCK] = time.monotonic()
    found.append((seen, source.counters, time.thread_time() - began))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--sensors", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    n_blocks = int(min(arguments.seconds, SECONDS) * RATE_HZ / BLOCK)
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for _ in range(arguments.sensors):
        here, there = context.Pipe()
        processes.append(context.Process(target=play, args=(there, arguments.seconds), daemon=True))
        processes[-1].start()
        ends.append(here)
    found: list[list[Any]] = [[] for _ in ends]
    paths = [end.recv() for end in ends]
    threads = [Thread(target=read, args=(path, n_blocks, out)) for path, out in zip(paths, found, strict=True)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - began
    latencies, lost, behind = [], 0, []
    for end, ((seen, counters, _),) in zip(ends, found, strict=True):
        out, late_s = end.recv()
        end.send("done")
        lost += counters.samples_lost + BLOCK * (n_blocks - len(seen))
        latencies += [1e3 * (seen[number] - out[number]) for number in seen]
        behind.append(late_s)
    p50, p99, worst = np.percentile(latencies, [50, 99, 100])
    report = {
        "machine": machine(),
        "sensors": arguments.sensors,
        "blocks": len(latencies),
        "samples_lost": lost,
        "latency_ms_median": round(p50, 2),
        "latency_ms_p99": round(p99, 2),
        "latency_ms_worst": round(worst, 2),
        "core_share_of_a_sensor": round(sum(cpu for ((_, _, cpu),) in found) / len(found) / taken, 4),
        "sender_late_s": round(max(behind), 4),
        "bars": {"latency_ms_p99": P99_BAR_MS},
    }
    print(json.dumps(report) if arguments.json else "\n".join(f"{name:28}{value}" for name, value in report.items()))
    return 0 if lost == 0 and (arguments.sensors > 1 or p99 <= P99_BAR_MS) else 1


if __name__ == "__main__":
    sys.exit(main())
