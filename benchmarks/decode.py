"""Measure the decoding of wire bytes to arrays of samples on one core, relative to the data rate of a sensor.

    python benchmarks/decode.py [--json]

The stream is that of an IIS3DWB: 26,667 samples per second of three axes in int16 blocks of 64. It arrives as from a
serial port (4096 bytes at a time, and the bytes of 20 ms), from one sensor and from eight at once. Figures are medians
over rounds of the processor time of this thread.

The exit code is 0 only if every figure reaches its requirement.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from machine import machine

from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, SamplesPayload, encode_hello, encode_samples
from firmware_bridge.wire.stream import StreamDecoder

RATE_HZ, AXES, BLOCK, SENSORS = 26_667, 3, 64, 8
SECONDS = 5.0
BARS = {"wire_mb_per_s": 20.0, "core_share_of_one_sensor": 0.02}
AXIS_NAMES = ("x", "y", "z", "rx", "ry", "rz")
HELLO = Hello(1, "bench", "1", "IIS3DWB", ("x", "y", "z"), "g", 0.000488, 16.0, float(RATE_HZ))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wire = stream(SECONDS)
    per_20_ms = round(len(wire) / SECONDS / 50)
    sizes = {"4096 bytes": 4096, "20 ms": per_20_ms}
    rounds: dict[str, list[float]] = {name: [] for name in (*sizes, f"{SENSORS} sensors")}
    for _ in range(arguments.rounds):
        for name, size in sizes.items():
            rounds[name].append(taken_s([wire], size))
        rounds[f"{SENSORS} sensors"].append(taken_s([wire] * SENSORS, per_20_ms))
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    report: dict[str, Any] = {
        "machine": machine(),
        "wire_bytes_per_s": round(len(wire) / SECONDS),
        "wire_mb_per_s": round(len(wire) / medians["4096 bytes"] / 1e6, 1),
        "core_share_of_one_sensor": round(medians["20 ms"] / SECONDS, 4),
        f"core_share_of_{SENSORS}_sensors": round(medians[f"{SENSORS} sensors"] / SECONDS, 4),
        "bars": BARS,
    }
    print(json.dumps(report) if arguments.json else "\n".join(f"{name:28}{value}" for name, value in report.items()))
    fast = report["wire_mb_per_s"] >= BARS["wire_mb_per_s"]
    return 0 if fast and report["core_share_of_one_sensor"] <= BARS["core_share_of_one_sensor"] else 1


def stream(seconds: float) -> bytes:
    """Return the wire of an IIS3DWB."""
    return b"".join(frames(seconds))


def frames(seconds: float, rate_hz: float = RATE_HZ, axes: int = AXES) -> list[bytes]:
    """Return the frames of a sensor with their delimiters, HELLO first."""
    writer, random = FrameWriter(), np.random.default_rng(0)
    hello = replace(HELLO, axes=AXIS_NAMES[:axes], sample_rate_hz=float(rate_hz), signs=())
    found = [writer.encode(MessageType.HELLO, encode_hello(hello))]
    for first in range(0, round(seconds * rate_hz), BLOCK):
        # Vibration of some hundred counts: its high bytes are 0 or 255, as in most recordings.
        tone = 400 * np.sin(0.3 * np.arange(first, first + BLOCK))[:, None]  # noise alone would not be judged
        counts = (random.normal(0, 100, (BLOCK, axes)) + tone).astype(np.int16)
        message = SamplesPayload(1, first, round(first / rate_hz * 1e6), counts)
        found.append(writer.encode(MessageType.SAMPLES, encode_samples(message)))
    return found


def taken_s(wires: list[bytes], size: int) -> float:
    """Return the processor time in s to decode the streams, one piece of each in turn; all samples are counted."""
    decoders: list[Any] = [StreamDecoder() for _ in wires]
    samples = 0
    began = time.thread_time()
    for at in range(0, len(wires[0]), size):
        for decoder, wire in zip(decoders, wires, strict=True):
            samples += sum(len(e.samples) for e in decoder.feed(wire[at : at + size]) if isinstance(e, SampleBlock))
    taken = time.thread_time() - began
    expected = -(-round(SECONDS * RATE_HZ) // BLOCK) * BLOCK * len(wires)
    if samples != expected or any(decoder.counters.samples_lost for decoder in decoders):
        raise SystemExit(f"The decoder returned {samples} samples instead of {expected}.")
    return taken


if __name__ == "__main__":
    sys.exit(main())
