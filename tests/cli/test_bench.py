"""`drsn-edge bench`: what it says adds up, and what it cannot measure it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.bundle.manifest import Budget
from drsn_edge.diagnostics import bench
from drsn_edge.errors import BundleError
from firmware_bridge.errors import NoBundleError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_WINDOWS", 50)
    monkeypatch.setattr(bench, "_PIPELINE_STREAM_S", 1.0)


@pytest.fixture
def path(golden_bundle: Bundle, tmp_path: Path) -> Path:
    write_bundle(golden_bundle, tmp_path / "b.drsn")
    return tmp_path / "b.drsn"


def test_it_measures_what_it_says(run: Callable[..., Any], quick: None, path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    done = run("bench", path, "--json", "--picture", tmp_path / "bench.png")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    latency = found["latency_ms"]
    assert 0 < latency["median"] <= latency["p90"] <= latency["p99"] <= latency["most"]
    assert found["start_s"] > found["first_ms"] / 1000 > 0
    assert 0 < found["memory_mb"] < found["process_mb"] < 1000
    assert found["windows_per_s"]["1"] > 100 and found["operators_us"]["CONV_2D"] > 0
    assert 0 < found["pipeline_share"] < 1 and found["sensors"] >= 1
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_network_the_cost_is_that_of_novelty(
    run: Callable[..., Any], quick: None, healthy_bundle_of_noise: Bundle, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    write_bundle(healthy_bundle_of_noise, tmp_path / "pump.drsn")
    done = run("bench", tmp_path / "pump.drsn", "--json", "--picture", tmp_path / "bench.png")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["runtime"] is found["operators_us"] is None and set(found["windows_per_s"]) == {"1"}
    assert found["start_s"] > found["first_ms"] / 1000 > 0
    assert 0 < found["latency_ms"]["median"] <= found["latency_ms"]["most"] and found["sensors"] >= 1
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    lines = run("bench", tmp_path / "pump.drsn").out.splitlines()
    assert lines[0] == "bundle      pump 1.0.0 on NumPy, without a network" and lines[2].startswith(
        "novelty     median"
    )


def test_the_text_compares_with_the_budget(
    run: Callable[..., Any], quick: None, golden_bundle: Bundle, path: Path
) -> None:
    assert "budget 500 ms kept" in run("bench", path).out
    manifest = replace(golden_bundle.manifest, budget=Budget(1e-6, 1e-3))
    write_bundle(replace(golden_bundle, manifest=manifest), path)
    text = run("bench", path, "--runtime", "numpy").out
    assert "budget 1e-06 ms EXCEEDED" in text and "budget 0.001 MB EXCEEDED" in text and "on numpy" in text


def test_a_bundle_that_cannot_be_measured_is_said(
    run: Callable[..., Any], tiny_bundle_path: Path, tmp_path: Path
) -> None:
    done = run("bench", tiny_bundle_path)
    assert done.code == 1 and type(done.why) is BundleError
    assert run("bench", tmp_path / "none.drsn").code == 1
    done = run("bench")
    assert done.code == 1 and type(done.why) is NoBundleError


def test_energy_is_that_of_the_processors_counter(tmp_path: Path) -> None:
    counter = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    assert bench._energy_mj(lambda: None, 1, tmp_path) is None
    counter.parent.mkdir(parents=True)
    counter.write_text("1000")
    spent = bench._energy_mj(lambda: counter.write_text(str(int(counter.read_text()) + 2000)), 4, tmp_path)
    assert spent == pytest.approx(0.5)
