"""`drsn-edge learn --out`: a healthy machine alone teaches a bundle that knows it, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from fake_system import FakeSystem
from refusals import expect, failure_of

from drsn_edge.errors import BundleError, LearningError, OutputError, SettingsError

pytest.importorskip("scipy", reason="simulating a machine needs the extra `train`")

from drsn_edge.bundle.bundle import Bundle, read_bundle, with_extra, write_bundle
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.cli.learning import MEMBER
from drsn_edge.gateway.own_bundle import own_bundle
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import Playback, simulated_recording, virtual_sensor

Run = Callable[..., Any]


@cache
def machine(condition: str, seed: int, duration_s: float = 40.0, rpm: float = 1480.0) -> Recording:
    return simulated_recording(condition, rpm, duration_s, seed)


@pytest.fixture
def on_sensor(tmp_path: Path, run: Run) -> Callable[..., Any]:
    """Return what runs a command with a virtual sensor that plays a recording to its end."""

    def with_sensor(recording: Recording, *command: Any) -> Any:
        sensor = virtual_sensor(recording, Playback(speed=None), link=tmp_path / "sensor")
        thread = Thread(target=sensor.run, daemon=True)  # it waits for ever for a command that fails before it reads
        thread.start()
        done = run(*command, "--port", tmp_path / "sensor")
        thread.join(30.0 if done.code == 0 else 0.5)
        (tmp_path / "sensor").unlink(missing_ok=True)
        return done

    return with_sensor


def verdicts(done: Any) -> dict[str, int]:
    assert done.code == 0, done.err
    found: dict[str, int] = json.loads(done.out.splitlines()[-1])["verdicts"]
    return found


def test_the_machine_is_healthy_and_anything_else_unknown(on_sensor: Any, tmp_path: Path) -> None:
    pump = tmp_path / "pump.drsn"
    done = on_sensor(machine("healthy", 1), "learn", "--out", pump, "--json")
    assert done.code == 0, done.err
    values = json.loads(done.out)
    assert (values["name"], values["version"], values["label"]) == ("pump", "1.0.0", "healthy")
    assert (values["windows"], values["left_out"], values["bundles"]) == (249, {}, [str(pump)])
    assert values["ended"] == "stopped" and 39 < values["heard_s"] < 40 and values["unknown_share"] <= 0.02
    assert values["not_seen"] == ["a whole day", "a start", "another speed or load"]
    (point,) = values["operating_points"]
    assert point["share"] == 1.0 and 0.03 < point["level_rms"] < 0.06
    assert "cannot be known" in done.err
    again = verdicts(on_sensor(machine("healthy", 2), "monitor", "--model", pump, "--json"))
    assert again["UNKNOWN"] < 0.05 * 249 and again["CLASS"] + again["UNKNOWN"] == 249
    for condition in ("imbalance", "outer_race"):
        faulty = verdicts(on_sensor(machine(condition, 2, 5.0), "monitor", "--model", pump, "--json"))
        assert faulty["UNKNOWN"] == sum(faulty.values()) > 20


def test_the_contract_is_that_of_the_sensor(on_sensor: Any, tmp_path: Path) -> None:
    pump = tmp_path / "oil pump.drsn"
    in_mps2 = machine("healthy", 1)
    with_gravity = 9.80665 * (in_mps2.samples + np.array([0, 0, 1]))
    in_mps2 = replace(in_mps2, samples=with_gravity.astype(np.float32), unit="m/s2")
    done = on_sensor(in_mps2, "learn", "--out", pump, "--label", "good", "--model-version", "2.1.0")
    assert done.code == 0, done.err
    bundle = read_bundle(pump)
    manifest, novelty = bundle.manifest, novelty_of(bundle)
    assert (manifest.name, manifest.version, manifest.labels) == ("oil-pump", "2.1.0", ("good",))
    contract = manifest.contract
    assert (contract.sample_rate_hz, contract.axes, contract.unit) == (3200.0, ("x", "y", "z"), "m/s2")
    assert (contract.window, contract.hop) == (1024, 512)
    assert novelty is not None and novelty.gravity == pytest.approx(9.81, abs=0.1)
    assert manifest.unknown_share is not None and manifest.unknown_share <= 0.02


# --- this gateway's own ----------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the state folder of an empty gateway; return its bundle of its own."""
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "state"))
    return own_bundle(tmp_path / "state")


