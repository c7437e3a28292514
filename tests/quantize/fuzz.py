"""Mutated .tflite files through the reader and the engine: nothing but the package's own errors, in bounded time.

    python tests/quantize/fuzz.py --count 10000 one.tflite other.drsn

Prints JSON; exit code 1 if anything else was raised or a mutation took longer than --limit-s. Memory is bounded by the
operating system to --memory-mb beyond what the process starts with, so that a MemoryError is found too.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quantize.engine import Engine
from quantize.errors import QuantizeError
from quantize.targets.lint import lint
from quantize.tflite.file import read_model
from quantize.tflite.memory import peak_activation_bytes

EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000, 0x7FC00000, 0x00000001)
"""Words that mean a lot as a number, an offset, or a float: infinity and NaN among them."""

KINDS = ("bits", "truncation", "extreme word", "swapped words", "spliced block", "cut", "insertion", "nudged word")


@dataclass
class Outcome:
    """What mutations led to.

    Attributes:
        by_error: Mutations by the class of the error that refused them, or "ran".
        by_kind: Mutations of each kind.
        slowest_s: Longest time that one took.
        unexpected: What was raised that is none of quantize's errors, with the number of the mutation.
    """

    by_error: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    unexpected: list[str] = field(default_factory=list)


def fuzz(files: list[bytes], count: int, seed: int) -> Outcome:
    """Mutate files in turn and put each through the reader and the engine."""
    outcome = Outcome()
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")  # each mutation can be had again by itself
        kind, data = mutated(files[number % len(files)], rng)
        outcome.by_kind[kind] += 1
        started = time.perf_counter()
        try:
            outcome.by_error[used(data)] += 1
        except Exception as exc:
            outcome.unexpected.append(f"{number} ({kind}): {exc!r}")
        outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - started)
    return outcome


def used(data: bytes) -> str:
    """Read, lint, prepare and run a file; return "ran" or the name of quantize's error."""
    try:
        read_model(data)
        lint(data)
        peak_activation_bytes(data)
        engine = Engine(data)
        engine.run(np.zeros((2, *engine.file.tensors[engine.input].shape[1:]), np.int8))
    except QuantizeError as exc:
        return type(exc).__name__
    return "ran"


def mutated(original: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return a kind of damage and the damaged bytes; most of it hits the tables, not the weights."""
    kind, data = rng.choice(KINDS), bytearray(original)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        _damage(kind, data, rng)
    if rng.random() < 0.9:
        data[4:8] = b"TFL3"  # else all of it ends at the identifier
    return kind, bytes(data)


def _damage(kind: str, data: bytearray, rng: random.Random) -> None:
    place = _place(data, rng)
    word = min(place & ~3, max(0, len(data) - 4))
    if kind == "bits":
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "truncation":
        del data[max(8, place) :]
    elif kind == "extreme word":
        struct.pack_into("<I", data, word, rng.choice((*EXTREMES, len(data), rng.randrange(len(data)))))
    elif kind == "nudged word":
        (value,) = struct.unpack_from("<I", data, word)
        struct.pack_into("<I", data, word, (value + rng.choice((-8, -4, -1, 1, 4, 8, 64))) % 2**32)
    elif kind == "swapped words":
        other = min(_place(data, rng) & ~3, max(0, len(data) - 4))
        data[word : word + 4], data[other : other + 4] = data[other : other + 4], data[word : word + 4]
    elif kind == "spliced block":
        other, size = _place(data, rng), rng.choice((4, 16, 64, 512))
        block = data[other : other + size]
        data[place : place + len(block)] = block
    elif kind == "cut":
        del data[place : place + rng.randrange(1, 64)]
    else:
        data[place:place] = rng.randbytes(rng.randrange(1, 64))
    data.extend(bytes(max(0, 64 - len(data))))


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a byte, by preference in the tables at the front and in the last part of the file."""
    lows = (0, 0, max(0, len(data) - 20_000))
    highs = (len(data), min(len(data), 400), len(data))
    which = rng.choice((0, 1, 2, 2))
    return rng.randrange(lows[which], highs[which])


def _models(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        if path.suffix == ".tflite":
            yield path.read_bytes()
        else:
            from drsn_edge.bundle.bundle import read_bundle

            yield read_bundle(path).network


def main() -> int:
    """Fuzz the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help=".tflite files or bundles")
    parser.add_argument("--count", type=int, default=10_000, help="mutations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=10.0, help="that one mutation may take")
    parser.add_argument("--memory-mb", type=int, default=1024)
    arguments = parser.parse_args()
    files = list(_models(arguments.files))
    fuzz(files, 20, -1)  # what NumPy loads at its first use counts as the start
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size_kb = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() // 1024
    limit = (size_kb + 1024 * arguments.memory_mb) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started = time.perf_counter()
    outcome = fuzz(files, arguments.count, arguments.seed)
    report = {
        "mutations": arguments.count,
        "outcomes": dict(outcome.by_error),
        "kinds": dict(outcome.by_kind),
        "unexpected": outcome.unexpected,
        "slowest_s": round(outcome.slowest_s, 3),
        "total_s": round(time.perf_counter() - started, 1),
        "memory_grew_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024, 1),
    }
    print(json.dumps(report))
    return 1 if outcome.unexpected or outcome.slowest_s > arguments.limit_s else 0


if __name__ == "__main__":
    sys.exit(main())
