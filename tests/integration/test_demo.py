"""The demo as a user starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lines_schema import expect_described

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.integration
def test_the_demo_recognises_each_condition(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "drsn_edge.cli.main", "demo", "--out", "demo", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    expect_described("demo", [result])
    assert [phase["label"] for phase in result["phases"]] == ["healthy", "outer_race", "imbalance"]
    assert all(phase["delay_s"] < phase["end_s"] - phase["start_s"] for phase in result["phases"])
    assert result["samples_lost"] == 0
    assert (tmp_path / "demo" / "demo.png").read_bytes().startswith(PNG)
    assert (tmp_path / "demo" / "demo.drsn").is_file()
