"""The published schema of the JSON lines, held against the result that each command prints with --json."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lines_schema import ROOT, TYPES, Lines, expect_described, printed, put, sensor

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.gateway.systemd_host import Host, ProgramOutput
from drsn_edge.recordings.recording import Recording

COMMAND = [sys.executable, "-m", "drsn_edge.cli.main"]


def save(path: Path, recording: Recording) -> None:
    values: dict[str, Any] = {
        "x": recording.samples.T,
        "sample_rate_hz": recording.sample_rate_hz,
        "axes": np.array(recording.axes),
    }
    np.savez(path, **values, unit=recording.unit, label=str(recording.label), group=recording.group)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def of_the_recordings(folder: Path, bundle: Path, lines: Lines) -> None:
    """Judge recordings, choose alarms by them, and learn a site."""
    from drsn_edge.simulation.simulator import simulate_dataset

    (folder / "recordings").mkdir()
    for each in simulate_dataset(("healthy", "imbalance"), n_machines=3, duration_s=4.0, seed=5):
        save(folder / "recordings" / f"{each.name}.npz", each)
    judged = (folder / "recordings", "--model", bundle, "--json")
    (folder / "monitor.toml").write_text('[alarms]\nnormal = ["healthy"]\nwindows = 2\non_delay_s = 0.1\n')
    (folder / "unknown").mkdir()
    (folder / "unknown" / "notes.npz").write_bytes(b"no archive")
    (folder / "unknown" / "pump1_worn.csv").write_text("x_g,y_g\n" + "0.5,0.25\n0.125,1\n" * 600)
    put(lines, printed("look", folder / "unknown", "--json"))
    kept = ("--out", folder / "classified.jsonl")
    put(lines, printed("classify", *judged, *kept, "--settings", folder / "monitor.toml"))
    put(lines, [json.loads(line) for line in (folder / "classified.jsonl").read_text().splitlines()])
    put(lines, printed("tune-alarms", *judged, "--false-alarms", 100_000))
    model = folder / "pump.drsn"
    model.write_bytes(bundle.read_bytes())
    command = [*COMMAND, "simulate", "--condition", "healthy", "--duration", "32"]
    command += ["--seed", "1", "--link", str(folder / "site"), "--speed", "0"]
    played = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until((folder / "site").exists)
    printed("record", "--port", folder / "site", "--out", folder / "site-logs", "--json")
    played.wait(60)
    put(lines, printed("learn", "--replay", folder / "site-logs", "--model", model, "--json"))
    put(lines, printed("learn", "--replay", folder / "site-logs", "--out", folder / "own.drsn", "--json"))
    own = ("--model", folder / "own.drsn", "--out", folder / "own.jsonl")
    put(lines, printed("classify", folder / "recordings", *own, "--json"))
    put(lines, [json.loads(line) for line in (folder / "own.jsonl").read_text().splitlines()])
    put(lines, printed("learn", "--show", "--model", model, "--json"))
    put(lines, printed("learn", "--remove", "--model", model, "--json"))
    put(lines, printed("learn", "--show", "--model", model, "--json"))


def of_the_gateway(folder: Path, golden: Bundle, without_network: Bundle, lines: Lines) -> None:
    """Make keys and bundles, and flash them."""
    key, public = folder / "works.key", folder / "works.key.pub"
    put(lines, printed("keys", "new", "--name", "works", "--key", key, "--json"), "key-new")
    put(lines, printed("keys", "trust", public, "--json"), "key-trust")
    put(lines, printed("keys", "show", "--trusted", "--json"))
    one, two = folder / "pump-1.0.0.drsn", folder / "pump-1.1.0.drsn"
    for path in (one, two):
        manifest = replace(golden.manifest, name="pump", version=path.stem.removeprefix("pump-"))
        write_bundle(replace(golden, manifest=manifest), path)
        put(lines, printed("bundle", "show", path, "--json"))
        put(lines, printed("bundle", "sign", path, "--key", key, "--json"))
    put(lines, printed("bundle", "show", two, "--json"))
    put(lines, printed("bundle", "verify", two, "--gate", "--json"))
    put(lines, printed("bundle", "diff", one, two, "--json", status=1))
    put(lines, printed("bundle", "reissue", one, "--as", "1.2.0", "--key", key, "--out", folder / "new.drsn", "--json"))
    put(lines, printed("flash", one, "--to", "local", "--dry-run", "--json"))
    put(lines, printed("flash", one, "--to", "local", "--json"))
    put(lines, printed("gateway", "confirm", "--json"))
    put(lines, printed("flash", two, "--to", "local", "--json"))
    put(lines, printed("gateway", "status", "--json"))
    put(lines, printed("gateway", "slots", "--json"))
    put(lines, printed("gateway", "rollback", "--why", "calls everything worn", "--json"))
    put(lines, printed("gateway", "status", "--json"))
    fleet = folder / "fleet.toml"
    fleet.write_text("".join(f'[[gateway]]\nname = "{n}"\naddress = "file:{folder / n}"\n' for n in "ab"))
    printed("keys", "trust", public, "--state", folder / "a", "--json")
    put(lines, printed("flash", one, "--fleet", fleet, "--max-failures", 2, "--json", status=1))
    put(lines, printed("bench", one, "--json"))
    healthy = folder / "healthy.drsn"
    write_bundle(without_network, healthy)
    put(lines, printed("bundle", "show", healthy, "--json"))
    put(lines, printed("bundle", "sign", healthy, "--key", key, "--json"))
    put(lines, printed("bundle", "verify", healthy, "--gate", "--json"))
    put(lines, printed("bench", healthy, "--json"))
    put(lines, printed("keys", "untrust", "works", "--json"))


def of_the_sensors(folder: Path, patch: pytest.MonkeyPatch, lines: Lines) -> None:
    """Ask sensors, and flash a board with a stand-in for its tool."""
    with sensor(folder / "sensor"):
        put(lines, printed("ports", "--hello", "--port", folder / "sensor", "--json"))
        put(
            lines, printed("sensor", "--port", folder / "sensor", "--set-rate", 4000, "--self-test", "--json", status=1)
        )
    (folder / "bin").mkdir()
    (folder / "bin" / "avrdude").write_text("#!/bin/sh\nexit 0\n")
    (folder / "bin" / "avrdude").chmod(0o755)
    patch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    (folder / "uno.elf").write_bytes(b"an image")
    flash = ["firmware", "flash", "--board", "uno", "--image", str(folder / "uno.elf"), "--json"]
    put(lines, printed(*flash, "--port", "/dev/ttyACM0", "--dry-run"))
    with sensor(folder / "board"):  # a process of its own, whose output the tool can write to
        command = [*COMMAND, *flash, "--port", str(folder / "board")]
        put(lines, [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)])


def of_a_running_monitor(folder: Path, bundle: Path, lines: Lines) -> None:
    """Acknowledge and accept while a monitor runs, and read its history."""
    played = [
        *COMMAND,
        "simulate",
        "--condition",
        "healthy",
        "--duration",
        "20",
        "--loop",
        "--link",
        str(folder / "run"),
    ]
    watch = [*COMMAND, "monitor", "--port", str(folder / "run"), "--model", str(bundle), "--machine", "fan", "--json"]
    watch += ["--settings", str(folder / "monitor.toml"), "--history", str(folder / "h.sqlite"), "--severity"]
    sensor_process = subprocess.Popen(played, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until((folder / "run").exists)
    monitor = subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert monitor.stdout is not None
    seen = {"type": ""}
    while seen["type"] != "alarm":
        seen = json.loads(monitor.stdout.readline())
    put(lines, printed("ack", "--machine", "fan", "--json"))
    put(lines, printed("accept-mounting", "--machine", "fan", "--json"))
    while seen["type"] != "severity":
        seen = json.loads(monitor.stdout.readline())
    for process in (monitor, sensor_process):
        process.terminate()
        process.communicate(timeout=60)
    with closing(sqlite3.connect(folder / "h.sqlite")) as file, file:
        now_s = time.time()
        file.execute("INSERT INTO clock_jumps VALUES (1, ?, ?, ?)", (now_s, now_s - 5, now_s))
    put(lines, printed("history", folder / "h.sqlite", "--json"))


def of_the_host(folder: Path, patch: pytest.MonkeyPatch, lines: Lines) -> None:
    """Install, list and remove a service on a machine in a folder, and look at this one."""
    for name in ("etc/systemd/system", "etc/sysusers.d", "run/systemd/system"):
        (folder / "root" / name).mkdir(parents=True)
    states = "Id=drsn-edge-pump3.service\nActiveState=active\nUnitFileState=enabled"
    host = Host(folder / "root", lambda command: ProgramOutput(0, states), lambda name: True)
    patch.setattr("drsn_edge.cli.service._host", lambda: host)
    monitor = ("--", "--port", "/dev/ttyUSB0", "--model", "pump.drsn")
    put(lines, printed("service", "install", "--name", "pump3", "--json", *monitor))
    put(lines, printed("service", "list", "--json"))
    put(lines, printed("service", "remove", "pump3", "--json"))
    patch.setattr("drsn_edge.gateway.systemd_host.Host", lambda: host)
    patch.setattr("drsn_edge.gateway.watching.SYSTEM_STATE", folder / "state")
    with sensor(folder / "healthy", 32.0):
        put(lines, printed("learn", "--port", folder / "healthy", "--service", "pump4", "--json"))
    put(lines, printed("doctor", "--json", status=None))


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def lines(
    tmp_path_factory: pytest.TempPathFactory,
    patch: pytest.MonkeyPatch,
    trained_bundle: Path,
    golden_bundle: Bundle,
    healthy_bundle_of_noise: Bundle,
) -> Lines:
    pytest.importorskip("scipy", reason="simulating a machine needs the extra `train`")
    folder, found = tmp_path_factory.mktemp("results"), Lines()
    patch.setenv("DRSN_EDGE_STATE", str(folder / "state"))
    patch.setenv("DRSN_EDGE_TRUST", str(folder / "trusted"))
    of_the_recordings(folder, trained_bundle, found)
    of_the_gateway(folder, golden_bundle, healthy_bundle_of_noise, found)
    of_a_running_monitor(folder, trained_bundle, found)
    of_the_host(folder, patch, found)
    of_the_sensors(folder, patch, found)

    return found


# --- tests -----------------------------------------------------------------------------------------------------------

ELSEWHERE = {
    "record": "test_reference_lines.py",
    "simulate": "test_reference_lines.py",
    "demo": "tests/integration/test_demo.py",
    "edgetpu": "below",
}
"""Results that are held against the schema in another test."""

RESULTS = [name for name, of in TYPES.items() if of["x-page"] == "commands" and name not in ELSEWHERE]


@pytest.mark.parametrize("name", RESULTS)
def test_real_results_are_as_the_schema_says(name: str, lines: Lines) -> None:
    expect_described(name, lines.get(name, []))


def test_a_variant_for_the_edge_tpu_is_as_the_schema_says(tmp_path: Path, edgetpu_bundle: Bundle) -> None:
    write_bundle(edgetpu_bundle, tmp_path / "pump.drsn")
    found = printed("bundle", "edgetpu", tmp_path / "pump.drsn", "--out", tmp_path / "other.drsn", "--json")
    expect_described("edgetpu", found)


def test_every_result_that_a_command_prints_has_a_definition(lines: Lines) -> None:
    assert set(lines) == set(RESULTS)
    known = {of["properties"]["type"]["const"] for of in TYPES.values()}
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "drsn_edge" / "cli").glob("*.py")]
    kinds = {kind for text in sources for kind in re.findall(r'(?:print_json|_print_answer)\("([^"]+)"', text)}
    assert len(kinds) > 25 and kinds <= known
