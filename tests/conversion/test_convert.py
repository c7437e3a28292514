from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_folds import made_folds

from drsn_edge.conversion import convert
from drsn_edge.conversion.convert import BundleOptions, convert_run, gateway_logits, report_on
from drsn_edge.conversion.promise import promise_of
from drsn_edge.evaluation.kept_promise import kept_from_json
from drsn_edge.inspection.model_file import Inspected, own_report
from drsn_edge.inspection.text import report_text
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import scale_windows
from drsn_edge.training.run_folder import load_run, save_run
from quantize.convert import Tolerance
from quantize.errors import CalibrationError, MismatchError
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import for_int8
from quantize.training.activation_ranges import calibrate_ranges

LOOSE = Tolerance(max_drop=0.05)


@pytest.fixture(scope="module")
def run(training: Any, metrics: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("convert") / "run"
    save_run(training, metrics, folder)
    return load_run(folder)


def test_a_run_becomes_a_bundle_that_says_the_same(training: Any, metrics: dict[str, Any], run: Any) -> None:
    conversion = convert_run(run, BundleOptions("pump", "1.2.3"), tolerance=LOOSE)
    assert conversion.lint.findings == ()
    assert conversion.agreement.windows == len(training.held_out)
    assert conversion.agreement.float_accuracy == metrics["held_out"]["clean"]["accuracy"]
    assert conversion.agreement.same_class > 0.9
    manifest = conversion.bundle.manifest
    assert (manifest.name, manifest.version, manifest.labels) == ("pump", "1.2.3", training.labels)
    assert manifest.contract == training.contract
    assert conversion.noise is not None and manifest.noise_limit == conversion.noise.limit
    assert conversion.noise.found > 0.9 and conversion.noise.withheld == 0.0
    scaled = scale_windows(training.held_out.windows, training.contract.scaling)[:, None]
    classes = Classifier(conversion.bundle.network).logits(scaled).argmax(axis=1)
    assert np.mean(classes == training.held_out.labels) == conversion.agreement.int8_accuracy


def test_inner_folds_become_the_promise_of_the_bundle(run: Any) -> None:
    assert convert_run(run, BundleOptions("pump", "1.0.0"), tolerance=LOOSE).bundle.manifest.promise is None
    searched = replace(run, inner_folds=made_folds(n_classes=len(run.labels)))
    conversion = convert_run(searched, BundleOptions("pump", "1.0.0"), tolerance=LOOSE)
    promise = conversion.bundle.manifest.promise
    assert promise is not None and promise == promise_of(searched.inner_folds)
    assert [each.at_most_wrong for each in conversion.kept] == [0.02, 0.05]
    assert all(each.windows == len(run.held_out) for each in conversion.kept)
    bundle = report_on(conversion, run, "pump.drsn", lambda _: nullcontext(lambda done, total: None))
    report = own_report(Inspected("pump.drsn", bundle.network, bundle))
    assert report is not None and kept_from_json(report["run"]["at_most_wrong"]) == list(conversion.kept)
    assert conversion.kept[1].in_words in report_text(report)


def test_a_run_converts_to_the_same_bytes(run: Any) -> None:
    first, second = (convert_run(run, BundleOptions("a", "1.0.0"), tolerance=LOOSE) for _ in range(2))
    assert first.bundle.model == second.bundle.model


def test_a_bundle_carries_the_report_on_it(run: Any) -> None:
    conversion = convert_run(run, BundleOptions("pump", "1.0.0"), tolerance=LOOSE)
    bundle = report_on(conversion, run, "pump.drsn", lambda _: nullcontext(lambda done, total: None))
    report = own_report(Inspected("pump.drsn", bundle.network, bundle))
    assert report is not None and report["file"] == {"name": "pump.drsn", "kind": "bundle pump 1.0.0"}
    assert report["run"] == {"name": run.name, "windows": len(run.held_out), "held_out": len(run.held_out)} | {
        "generalisation": report["run"]["generalisation"],
        "at_most_wrong": [],
    }
    clean = report["accuracy"][0]
    figures = conversion.agreement
    assert (clean["float32"], clean["int8"]) == (figures.float_accuracy, figures.int8_accuracy)
    assert clean["calibrated"] is None and report["measurement"]["budgets"]


def test_the_report_on_a_fine_tuned_file_has_what_calibration_alone_gives(run: Any) -> None:
    inputs = network_input(run.calibration.windows, run.contract, run.calibration.speeds_hz)
    graph, ranges = calibrate_ranges(for_int8(read_keras(run.model)), inputs)
    wider = {name: (low * 1.1, high * 1.1) for name, (low, high) in ranges.items()}
    fixed = {step.name: ranges[step.name] for step in graph if step.op == "sigmoid"}
    conversion = convert_run(run, BundleOptions("a", "1.0.0"), tolerance=LOOSE, fine_tuned=(graph, {**wider, **fixed}))
    assert conversion.calibrated is not None and conversion.calibrated != conversion.bundle.model
    bundle = report_on(conversion, run, "a.drsn", lambda _: nullcontext(lambda done, total: None))
    report = own_report(Inspected("a.drsn", bundle.network, bundle))
    assert report is not None and all(row["calibrated"] is not None for row in report["accuracy"])


def test_an_interpreter_that_answers_nonsense_is_caught(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "gateway_logits", lambda model, inputs: gateway_logits(model, inputs)[:, ::-1])
    with pytest.raises(MismatchError):
        convert_run(run, BundleOptions("a", "1.0.0"), tolerance=Tolerance(max_drop=1.0))


def test_a_run_with_silent_calibration_is_refused(run: Any) -> None:
    run.calibration.windows[:] = 0
    with pytest.raises(CalibrationError):
        convert_run(run, BundleOptions("a", "1.0.0"), tolerance=LOOSE)
