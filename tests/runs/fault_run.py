"""Blocks through the fault injector into the decoder, in memory, and what both say of it.

    python tests/runs/fault_run.py --blocks 1000000 --results docs/results/faults.json

Goes on where an earlier call stopped: chunks of blocks with seeds of their own, a line each in RESULTS' `.chunks` file.
Exit code 0 only if every chunk agrees.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from naive_parser import NaiveParser
from numpy.typing import NDArray

from firmware_bridge.virtual.fault_script import parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import (
    DeviceState,
    Hello,
    MessageType,
    SamplesPayload,
    StatusPayload,
    encode_hello,
    encode_samples,
    encode_status,
)
from firmware_bridge.wire.stream import StreamDecoder

RATE_HZ = 3200.0
BLOCK = 8
CHUNK_BLOCKS = 10_000
HELLO = Hello(7, "proof", "1", "fake", ("x", "y", "z"), "g", 1 / 256, 16.0, RATE_HZ)

SCRIPT = """
flip 2e-4
drop-byte 1e-4
repeat-byte 1e-4
drop-frame 0.005
repeat-frame 0.005
garbage at 3 for 0.5
garbage at 11 for 0.1
stall at 5 for 1
overrun 80 at 7
overrun 3 at 9
clip 0.5 at 12 for 1
swap 0 at 13 for 1
stuck 2 at 14 for 1
rate 0.01 at 16
clock-step 0.25 at 17
clock-drift 1e-4 at 18
""".splitlines()


def counts_of(first: int) -> NDArray[np.int16]:
    index = np.arange(first, first + BLOCK)[:, None] * np.array([1, 7, 31])
    return ((index * 2654435761 >> 7) % 8192 - 4096).astype(np.int16)


def run(blocks: int, seed: int) -> dict[str, Any]:
    """Return how often each thing happened, and every way in which the accounts differ, which should be none."""
    injector, writer = FaultInjector(parse_script(SCRIPT), seed), FrameWriter()
    decoder, naive, random = StreamDecoder(), NaiveParser(), np.random.default_rng(seed)
    produced: dict[int, np.ndarray] = {}
    delivered: list[SampleBlock] = []
    position, time_s, overrun, overruns = 0, 0.0, False, 0

    def hear(data: bytes) -> None:
        naive.feed(data)
        while data:
            size = int(random.integers(1, 400))
            events = decoder.feed(data[:size])
            delivered.extend(event for event in events if isinstance(event, SampleBlock))
            data = data[size:]

    def say(kind: MessageType, payload: bytes, n: int = 0, *, spared: bool = False) -> None:
        hear(injector.link.frame(writer.encode(kind, payload), time_s, n, spared=spared))

    say(MessageType.HELLO, encode_hello(HELLO), spared=True)
    for number in range(blocks):
        gone = injector.sensor.thrown_away(time_s)
        position, time_s, overrun = position + gone, time_s + gone / RATE_HZ, overrun or gone > 0
        counts = injector.sensor.counts(counts_of(position), time_s)
        produced[position] = counts
        stamp_us = round(1e6 * injector.sensor.device_time_s(time_s))
        message = SamplesPayload(HELLO.session, position, stamp_us, counts, overrun=overrun)
        overruns, overrun = overruns + overrun, False
        say(MessageType.SAMPLES, encode_samples(message), BLOCK)
        position += BLOCK
        time_s += BLOCK / (RATE_HZ * injector.sensor.rate_factor(time_s))
        if number % 400 == 399:
            status = StatusPayload(HELLO.session, position, stamp_us, DeviceState.STREAMING, overruns)
            say(MessageType.STATUS, encode_status(status))
    ended = StatusPayload(HELLO.session, position, round(1e6 * time_s), DeviceState.ENDED, overruns)
    hear(b"\0")  # whatever was open when the noise ended
    say(MessageType.STATUS, encode_status(ended), spared=True)
    return compare(injector, decoder, naive, produced, delivered)


def compare(
    injector: FaultInjector,
    decoder: StreamDecoder,
    naive: NaiveParser,
    produced: dict[int, NDArray[np.int16]],
    delivered: list[SampleBlock],
) -> dict[str, Any]:
    totals, counters, heard = injector.totals, decoder.counters, naive.heard
    pairs = {
        "samples_lost": (totals.samples_lost, counters.samples_lost),
        "blocks_repeated": (totals.blocks_repeated, counters.duplicates),
        "samples_repeated": (totals.samples_repeated, counters.samples_duplicate),
        "overruns": (totals.overruns, counters.overruns),
        "samples_received": (totals.samples_produced - totals.samples_lost, counters.samples_received),
        "crc_errors": (heard.bad, counters.crc_errors),
        "frames_ok": (len(heard.frames), counters.frames_ok),
        "resyncs": (heard.resyncs, counters.resyncs),
        "malformed": (0, counters.malformed),
    }
    nothing = np.empty(0, np.int16)
    altered = sum(not np.array_equal(block.samples, produced.get(block.first_sample, nothing)) for block in delivered)
    gaps = [block.lost_before for block in delivered]
    return {
        "differences": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        "altered_blocks": int(altered),
        "blocks": len(produced),
        "gaps": sum(gap > 0 for gap in gaps),
        **{name: int(pair[0]) for name, pair in pairs.items()},
        "frames_sent": totals.frames_sent,
        "bytes": counters.bytes_received,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    chunks = arguments.results.with_suffix(".chunks")
    done = [json.loads(line) for line in chunks.read_text().splitlines()] if chunks.exists() else []
    for seed in range(len(done), -(-arguments.blocks // CHUNK_BLOCKS)):
        began = time.monotonic()
        done.append({"seed": seed, **run(CHUNK_BLOCKS, seed), "seconds": round(time.monotonic() - began, 1)})
        with chunks.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    sums: Counter[str] = Counter()
    for chunk in done:
        sums.update({name: value for name, value in chunk.items() if isinstance(value, int) and name != "seed"})
    wrong = [chunk["seed"] for chunk in done if chunk["differences"] or chunk["altered_blocks"]]
    command = "python tests/runs/fault_run.py --blocks 1000000 --results docs/results/faults.json"
    result = {"command": command, "script": SCRIPT[1:], "seeds": [0, len(done) - 1], "disagreeing_seeds": wrong, **sums}
    arguments.results.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
