"""Fuzzing of what reads strangers' bytes, shorter than in `make proof`, whose results are in docs/results."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from drsn_edge.recordings.readers.registry import FORMATS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FUZZ = ROOT / "tests" / "fuzz_run.py"
FUZZ_READERS = ROOT / "tests" / "runs" / "fuzz_readers.py"


def test_fuzzing_finds_nothing(need: Callable[..., None], tmp_path: Path) -> None:
    need("python3.11", "clang", "make")
    command = [sys.executable, str(FUZZ), "--seconds", "60", "--results", str(tmp_path / "fuzz.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "fuzz.json").read_text())
    assert (
        min(found[what]["runs"] for what in ("python", "bundle", "agent")) > 1000 and found["firmware"]["runs"] > 10_000
    )


def test_damaged_recordings_are_read_or_refused(tmp_path: Path) -> None:
    for package in ("scipy", "h5py", "nptdms", "pyuff", "pyarrow", "cbor2"):
        pytest.importorskip(package)
    seconds = 2 * 30 / len(FORMATS)  # two formats at once
    command = [sys.executable, str(FUZZ_READERS), "--seconds", f"{seconds:g}", "--results", str(tmp_path / "fuzz.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "fuzz.json").read_text())["formats"]
    assert found.keys() == FORMATS.keys()
    assert all(each["inputs"] > 20 and each["outcomes"]["read"] for each in found.values()), found
