"""An Edge TPU from `convert` to `monitor`, with stand-ins for Coral's compiler and library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from drsn_edge.bundle.variants import EDGETPU_MODEL

Run = Callable[..., Any]


def test_commands_convert_and_add_and_run_the_variant(
    trained_run: Path, edgetpu_compiler: None, edgetpu_library: str, run: Run, playing: Any, tmp_path: Path
) -> None:
    path = tmp_path / "pump.drsn"
    done = run("convert", trained_run, "--out", path, "--target", "edgetpu", "--max-drop", "5")
    assert done.code == 0, done.err
    line = next(line for line in done.out.splitlines() if line.startswith("Edge TPU"))
    assert line.endswith("operators, by edgetpu_compiler 16.0.384591198")
    assert EDGETPU_MODEL in read_bundle(path).extras
    bench = run("bench", path, "--runtime", "edgetpu", "--edgetpu-library", edgetpu_library, "--json")
    assert bench.code == 0 and json.loads(bench.out)["runtime"] == "edgetpu", bench.err
    (tmp_path / "compiled.tflite").write_bytes(read_bundle(path).extras[EDGETPU_MODEL])
    for options in ((), ("--compiled", tmp_path / "compiled.tflite")):
        added = run("bundle", "edgetpu", path, *options, "--out", tmp_path / "other.drsn", "--json")
        assert json.loads(added.out)["model_bytes"] == (tmp_path / "compiled.tflite").stat().st_size
        assert read_bundle(tmp_path / "other.drsn").extras[EDGETPU_MODEL] == read_bundle(path).extras[EDGETPU_MODEL]


def test_a_monitor_on_it_says_what_one_on_numpy_says(
    edgetpu_bundle: Bundle, edgetpu_library: str, run: Run, playing: Any, tmp_path: Path
) -> None:
    write_bundle(edgetpu_bundle, tmp_path / "b.drsn")
    said = []
    for options in (("edgetpu", "--edgetpu-library", edgetpu_library), ("numpy",)):
        with playing() as (port, _):
            done = run("monitor", "--port", port, "--model", tmp_path / "b.drsn", "--json", "--runtime", *options)
        assert done.code == 0, done.err
        lines = [json.loads(line) for line in done.out.splitlines()]
        said.append([(line["first_sample"], line["label"]) for line in lines if line["type"] == "window"])
    assert said[0] == said[1] and len(said[0]) > 5


def test_one_that_is_pulled_out_ends_the_monitor_with_a_word(
    edgetpu_bundle: Bundle,
    edgetpu_library: str,
    run: Run,
    playing: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_bundle(edgetpu_bundle, tmp_path / "b.drsn")
    monkeypatch.setenv("EDGETPU_STANDIN", "pulled 10")
    options = ("--runtime", "edgetpu", "--edgetpu-library", edgetpu_library)
    with playing() as (port, _):
        done = run("monitor", "--port", port, "--model", tmp_path / "b.drsn", *options)
    assert done.code == 1 and "Error: edgetpu stopped computing" in done.err and "Traceback" not in done.err


def test_without_a_compiler_conversion_says_what_to_do(
    trained_run: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = tmp_path / "pump.drsn"
    done = run("convert", trained_run, "--out", path, "--target", "edgetpu", "--max-drop", "5")
    assert done.code == 0 and "not compiled: edgetpu_compiler is missing" in done.out
    done = run("bundle", "edgetpu", path)
    assert done.code == 2 and "--compiled FILE" in done.err
