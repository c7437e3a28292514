"""One process of tests/runs/fuzz_readers.py: damaged files of one format, one after the other, within bounds.

Whatever the file is, its reader and what completes its recordings return finite numbers or raise RecordingError, in
`SECONDS`, taking `GROWTH_MB` of memory at most. A line of JSON on stdout says each breach; the file `state` has the
number of the input at hand, for whoever finds this process dead.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import mmap
import os
import random
import resource
import sys
import time
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_readers import ADDRESS_MB, GROWTH_MB, MOST_FOUND, REQUEST_MB, SECONDS
from reader_mutations import inside, mutant
from reader_seeds import Seed, seeds_of

from drsn_edge.cli.main import shown
from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import Catalogue, Entry
from drsn_edge.recordings.loading.complete import Source, complete
from drsn_edge.recordings.raw import RawRecording, Request
from drsn_edge.recordings.readers.registry import FORMATS

MOST_SAMPLES = 1 << 22
"""Samples that are asked for; more, from a file of some kilobytes, are themselves a breach."""
MOST_LINES = 3


class BreachError(Exception):
    """A reader did what it must not."""


class Fuzzer:
    """Damaged files of one format.

    Attributes:
        outcomes: Number of inputs by what came of them.
        examined: The files of the input at hand.
        n_breaches: Number of breaches so far.
    """

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._name, self._seed, self._folder = name, seed, folder
        self._seeds = seeds_of(name)
        self.outcomes: Counter[str] = Counter()
        self.examined: dict[str, bytes] = {}
        self.n_breaches = 0

    def input(self, number: int) -> tuple[Seed, dict[str, bytes]]:
        """Return a seed, and its files of which one is damaged; the first inputs are the seeds themselves."""
        rng = random.Random(f"{self._name} {self._seed} {number}")
        if number < len(self._seeds):
            return self._seeds[number], dict(self._seeds[number].files)
        seed = rng.choice(self._seeds)
        damaged = rng.choice((seed.name, *seed.files))
        kind = Path(damaged).suffix
        others = [files[name] for files in (s.files for s in self._seeds) for name in files if name.endswith(kind)]
        content = inside(seed.files[damaged], kind, others, rng) if rng.random() < 0.5 else None
        if content is None:
            content = mutant(seed.files[damaged], others, rng)
        return seed, {**seed.files, damaged: content}

    def try_one(self, number: int) -> None:
        """Read one input. Raises BreachError, or whatever the reader raises."""
        seed, files = self.input(number)
        self.examined = files
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        try:
            outcome = read_all(self._folder / seed.name, seed)
        finally:
            for name in files:
                (self._folder / name).unlink()
        if number < len(self._seeds) and outcome != "read":
            raise BreachError(f"the undamaged file {seed.name} is {outcome}")
        self.outcomes[outcome] += 1


def read_all(path: Path, seed: Seed) -> str:
    """Read a file, complete its recordings, and ask for their samples twice.

    Returns:
        "read", or the problem of the RecordingError.

    Raises:
        BreachError: If what is returned or said is wrong.
    """
    try:
        for raw in FORMATS[seed.format].read(path, Request(dict(seed.values), REQUEST_MB << 20)):
            _check_samples(raw, path)
    except RecordingError as exc:
        _check_message(exc)
        return exc.problem
    return "read"


def _check_samples(raw: RawRecording, path: Path) -> None:
    recording = complete(raw, Source(path, path.stem, ((_catalogue(raw), path.name),), path.parent / "catalogue.toml"))
    if not all(isinstance(remark, str) and remark for remark in raw.remarks):
        raise BreachError(f"remarks {raw.remarks!r}")
    if not (np.isfinite(recording.sample_rate_hz) and recording.sample_rate_hz > 0 and recording.axes):
        raise BreachError(f"a rate of {recording.sample_rate_hz} Hz, axes {recording.axes}")
    lengths = [_length(recording.pieces(size), len(recording.axes), size) for size in (4096, 1 << 16)]
    if len({*lengths, raw.samples.n_samples or lengths[0]}) > 1:
        raise BreachError(f"{lengths} samples, {raw.samples.n_samples} stated")


def _length(pieces: Any, n_axes: int, most: int) -> int:
    length = 0
    for piece in pieces:
        if piece.shape[1:] != (n_axes,) or not 0 < len(piece) <= most or piece.dtype != np.float32:
            raise BreachError(f"a piece of the shape {piece.shape} and the type {piece.dtype}")
        if not np.isfinite(piece).all():
            raise BreachError("a piece that is not finite")
        length += len(piece)
        if length > MOST_SAMPLES:
            raise BreachError(f"more than {MOST_SAMPLES} samples from a small file")
    return length


def _catalogue(raw: RawRecording) -> Catalogue:
    """Return a catalogue that states what the file does not state."""
    n_channels = raw.samples.n_channels
    values: dict[str, Any] = {"sample_rate_hz": 100.0, "unit": "g", "full_scale": 2.0}
    if n_channels <= 4096:
        values["axes"] = tuple(f"c{number}" for number in range(n_channels))
    missing = {key: value for key, value in values.items() if key not in raw.stated}
    return Catalogue("fuzz.toml", (Entry("fuzz.toml", missing),))


def _check_message(exc: RecordingError) -> None:
    text = shown(str(exc))
    lines = text.splitlines()
    if not exc.problem:
        raise BreachError(f"no name of the problem: {text[:200]}")
    if "MemoryError" in text or "nable to allocate" in text or "memory allocation failed" in text:
        raise BreachError(f"as much memory was asked for as the file claims: {text[:300]}") from exc
    if len(lines) > MOST_LINES:
        raise BreachError(f"{len(lines)} lines: {lines[:5]}")
    if not all(line.isprintable() for line in lines):
        raise BreachError(f"a message that does strange things to a terminal: {text[:300]!r}")


def _memory_kb(field: str) -> int:
    with open("/proc/self/status", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field.encode() + b":"))


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "wb") as file:
        file.write(b"5")


def _bounded_memory() -> None:
    limit = (_memory_kb("VmSize") << 10) + (ADDRESS_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(fuzzer: Fuzzer, numbers: range, seconds: float, state: mmap.mmap) -> None:
    """Try inputs until the time is up, and print what is wrong."""
    until, tried = time.monotonic() + seconds, 0
    for number in numbers:
        if time.monotonic() > until or fuzzer.n_breaches >= MOST_FOUND:
            break
        state[:8] = number.to_bytes(8, "little")
        _forget_peak()
        before = _memory_kb("VmRSS")
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            fuzzer.try_one(number)
        except BaseException as exc:
            _print_breach(fuzzer, number, exc)
        faulthandler.cancel_dump_traceback_later()
        tried += 1
        grown = (_memory_kb("VmHWM") - before) >> 10
        if grown > GROWTH_MB:
            _print_breach(fuzzer, number, BreachError(f"{grown} MB of memory"))
    print(json.dumps({"inputs": tried, "outcomes": fuzzer.outcomes}), flush=True)


def _print_breach(fuzzer: Fuzzer, number: int, exc: BaseException) -> None:
    fuzzer.n_breaches += 1
    deepest = exc
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    frames = traceback.extract_tb(deepest.__traceback__)[-4:]
    where = "; ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    found = {"number": number, "error": f"{type(exc).__name__}: {exc}"[:600], "at": where}
    print(json.dumps({"found": {**found, "files": packed(fuzzer.examined)}}), flush=True)


def packed(files: dict[str, bytes]) -> dict[str, str]:
    """Return files as text for JSON."""
    return {name: base64.b64encode(zlib.compress(content)).decode() for name, content in files.items()}


def main() -> None:
    """Read format, seed, first number, how many, seconds, folder and the file `state` from the command line."""
    name, seed, first, count, seconds, folder, state = sys.argv[1:]
    warnings.simplefilter("ignore")
    faulthandler.enable()
    fuzzer = Fuzzer(name, int(seed), Path(folder))
    handle = os.open(state, os.O_RDWR)
    with mmap.mmap(handle, 8) as shared:
        fuzzer.try_one(0)  # imports what the format needs
        fuzzer.outcomes.clear()
        _bounded_memory()
        run(fuzzer, range(int(first), int(first) + int(count)), float(seconds), shared)


if __name__ == "__main__":
    main()
