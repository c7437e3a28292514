"""The main job on real recordings: train on CWRU loads 0-2, convert, stream load 3 over a pty, monitor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.bundle.bundle import read_bundle
from quantize.targets.lint import INT8_OPERATORS, lint

pytestmark = pytest.mark.integration

STREAM = Path(__file__).parents[2] / "benchmarks" / "stream_accuracy.py"
EVERY_THIRD_RECORDING = 3
SPEED = 20


def drsn_edge(*arguments: str | Path) -> Any:
    command = [sys.executable, "-m", "drsn_edge.cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def converted(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the bundle of a network that never saw load 3, and what its conversion reported."""
    folder = tmp_path_factory.mktemp("cwru")
    options = ("--hold-out", "load_hp=3", "--inputs", "waveform", "--out", folder / "run")
    drsn_edge("train", "--data", shared_data / "cwru", *options)
    return folder / "cwru.drsn", drsn_edge("convert", folder / "run", "--out", folder / "cwru.drsn")


def test_int8_loses_nothing_worth_naming(converted: tuple[Path, dict[str, Any]]) -> None:
    _, report = converted
    assert report["float_accuracy"] - report["int8_accuracy"] <= 0.005
    assert report["windows"] > 1000


def test_the_file_is_int8_throughout(converted: tuple[Path, dict[str, Any]]) -> None:
    report = lint(read_bundle(converted[0]).network)
    assert report.findings == ()
    assert set(report.operators) <= INT8_OPERATORS


@pytest.mark.parametrize(("noise", "at_least"), [((), 0.97), (("--snr-db", "0"), 0.90)], ids=["clean", "0 dB"])
def test_streamed_recordings_are_recognised_and_accounted_for(
    converted: tuple[Path, dict[str, Any]], shared_data: Path, noise: tuple[str, ...], at_least: float
) -> None:
    command = [sys.executable, STREAM, "--data", shared_data / "cwru", "--model", converted[0], "--only", "load_hp=3"]
    options = ["--every", EVERY_THIRD_RECORDING, "--speed", SPEED, "--at-least", at_least, *noise, "--json"]
    done = subprocess.run([str(part) for part in (*command, *options)], capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert report["recordings"] == 4
    assert report["samples_sent"] == report["samples_received"] > 400_000
    assert report["samples_lost"] == 0