def test_a_gateway_without_a_bundle_learns_watches_and_forgets(on_sensor: Any, run: Run, gateway: Path) -> None:
    before = run("monitor", "--port", "none")
    assert before.code == 1 and "none_active" in repr(getattr(before.why, "problem", None))
    made = on_sensor(machine("healthy", 1), "learn", "--install", "--json")
    assert made.code == 0, made.err
    learned = json.loads(made.out)
    assert learned["bundles"] == [str(gateway)] and learned["name"] == "learned"
    watched = on_sensor(machine("healthy", 2), "monitor", "--json")
    assert verdicts(watched)["CLASS"] > 200 and "this site's own runs: learned 1.0.0" in watched.err
    shown = json.loads(run("learn", "--show", "--install", "--json").out)
    assert shown.items() <= learned.items() and shown["windows"] == 249
    assert run("learn", "--show", "--install").out.startswith("learned  249 windows, ")
    expect(failure_of("learn", "--install", "--port", "none"), OutputError, "exists", path=gateway)
    assert run("learn", "--remove", "--install").out == "removed\n" and not gateway.exists()
    assert run("learn", "--show", "--install").out == "nothing learned\n"


def test_a_bundle_that_does_not_say_how_it_was_learned_is_said(gateway: Path, healthy_bundle_of_noise: Bundle) -> None:
    gateway.parent.mkdir()
    for damaged in (None, b"[]", b'{"windows": "many", "made_s": 1}', b"{"):
        bundle = healthy_bundle_of_noise
        write_bundle(bundle if damaged is None else with_extra(bundle, MEMBER, damaged), gateway)
        expect(failure_of("learn", "--show", "--install"), LearningError, "unreadable", path=gateway)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.fixture
def refusal(on_sensor: Any, tmp_path: Path) -> Callable[[Recording], BaseException]:
    """Return why a recording is not learned; nothing is left behind."""

    def learn(recording: Recording) -> BaseException:
        done = on_sensor(recording, "learn", "--out", tmp_path / "pump.drsn")
        assert (done.code, done.out) == (1, "") and not (tmp_path / "pump.drsn").exists()
        assert done.why is not None and not list(tmp_path.glob(".pump*"))
        return done.why

    return learn


def test_ten_seconds_are_too_few(refusal: Any) -> None:
    expect(refusal(machine("healthy", 1, 10.0)), LearningError, "too_short", limit=30.0)


def test_a_machine_that_stands_still_is_not_learned(refusal: Any) -> None:
    still = machine("healthy", 1)
    noise = np.random.default_rng(1).normal(scale=0.002, size=still.samples.shape)
    expect(refusal(replace(still, samples=noise.astype(np.float32))), LearningError, "noise_alone")


def test_a_machine_that_clips_is_not_learned(refusal: Any) -> None:
    loud = machine("healthy", 1)
    clipped = np.clip(loud.samples, -0.04, 0.04)
    why = refusal(replace(loud, samples=clipped))
    expect(why, LearningError, "mostly_left_out", reason="clipped")


