"""Measure the time from the last byte of a block on the wire to the block in the program, and the cost of a sensor.

    python benchmarks/stream_latency.py [--seconds 20] [--sensors 1] [--json]

Another process writes the stream of an IIS3DWB to a pseudo-terminal for each sensor: 26,667 samples per second of three
axes in blocks of 64, at the pace of a 2 Mbaud line (200 bytes per ms). It records when it wrote the last byte of each
block. `SerialSource` reads in this process; its blocks are matched with these times, which come from the same clock.
`sender_held_s` is the longest time for which bytes waited for their reader.

The exit code is 0 only if no sample was lost and, with one sensor, the 99th percentile is at most 5 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from threading import Thread
from typing import Any

import numpy as np
from decode import BLOCK
from machine import machine
from wire_players import PIECE_S, playing, wire_of

from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.wire.events import SampleBlock

P99_BAR_MS = 5.0


def read(path: str, n_blocks: int, seconds: float, found: list[Any]) -> None:
    seen: dict[int, float] = {}
    source = SerialSource(path, stop=lambda: len(seen) >= n_blocks or time.monotonic() > deadline)
    deadline = time.monotonic() + 60 + seconds
    began = time.thread_time()
    for event in source:
        if isinstance(event, SampleBlock):
            seen[event.first_sample // BLOCK] = time.monotonic()
    found.append((seen, source.counters, time.thread_time() - began))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sensors", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wire = wire_of(arguments.seconds)
    n_blocks = max(wire.block_of) + 1
    found: list[list[Any]] = [[] for _ in range(arguments.sensors)]
    with playing(wire, arguments.sensors, PIECE_S if arguments.sensors > 1 else 0.0) as players:
        given = zip(players.ports, found, strict=True)
        threads = [Thread(target=read, args=(path, n_blocks, arguments.seconds, out)) for path, out in given]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = time.monotonic() - began
        played = players.stop()
    latencies, lost = [], 0
    for each, ((seen, counters, _),) in zip(played, found, strict=True):
        lost += counters.samples_lost + BLOCK * (n_blocks - len(seen))
        latencies += [1e3 * (seen[number] - each.out_s[number]) for number in seen]
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
        "sender_held_s": round(max(each.held_s for each in played), 4),
        "bars": {"latency_ms_p99": P99_BAR_MS},
    }
    print(json.dumps(report) if arguments.json else "\n".join(f"{name:28}{value}" for name, value in report.items()))
    return 0 if lost == 0 and (arguments.sensors > 1 or p99 <= P99_BAR_MS) else 1


if __name__ == "__main__":
    sys.exit(main())
