"""`drsn-edge simulate`: what it plays, where, and what it does to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("serial")

from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.wire.events import LinkLost, LinkRestored, SampleBlock

Run = Callable[..., Any]


def simulate(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "drsn_edge.cli.main", "simulate", *map(str, arguments), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline().rpartition("waiting for a reader at ")[2].strip()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).normal(size=(3, 16_000)).astype(np.float32)
    np.savez(tmp_path / "noise.npz", x=samples, fs=4000.0, unit="g", axes=np.array(["x", "y", "z"]))
    return tmp_path / "noise.npz"


def test_faults_are_accounted_for_at_both_ends(recording: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    faults = ("flip 1e-4", "drop-frame 0.02", "repeat-frame 0.02", "overrun 33 at 1", "garbage at 2 for 0.2")
    options = [option for fault in faults for option in ("--fault", fault)]
    process = simulate("--recording", recording, "--listen", "127.0.0.1:0", "--speed", "4", *options, "--truth", truth)
    source = SerialSource(address_of(process))
    events = list(source)
    summary = json.loads(process.communicate(timeout=30)[0])
    *lines, totals = map(json.loads, truth.read_text().splitlines())
    counters = source.counters
    assert totals["type"] == "totals" and summary["faults"] == {k: v for k, v in totals.items() if k != "type"}
    assert {line["kind"] for line in lines if line["type"] == "fault"} == {fault.split()[0] for fault in faults}
    assert counters.samples_lost == totals["samples_lost"] > 33
    assert counters.samples_received == 16_000 - totals["samples_lost"]
    assert (counters.duplicates, counters.overruns) == (totals["blocks_repeated"], 1)
    assert sum(event.overrun for event in events if isinstance(event, SampleBlock)) <= 1


def test_a_port_that_is_unplugged_comes_back(recording: Path, tmp_path: Path) -> None:
    process = simulate("--recording", recording, "--link", tmp_path / "sensor", "--fault", "unplug at 1 for 1")
    source = SerialSource(address_of(process), reopen_after_s=0.1)
    events = list(source)
    assert [type(event) for event in events if isinstance(event, LinkLost | LinkRestored)] == [LinkLost, LinkRestored]
    summary = json.loads(process.communicate(timeout=30)[0])
    assert source.counters.samples_lost == summary["faults"]["samples_lost"] >= 0.9 * 4000


def test_a_simulated_machine_is_played(tmp_path: Path) -> None:
    process = simulate("--condition", "outer_race", "--duration", "2", "--link", tmp_path / "sensor", "--speed", "0")
    source = SerialSource(address_of(process))
    samples = np.concatenate([event.samples for event in source if isinstance(event, SampleBlock)])
    assert source.hello is not None and source.hello.axes == ("x", "y", "z")
    assert samples.shape == (6400, 3) and samples.std() > 0
    assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--recording", "a.npz", "--link", "x", "--fault", "flop 1"], 1, "flop"),
        (["--recording", "a.npz", "--link", "x", "--listen", ":0"], 2, "--link or --listen"),
        (["--recording", "a.npz"], 2, "--link or --listen"),
        (["--link", "x"], 2, "--recording or --condition"),
        (["--recording", "a.npz", "--condition", "ball", "--link", "x"], 2, "--recording or --condition"),
        (["--recording", "a.npz", "--listen", "nowhere"], 2, "HOST:PORT"),
        (["--recording", "a.npz", "--link", "x", "--faults", "script"], 1, "1"),
        (["--recording", "a.npz", "--link", "x", "--faults", "absent"], 1, "absent"),
        (["--recording", "a.npz", "--link", "x", "--faults", "a.npz"], 1, "UTF-8"),
        (["--recording", "a.npz", "--link", "x", "--faults", "."], 1, "Could not read faults from ."),
        (["--recording", "a.npz", "--link", "x", "--truth", "no/t"], 1, "Could not write no/t"),
        (["--recording", "a.npz", "--link", "x", "--truth", "script"], 1, "script"),
    ],
)
def test_what_cannot_be(
    run: Run, recording: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(recording.parent)
    recording.rename("a.npz")
    Path("script").write_text("flip 7\n")
    done = run("simulate", *arguments)
    assert done.code == code and says in done.err and "Traceback" not in done.err
    assert not Path("x").is_symlink() and Path("script").read_text() == "flip 7\n"
