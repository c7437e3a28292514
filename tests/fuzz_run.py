"""Coverage-guided fuzzing of what strangers' bytes reach, and what it found: atheris for Python, libFuzzer for C.

    python tests/fuzz_run.py --seconds 600 --results docs/results/fuzz.json

Both decoders of the wire, the bundle reader, and the agent; each may use `MEMORY_MB` at most and 5 seconds for an
input. Needs clang and python3.11: atheris 3.0.0 has wheels for that one, and is put into an environment of its own.
Exit code 0 only if none found anything.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIRMWARE = ROOT / "firmware_bridge" / "firmware"


MEMORY_MB = 512
SCRIPTS = {
    "python": "tests/runs/fuzz_decoder.py",
    "bundle": "tests/bundle/fuzz_bundle.py",
    "agent": "tests/runs/fuzz_agent.py",
}


def make_environment(work: Path) -> Path:
    """Return the Python of an environment with atheris and what is fuzzed."""
    python = work / "venv" / "bin" / "python"
    subprocess.run(["python3.11", "-m", "venv", work / "venv"], check=True)
    packages = ["atheris==3.0.0", "numpy", "cryptography", "pyserial"]
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, capture_output=True)
    return python


def fuzz_python(script: str, seconds: int, python: Path, work: Path) -> dict[str, Any]:
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MB}", "-timeout=5"]
    return {"fuzzer": "atheris 3.0.0", **_fuzz([python, ROOT / script, *limits], work)}


def fuzz_firmware(seconds: int, work: Path) -> dict[str, Any]:
    version = subprocess.run(["clang", "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    command = ["make", "-s", "-C", FIRMWARE, f"BUILD={work / 'build'}", f"SECONDS={seconds}", "fuzz"]
    return {"fuzzer": f"libFuzzer of {version}", **_fuzz(command, work)}


def _fuzz(command: list[Any], work: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=work)
    runs = re.search(r"Done (\d+) runs", done.stderr)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    if done.returncode or not (runs and covered):
        return {"runs": 0, "found": done.stderr[-3000:]}
    edges, features, corpus = map(int, covered[-1])
    return {"runs": int(runs.group(1)), "edges": edges, "features": features, "corpus": corpus, "found": None}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "command": f"python tests/fuzz_run.py --seconds {arguments.seconds}",
        "date": datetime.date.today().isoformat(),
    }
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        work = Path(name)
        python = make_environment(work)
        firmware = pool.submit(fuzz_firmware, arguments.seconds, work)
        running = {
            what: pool.submit(fuzz_python, script, arguments.seconds, python, work) for what, script in SCRIPTS.items()
        }
        result |= {what: future.result() for what, future in {**running, "firmware": firmware}.items()}
    arguments.results.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return int(any(result[what]["found"] for what in (*SCRIPTS, "firmware")))


if __name__ == "__main__":
    sys.exit(main())
