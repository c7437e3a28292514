"""Coverage-guided fuzzing of both decoders, Python's by atheris and the firmware's by libFuzzer, and what it found.

    python tests/firmware_bridge/fuzz_run.py --seconds 600 --results docs/results/fuzz.json

Needs clang and python3.11: atheris 3.0.0 has wheels for that one, and is put into an environment of its own. Exit code
0 only if neither found anything.
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware_bridge" / "firmware"


def fuzz_python(seconds: int, work: Path) -> dict[str, Any]:
    python = work / "venv" / "bin" / "python"
    subprocess.run(["python3.11", "-m", "venv", work / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "atheris==3.0.0", "numpy"], check=True, capture_output=True)
    command = [python, Path(__file__).with_name("fuzz_decoder.py"), f"-max_total_time={seconds}"]
    return {"fuzzer": "atheris 3.0.0", **_fuzz(command, work)}


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
        "command": f"python tests/firmware_bridge/fuzz_run.py --seconds {arguments.seconds}",
        "date": datetime.date.today().isoformat(),
    }
    with tempfile.TemporaryDirectory() as work:
        result["python"] = fuzz_python(arguments.seconds, Path(work))
        result["firmware"] = fuzz_firmware(arguments.seconds, Path(work))
    arguments.results.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 1 if result["python"]["found"] or result["firmware"]["found"] else 0


if __name__ == "__main__":
    sys.exit(main())
