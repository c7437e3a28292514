"""Damaged files for every reader of recordings, and what they found: a crash, a hang, memory, or a foreign exception.

    python tests/runs/fuzz_readers.py --seconds 600 --results docs/results/fuzz_readers.json

Each format has a process of its own with bounds on time and memory, see `tests/runs/reader_worker.py`. The same seed
gives the same inputs. Formats that stand in the results with as many seconds are left out, so that a run that was
stopped is continued. Exit code 0 only if nothing was found.

    python tests/runs/fuzz_readers.py --format hdf5 --number 1234     # one input again, with its traceback
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drsn_edge.recordings.readers.registry import FORMATS

ROOT = Path(__file__).parents[2]

SECONDS = 5.0
"""For one input."""
REQUEST_MB = 64
"""Memory that a reader is told to take at most."""
GROWTH_MB = 320
"""Resident memory that one input may take; the libraries need some of their own."""
ADDRESS_MB = 2048
"""Address space beyond that of the imports."""
MOST_FOUND = 20
"""A format is left after so many findings."""
_MEMORY = Path("/dev/shm")


def fuzz(name: str, seed: int, seconds: float, first: int = 0, count: int = 1 << 40) -> dict[str, Any]:
    """Try inputs of one format until the time is up; a process that died or hung is started again behind its input."""
    found: list[dict[str, Any]] = []
    outcomes: Counter[str] = Counter()
    inputs, next_one, until = 0, first, time.monotonic() + seconds
    while next_one < first + count and len(found) < MOST_FOUND:
        done, last = _process(name, seed, next_one, first + count - next_one, max(until - time.monotonic(), 0.0))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found += [line["found"] for line in lines if "found" in line]
        ended = next((line for line in lines if "inputs" in line), None)
        inputs += last - next_one + 1 if ended is None else ended["inputs"]
        if ended is not None:
            outcomes.update(ended["outcomes"])
            break
        found.append({"number": last, "error": _end_in_words(done), "at": done.stderr[-1500:]})
        if last < next_one:  # it did not even begin
            break
        next_one = last + 1
    return {"seconds": seconds, "inputs": inputs, "outcomes": dict(sorted(outcomes.items())), "found": found or None}


def _process(
    name: str, seed: int, first: int, count: int, seconds: float
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run a process, and return how it ended and the input that it had at hand."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as folder, tempfile.NamedTemporaryFile(dir=where) as state:
        state.write((max(first - 1, 0) if first else (1 << 64) - 1).to_bytes(8, "little"))
        state.flush()
        worker = [sys.executable, str(ROOT / "tests" / "runs" / "reader_worker.py")]
        command = [*worker, name, str(seed), str(first), str(count), str(seconds), folder, state.name]
        paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'fixtures'}"}
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, env={**os.environ, **paths}
        )
        last = int.from_bytes(Path(state.name).read_bytes(), "little")
    return done, -1 if last == (1 << 64) - 1 else last


def _end_in_words(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"the process was ended by signal {-done.returncode}"
    return f"longer than {SECONDS:g} s" if "Timeout" in done.stderr else f"the process ended with {done.returncode}"


def main() -> int:
    """Read the options, and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for each format")
    parser.add_argument("--format", action="append", choices=FORMATS, help="all, if not given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="formats at once")
    parser.add_argument("--number", type=int, help="only this input")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    formats = arguments.format or list(FORMATS)
    if arguments.number is not None:
        again = fuzz(formats[0], arguments.seed, 1e9, arguments.number, 1)
        print(json.dumps(again, indent=1))
        return int(again["found"] is not None)
    results = _begun(arguments)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        left = [name for name in formats if name not in results["formats"]]
        runs = {name: pool.submit(fuzz, name, arguments.seed, arguments.seconds) for name in left}
        for name, run in runs.items():
            results["formats"][name] = run.result()
            print(name, json.dumps(results["formats"][name]), flush=True)
            if arguments.results:
                arguments.results.write_text(json.dumps(results, indent=1) + "\n")
    return int(any(results["formats"][name]["found"] for name in formats))


def _begun(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return results without any format, or those of an earlier call with the same options."""
    bounds = {"seconds": SECONDS, "told_mb": REQUEST_MB, "resident_mb": GROWTH_MB, "address_space_mb": ADDRESS_MB}
    new: dict[str, Any] = {
        "command": f"python tests/runs/fuzz_readers.py --seconds {arguments.seconds:g} --seed {arguments.seed}",
        "date": datetime.date.today().isoformat(),
        "bounds_of_each_input": bounds,
        "formats": {},
    }
    if arguments.results and arguments.results.exists():
        old: dict[str, Any] = json.loads(arguments.results.read_text())
        if all(old.get(key) == new[key] for key in ("command", "bounds_of_each_input")):
            return old
    return new


if __name__ == "__main__":
    sys.exit(main())
