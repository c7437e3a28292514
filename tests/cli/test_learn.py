from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from refusals import expect, failure_of

from drsn_edge.errors import LearningError

pytest.importorskip("scipy", reason="simulating a machine needs the extra `train`")

from drsn_edge.bundle.bundle import read_bundle, write_bundle
from drsn_edge.monitor.stages.learned import path_of
from drsn_edge.recordings.recorder import LogKeeper, record_source
from drsn_edge.simulation.virtual_sensor import Playback, simulated_recording, virtual_sensor
from firmware_bridge.sources.serial_port import SerialSource

Run = Callable[..., Any]


@pytest.fixture
def logged(tmp_path: Path) -> Callable[..., Path]:
    """Return what records a simulated machine and returns the folder of its log."""

    def make(condition: str, rpm: float) -> Path:
        folder, link = tmp_path / f"{condition}{rpm}", tmp_path / "sensor"
        recording = simulated_recording("healthy" if condition == "off" else condition, rpm, 12.0, seed=1)
        if condition == "off":
            noise = np.random.default_rng(1).normal(size=recording.samples.shape) * 0.05
            recording = replace(recording, samples=noise.astype(np.float32))
        sensor = virtual_sensor(recording, Playback(speed=None), link=link)
        thread = Thread(target=sensor.run)
        thread.start()
        record_source(lambda on_bytes: SerialSource(str(link), on_bytes=on_bytes), LogKeeper(folder, "log"))
        thread.join()
        return folder

    return make


def unknown(run: Run, model: Path, log: Path, *more: str) -> float:
    done = run("monitor", "--replay", log, "--model", model, "--json", *more)
    assert done.code == 0, done.err
    summary = json.loads(done.out.splitlines()[-1])
    return summary["verdicts"]["UNKNOWN"] / summary["windows"]


def test_a_machine_becomes_known_on_its_site_and_that_can_be_taken_back(
    run: Run, logged: Any, trained_bundle: Path, tmp_path: Path
) -> None:
    model = tmp_path / "pump.drsn"
    write_bundle(read_bundle(trained_bundle), model)
    site = logged("healthy", 1480.0)
    before = unknown(run, model, site)
    assert before > 0.5 and unknown(run, model, site, "--no-unknown") == 0
    learned = run("learn", "--replay", site, "--model", model)
    assert learned.code == 0, learned.err
    assert learned.out.startswith("learned  299 windows, ")
    assert unknown(run, model, site) < 0.05
    assert run("learn", "--model", model, "--show").out == learned.out
    assert run("learn", "--model", model, "--remove").out == "removed\n"
    assert run("learn", "--model", model, "--show").out == "nothing learned\n"
    assert unknown(run, model, site) == before


def test_what_the_network_calls_a_fault_is_refused(run: Run, logged: Any, trained_bundle: Path, tmp_path: Path) -> None:
    model = tmp_path / "pump.drsn"
    write_bundle(read_bundle(trained_bundle), model)
    failure = failure_of("learn", "--replay", logged("imbalance", 1480.0), "--model", model)
    expect(failure, LearningError, "not_recognised", label="healthy")
    assert not path_of(model).exists()


def test_a_sensor_that_is_off_the_machine_teaches_nothing(
    run: Run, logged: Any, trained_bundle: Path, tmp_path: Path
) -> None:
    model = tmp_path / "pump.drsn"
    write_bundle(read_bundle(trained_bundle), model)
    failure = failure_of("learn", "--replay", logged("off", 1480.0), "--model", model)
    expect(failure, LearningError, "noise_alone")
    assert not path_of(model).exists()


def test_what_was_learned_and_is_damaged_is_said_and_left_alone(
    run: Run, logged: Any, trained_bundle: Path, tmp_path: Path
) -> None:
    model = tmp_path / "pump.drsn"
    write_bundle(read_bundle(trained_bundle), model)
    path_of(model).write_bytes(b"rubbish")
    done = run("monitor", "--replay", logged("healthy", 1480.0), "--model", model)
    assert done.code == 0 and "Warning: " in done.err and path_of(model).name in done.err


def test_bad_input(run: Run, tiny_bundle_path: Path, trained_bundle: Path) -> None:
    without = failure_of("learn", "--port", "x", "--model", tiny_bundle_path)
    expect(without, LearningError, "no_novelty", path=tiny_bundle_path)
    assert run("learn", "--model", trained_bundle).code == 2
