"""The command on a bundle and on a bare model: the file alone, with windows, and for a target."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import expect, failure_of

from drsn_edge.bundle.bundle import REPORT, Bundle, read_bundle, with_extra, write_bundle
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.cli.inspect import inspect
from drsn_edge.errors import ContractError, OutputError
from drsn_edge.inspection.names import WINDOWS
from quantize.errors import TargetError
from quantize.targets.names import TARGETS

Run = Callable[..., Any]

ON_A_GATEWAY = """
import sys

for name in ("tensorflow", "keras", "scipy", "sklearn", "matplotlib", "rich", "jinja2", "tomli_w"):
    sys.modules[name] = None
from drsn_edge.cli.main import main

main()
"""


@pytest.fixture(scope="module")
def abs_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an int8 file with an operator that neither XNNPACK nor the Edge TPU has."""
    import keras
    import numpy as np
    import tensorflow as tf

    inputs = keras.Input((1, 8, 2))
    x = keras.layers.Lambda(tf.abs)(keras.layers.Conv2D(2, 1)(inputs))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, 1, 8, 2), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    windows = np.random.default_rng(0).normal(size=(4, 1, 1, 8, 2)).astype(np.float32)
    converter.representative_dataset = lambda: ([window] for window in windows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path: Path = tmp_path_factory.mktemp("abs") / "abs.tflite"
    path.write_bytes(converter.convert())
    return path


def test_what_the_help_says_is_what_the_library_does() -> None:
    (windows,) = (option for option in inspect.params if option.name == "windows")
    assert windows.default == WINDOWS


def test_a_bundle_in_words(run: Run, tiny_bundle_path: Path) -> None:
    done = run("inspect", tiny_bundle_path)
    assert (done.code, done.err) == (0, "")
    said = {line[:16].rstrip(): line[16:] for line in done.out.splitlines()}
    assert done.out.startswith("tiny.drsn (bundle tiny 1.0.0)\n")
    assert said["XNNPACK"].endswith("operators, in 1 partition")
    assert said["thresholds"] == "1 block with 4 thresholds"
    assert (said["cpu"], said["tflite-runtime"]) == ("suits", "suits")
    assert said["edgetpu"].startswith("does not suit: LEAKY_RELU is not among the Edge TPU's operators")
    assert "accuracy" not in done.out


def test_the_promise_of_a_bundle_is_shown(run: Run, tiny_bundle_path: Path, tmp_path: Path) -> None:
    bundle, path = read_bundle(tiny_bundle_path), tmp_path / "able.drsn"
    promise = Promise(1.5, "another rpm of these machines", 3, 900, (RiskPoint(0.8, 0.02, 0.7, 0.9),))
    write_bundle(Bundle(replace(bundle.manifest, promise=promise), bundle.model, bundle.extras), path)
    for shown in (run("inspect", path).out, run("bundle", "show", path).out):
        lines = [" ".join(line.split()) for line in shown.splitlines()]
        at = lines.index("promise on another rpm of these machines:")
        assert lines[at + 1] == "at most 2 % wrong, 70 % to 90 % of windows named"
        assert "by 3 folds of 900 windows; temperature 1.5" in lines
    assert json.loads(run("inspect", path, "--json").out)["promise"]["curve"] == [
        {"limit": 0.8, "wrong": 0.02, "least_named": 0.7, "most_named": 0.9}
    ]
    assert json.loads(run("inspect", tiny_bundle_path, "--json").out)["promise"] is None


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_converted_for_a_target_suits_it(
    run: Run, tiny_models: Callable[[str], bytes], target: str, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "tiny.tflite").write_bytes(tiny_models(target))
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("inspect", tmp_path / "tiny.tflite", "--target", target, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["target"] == {"name": target, "findings": []}


@pytest.mark.parametrize(("target", "says"), [("cpu", "no fast int8 kernel"), ("edgetpu", "operator 2 of 3")])
def test_a_model_that_does_not_suit_its_target_fails_with_the_reasons(
    run: Run, abs_model: Path, target: str, says: str
) -> None:
    done = run("inspect", abs_model, "--target", target)
    assert done.code == 1 and done.out.startswith("abs.tflite (tflite file)\n")
    assert done.err.startswith("Error: ") and done.err.count("\n") == 1
    expect(done.why, TargetError, "unsuitable", target=target, path=abs_model)
    assert f"{target}: ABS" in done.err and says in done.err
    done = run("inspect", abs_model, "--target", target, "--json")
    assert done.code == 1 and "ABS" in json.loads(done.out)["target"]["findings"][0]
    assert run("inspect", abs_model).code == 0
    assert run("inspect", abs_model, "--target", "tflite-runtime").code == 0


def test_windows_of_the_run(run: Run, trained_bundle: Path, trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = run("inspect", trained_bundle, "--run", trained_run, "--windows", 12, "--out", out, "--json")
    assert (done.code, done.err) == (0, "")
    values = json.loads(done.out)
    generalisation = values["run"].pop("generalisation")
    assert values["run"] == {"name": "pump", "windows": 12, "held_out": 42}
    assert 0 <= generalisation["held_out"] <= 1
    assert [len(each["tau_lsb"]) for each in values["measurement"]["budgets"]] == [8, 16, 32]
    clean, *noisy = values["accuracy"]
    assert clean["kind"] == "" and clean["same_class"] >= 0.8 and len(noisy) == 20
    assert clean["float32"] is not None
    pairs = [(each["first"], each["second"]) for each in values["backends"]["comparisons"]]
    assert ("numpy", "litert-reference") in pairs and values["backends"]["failures"] == {}
    assert "Threshold budget" in (out / "report.html").read_text()
    again = run("inspect", trained_bundle, "--out", out)
    assert again.code == 1 and type(again.why) is OutputError and "--force" in again.err
    done = run("inspect", trained_bundle, "--out", out, "--force")
    assert done.code == 0 and done.out.endswith(f"wrote {out}\n")


def test_a_network_that_learned_the_machines_is_said_by_convert_and_by_inspect(
    run: Run, trained_run: Path, tmp_path: Path
) -> None:
    folder, bundle = tmp_path / "run", tmp_path / "m.drsn"
    shutil.copytree(trained_run, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["held_out"]["clean"]["accuracy"], metrics["split"] = 0.68, "machine=3"
    metrics["held_out"]["clean"]["confusion"] = [[34, 16], [16, 34]]
    for report in metrics["epochs"]:
        report["validation_accuracy"] = 0.96
    (folder / "metrics.json").write_text(json.dumps(metrics))
    done = run("convert", folder, "--out", bundle, "--max-drop", 100)
    assert done.code == 0, done
    assert "Warning: " in done.err and "28 percentage points below" in done.err and "Record more machines" in done.err
    done = run("inspect", bundle, "--out", tmp_path / "page")
    assert "28 percentage points below" in done.out and "0.6800" in done.out and "0.9600" in done.out
    assert "28 percentage points below" in (tmp_path / "page" / "report.html").read_text()
    assert json.loads(run("inspect", bundle, "--json").out)["run"]["generalisation"]["validation"] == 0.96


def test_a_bare_model_takes_the_windows_too(run: Run, trained_bundle: Path, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(read_bundle(trained_bundle).network)
    done = run("inspect", tmp_path / "m.tflite", "--run", trained_run, "--windows", 3)
    assert (done.code, done.err) == (0, "")
    assert "accuracy on 3 of 42 hold-out windows of pump" in done.out


def test_a_bundle_shows_the_report_that_it_carries(run: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    write_bundle(tiny_bundle, tmp_path / "m.drsn")
    values = json.loads(run("inspect", tmp_path / "m.drsn", "--json").out)
    site = values["model"]["thresholds"][0]
    budget = {"site": site, "tau_lsb": [1.5] * 4, "dead_zone_codes": 3.0, "vanished_share": 0.25}
    values["measurement"] = {"windows": 7, "budgets": [budget], "layers": []}
    write_bundle(with_extra(tiny_bundle, REPORT, json.dumps(values).encode()), tmp_path / "m.drsn")
    done = run("inspect", tmp_path / "m.drsn")
    assert done.code == 0 and "thresholds over 7 windows" in done.out and "25.0%" in done.out


def test_the_file_alone_is_inspected_on_a_gateway(tiny_bundle_path: Path) -> None:
    command = [sys.executable, "-c", ON_A_GATEWAY, "inspect", str(tiny_bundle_path), "--target", "tflite-runtime"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tflite-runtime  suits" in done.stdout


def test_another_run_is_refused(run: Run, tiny_bundle_path: Path, trained_run: Path) -> None:
    done = run("inspect", tiny_bundle_path, "--run", trained_run)
    assert done.code == 1 and done.out == "" and done.err.count("\n") == 1
    found = failure_of("inspect", tiny_bundle_path, "--run", trained_run)
    expect(found, ContractError, "other_run", model="tiny.drsn", path=trained_run)


def test_a_compiler_that_disagrees_is_shown(
    run: Run, tiny_models: Callable[[str], bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "tiny.tflite").write_bytes(tiny_models("edgetpu"))
    program = tmp_path / "edgetpu_compiler"
    table = "Operator                       Count      Status\\n\\nMEAN           1          Mapped to Edge TPU\\n"
    program.write_text(f"#!/bin/sh\necho > model_edgetpu.tflite\nprintf 'Edge TPU Compiler version 16.0\\n{table}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = run("inspect", tmp_path / "tiny.tflite", "--target", "edgetpu")
    assert done.code == 0 and "Edge TPU compiler 16.0: ADD: edgetpu_compiler maps 0, the lint" in done.out