def test_a_sensor_that_is_moved_meanwhile_is_not_learned(refusal: Any) -> None:
    steady = machine("healthy", 1)
    moved = steady.samples.copy()
    moved[: len(moved) // 4] += (0, 0, 1)
    moved[len(moved) // 4 :] += (0, 1, 0)
    why = refusal(replace(steady, samples=moved))
    expect(why, LearningError, "mostly_left_out", reason="offset jumped")


def test_a_file_that_exists_is_refused_before_anything_is_learned(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pump.drsn").write_bytes(b"old")
    why = failure_of("learn", "--port", tmp_path / "none", "--out", tmp_path / "pump.drsn")
    expect(why, OutputError, "exists", path=tmp_path / "pump.drsn")


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    """Return a limits file with the bearing of the simulated machine alone."""
    path = tmp_path / "limits.toml"
    path.write_text("[bearing]\nn_balls = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\n")
    return path


def test_a_bearing_without_the_speed_of_the_shaft_is_refused(tmp_path: Path, limits: Path) -> None:
    why = failure_of("learn", "--port", "none", "--out", tmp_path / "pump.drsn", "--limits", limits)
    expect(why, SettingsError, "no_speed", path=limits)
    why = failure_of("learn", "--port", "none", "--out", tmp_path / "pump.drsn", "--rpm", 1480)
    expect(why, SettingsError, "no_bearing", rpm=1480.0)


@pytest.mark.parametrize("rpm", [5, 1e9])
def test_a_speed_at_which_nothing_can_be_named_is_refused(
    on_sensor: Any, tmp_path: Path, limits: Path, rpm: float
) -> None:
    done = on_sensor(machine("healthy", 1), "learn", "--out", tmp_path / "p.drsn", "--limits", limits, "--rpm", rpm)
    assert done.code == 1 and not (tmp_path / "p.drsn").exists()
    expect(done.why, LearningError, "no_name", got=rpm / 60)


def test_with_a_bearing_and_the_speed_a_change_gets_a_name(on_sensor: Any, tmp_path: Path, limits: Path) -> None:
    pump = tmp_path / "pump.drsn"
    of_bearing = ("--limits", limits, "--rpm", 1480)
    done = on_sensor(machine("healthy", 1), "learn", "--out", pump, *of_bearing)
    assert done.code == 0 and "like outer_race, like inner_race" in done.out, done
    manifest = read_bundle(pump).manifest
    assert manifest.names_changes and manifest.labels[:2] == ("healthy", "like outer_race")

    watched = ("monitor", "--model", pump, "--json")
    healthy = on_sensor(machine("healthy", 2, 10.0), *watched, "--rpm", 1480)
    assert healthy.code == 0 and all(line["resembles"] is None for line in decisions(healthy))
    faulty = on_sensor(machine("outer_race", 2, 8.0), *watched, "--rpm", 1480)
    first, named, *_ = decisions(faulty)
    assert (first["verdict"], first["resembles"], named["label"]) == ("UNKNOWN", "not located", "like outer_race")
    assert named["resembles"] == "like outer_race" and named["differences"] and named["novelty"] > 1
    assert 1.5 < named["device_time_s"] < 4.0
    labels = json.loads(faulty.out.splitlines()[-1])["labels"]
    assert labels["like outer_race"] > 20 and sum(labels.values()) == labels["like outer_race"]

    nameless = on_sensor(machine("outer_race", 2, 5.0), *watched)
    assert "--rpm" in nameless.err and set(verdicts(nameless)) >= {"UNKNOWN"} and not verdicts(nameless)["CLASS"]
    assert all(line["resembles"] is None for line in decisions(nameless))


def decisions(done: Any) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.out.splitlines()]
    return [line for line in lines if line["type"] == "decision"]


def test_a_full_disk_leaves_nothing_behind(on_sensor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    done = on_sensor(machine("healthy", 1), "learn", "--out", tmp_path / "pump.drsn")
    assert (done.code, done.out) == (1, "") and not list(tmp_path.glob("*pump*"))
    expect(done.why, OutputError, "cannot_write", path=tmp_path / "pump.drsn")


WITHOUT_A_RUNTIME = """
import sys

class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("ai_edge_litert", "tflite_runtime", "tensorflow", "keras", "scipy", "sklearn"):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
from drsn_edge.cli.main import cli
cli.main(sys.argv[1:], prog_name="drsn-edge")
"""


def test_it_needs_numpy_alone(tmp_path: Path) -> None:
    """As on an armv7l, for which there is no LiteRT."""
    sensor = virtual_sensor(machine("healthy", 1), Playback(speed=None), link=tmp_path / "sensor")
    thread = Thread(target=sensor.run)
    thread.start()
    command = ["learn", "--port", str(tmp_path / "sensor"), "--out", str(tmp_path / "pump.drsn")]
    done = subprocess.run([sys.executable, "-c", WITHOUT_A_RUNTIME, *command], capture_output=True, text=True)
    thread.join()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("learned   249 windows") and (tmp_path / "pump.drsn").exists()


def test_an_invalid_name_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    why = failure_of("learn", "--port", tmp_path / "none", "--out", tmp_path / "pump.drsn", "--name", "a b")
    expect(why, BundleError, "invalid_field", field="name")


def test_a_port_without_a_sensor_says_so(run: Run, tmp_path: Path, playing: Any) -> None:
    with playing(n=64) as (port, _):
        why = failure_of("learn", "--port", port, "--out", tmp_path / "pump.drsn")
    expect(why, LearningError, "too_short")


# --- a service that watches from then on -----------------------------------------------------------------------------


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    """Return a machine with systemd on which services look for the bundle where it is written."""
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "state"))
    fake = FakeSystem(tmp_path / "root")
    monkeypatch.setattr("drsn_edge.gateway.systemd_host.Host", lambda: fake.host)
    monkeypatch.setattr("drsn_edge.gateway.watching.SYSTEM_STATE", own_bundle().parent)
    return fake


def test_a_service_watches_with_what_was_learned(on_sensor: Any, system: FakeSystem, tmp_path: Path) -> None:
    done = on_sensor(machine("healthy", 1), "learn", "--service", "pump", "--json")
    assert done.code == 0, done.err
    values = json.loads(done.out)
    unit = tmp_path / "root/etc/systemd/system/drsn-edge-pump.service"
    assert values["bundles"] == [str(own_bundle())] and own_bundle().is_file()
    assert values["service"] == {
        "unit": "drsn-edge-pump.service", "path": str(unit), "started": True, "made_user": True,
    }  # fmt: skip
    assert f"monitor --port {tmp_path / 'sensor'}\n" in unit.read_text()
    systemctl = [call[1:] for call in system.calls if call[0] == "systemctl"]
    assert systemctl == [["daemon-reload"], ["enable", "--now", "drsn-edge-pump.service"]]


def test_a_service_that_does_not_start_is_said_and_what_was_learned_is_kept(on_sensor: Any, system: FakeSystem) -> None:
    system.refuses = {"enable"}
    done = on_sensor(machine("healthy", 1), "learn", "--service", "pump")
    assert done.code == 1 and "systemctl status drsn-edge-pump.service" in done.err, done
    assert own_bundle().is_file()


def test_a_service_that_cannot_be_is_refused_before_anything_is_learned(
    run: Run, system: FakeSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learning(*more: Any) -> Any:
        return run("learn", "--port", tmp_path / "no-sensor", *more)

    assert learning("--service", "pump", "--model", "a.drsn").code == 2
    assert run("learn", "--replay", tmp_path, "--service", "pump").code == 2
    expect(failure_of("learn", "--port", "p", "--service", "a b"), OutputError, "invalid_name")
    monkeypatch.setattr("drsn_edge.gateway.watching.SYSTEM_STATE", tmp_path / "elsewhere")
    expect(failure_of("learn", "--port", "p", "--service", "pump"), OutputError, "other_state")
    (tmp_path / "root/etc/systemd/system").rmdir()
    expect(failure_of("learn", "--port", "p", "--service", "pump"), OutputError, "no_systemd")
    assert system.calls == [] and not own_bundle().exists()
