"""The parts of the report: which file it is, what windows show, what backends say, and the page."""

from __future__ import annotations

import html.parser
import json
import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.bundle import REPORT, Bundle, read_bundle, with_extra, write_bundle
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import BundleDamagedError, BundleError, ContractError, TrainingError
from drsn_edge.inspection import backends as backends_module
from drsn_edge.inspection import report as report_module
from drsn_edge.inspection.accuracy import compare_accuracy
from drsn_edge.inspection.backends import BackendReport, backends_to_json, run_backends
from drsn_edge.inspection.model_file import check_run, load_inspected, own_report
from drsn_edge.inspection.page import by_step, is_inspection_folder, render_inspection, save_page
from drsn_edge.inspection.plots import draw_pictures, plot_accuracy
from drsn_edge.inspection.report import build_report, report_to_bytes, spread
from drsn_edge.inspection.text import report_text
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.contract import SignalContract
from drsn_edge.training.run_folder import RunRecord
from quantize.errors import ModelFileError
from quantize.tflite.file import read_model


def windows_of(n: int, classes: int = 3) -> WindowSet:
    samples = np.random.default_rng(0).normal(size=(n, 64, 2)).astype(np.float32)
    return WindowSet(samples, np.arange(n) % classes, np.array(["r"] * n), np.arange(n), np.full(n, np.nan))


def record(contract: SignalContract, labels: tuple[str, ...], held_out: WindowSet) -> RunRecord:
    return RunRecord("pump", contract, labels, {}, {}, held_out)


# Which file it is.


def test_a_bundle_and_its_model_are_told_apart(tiny_bundle: Bundle, tiny_bundle_path: Path, tmp_path: Path) -> None:
    (tmp_path / "m.drsn").write_bytes(tiny_bundle.network)  # the name does not matter
    bare, whole = load_inspected(tmp_path / "m.drsn"), load_inspected(tiny_bundle_path)
    assert bare.model == whole.model == tiny_bundle.model
    assert (bare.bundle, bare.kind, whole.kind) == (None, "tflite file", "bundle tiny 1.0.0")


@pytest.mark.parametrize("data", [b"", b"garbage" * 99, b"TFL3"])
def test_other_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with refused(BundleError, "not_a_model", path=tmp_path / "x"):
        load_inspected(tmp_path / "x")


def test_a_truncated_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK")
    with pytest.raises(BundleDamagedError):
        load_inspected(tmp_path / "x")


def test_a_truncated_model_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(tiny_bundle.network[:900])
    with refused(ModelFileError, "damaged"):
        load_inspected(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused(BundleError, "missing", path=tmp_path / "missing.tflite", reason="No such file or directory"):
        load_inspected(tmp_path / "missing.tflite")


# A bundle's own report.


def bundled(bundle: Bundle, report: bytes, path: Path) -> Path:
    write_bundle(with_extra(bundle, REPORT, report), path)
    return path


@pytest.mark.parametrize("digits", [20, 400, 4000, 5000])
def test_a_report_with_numbers_that_cannot_be_reckoned_with_is_refused(
    tiny_bundle: Bundle, tiny_bundle_path: Path, tmp_path: Path, digits: int
) -> None:
    report = report_to_bytes(build_report(load_inspected(tiny_bundle_path)))
    huge = re.sub(rb'"file_bytes": \d+', b'"file_bytes": ' + b"9" * digits, report)
    assert huge != report
    with refused(BundleError, "not_a_report", bundle="m.drsn") as caught:
        own_report(load_inspected(bundled(tiny_bundle, huge, tmp_path / "m.drsn")))
    assert "too large" in str(caught.value.facts["reason"])


def test_a_report_travels_in_its_bundle(tiny_bundle: Bundle, tiny_bundle_path: Path, tmp_path: Path) -> None:
    report = build_report(load_inspected(tiny_bundle_path))
    path = bundled(tiny_bundle, report_to_bytes(report), tmp_path / "m.drsn")
    assert own_report(load_inspected(path)) == report
    assert own_report(load_inspected(tiny_bundle_path)) is None
    assert read_bundle(path).model == tiny_bundle.model


@pytest.mark.parametrize(
    "report",
    [b"", b"[]", b"{}", b'{"type": "other", "schema": 1}', b'{"type": "inspection", "schema": 1}', b"[" * 9999],
)
def test_a_report_that_is_none_is_one_error(tiny_bundle: Bundle, tmp_path: Path, report: bytes) -> None:
    with refused(BundleError, "not_a_report", bundle="m.drsn"):
        own_report(load_inspected(bundled(tiny_bundle, report, tmp_path / "m.drsn")))


# The run it came from.


def test_the_run_of_a_model_fits(tiny_bundle_path: Path, tiny_bundle: Bundle) -> None:
    held_out = record(tiny_bundle.manifest.contract, tiny_bundle.manifest.labels, windows_of(4))
    check_run(load_inspected(tiny_bundle_path), held_out, Path("run"))


@pytest.mark.parametrize("change", [{"unit": "mps2"}, {"window": 128}, {"axes": ("x",)}])
def test_another_run_is_refused(tiny_bundle_path: Path, tiny_bundle: Bundle, change: dict[str, Any]) -> None:
    contract = replace(tiny_bundle.manifest.contract, **change)
    held_out = record(contract, tiny_bundle.manifest.labels, windows_of(4))
    with refused(ContractError, "other_run", model="tiny.drsn", path="other"):
        check_run(load_inspected(tiny_bundle_path), held_out, Path("other"))


def test_a_run_with_other_classes_is_refused(tiny_bundle_path: Path, tiny_bundle: Bundle) -> None:
    held_out = record(tiny_bundle.manifest.contract, ("a", "b", "c"), windows_of(4))
    with pytest.raises(ContractError):
        check_run(load_inspected(tiny_bundle_path), held_out, Path("other"))


# Windows.


def test_windows_are_spread_over_all_of_them() -> None:
    windows = windows_of(10)
    assert spread(windows, 3).first_samples.tolist() == [0, 4, 9]
    assert spread(windows, 99).first_samples.tolist() == list(range(10))
    assert len(spread(windows, 1)) == 1
    with refused(TrainingError, "no_hold_out_windows"):
        spread(windows.pick(np.zeros(0, np.int64)), 3)


def test_accuracy_by_hand() -> None:
    windows = windows_of(6)
    right = np.eye(3, dtype=np.float32)[windows.labels]
    half = np.where(np.arange(6)[:, None] < 3, right, np.roll(right, 1, axis=1))
    clean, *noisy = compare_accuracy(windows, lambda _: half, lambda _: right, snrs_db=(0.0,))
    assert (clean.int8, clean.float32, clean.same_class, clean.condition.kind) == (0.5, 1.0, 0.5, "")
    assert [row.condition.kind for row in noisy] == ["gaussian", "laplacian", "pink", "impulsive"]
    alone = compare_accuracy(windows, lambda _: half, None, snrs_db=())
    assert [(row.int8, row.float32, row.same_class) for row in alone] == [(0.5, None, None)]
    (tuned,) = compare_accuracy(windows, lambda _: right, None, lambda _: half, snrs_db=())
    assert (tuned.int8, tuned.calibrated, alone[0].calibrated) == (1.0, 0.5, None)


def test_both_models_see_the_same_noise() -> None:
    seen: list[Any] = []

    def model(windows: WindowSet) -> Any:
        seen.append(windows.windows)
        return np.eye(3)

    compare_accuracy(windows_of(3), model, model, snrs_db=(0.0,))
    for ours, theirs in zip(seen[::2], seen[1::2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(seen[0], seen[2])


# Backends.


def test_backends_of_this_machine(tiny_bundle: Bundle) -> None:
    codes_q = np.random.default_rng(0).integers(-128, 128, (3, 1, 64, 2)).astype(np.int8)
    told: list[tuple[int, int]] = []
    report = run_backends(tiny_bundle.network, codes_q, lambda done, total: told.append((done, total)))
    assert report.failures == {} and report.windows == 3
    pairs = {(each.first, each.second): each for each in report.comparisons}
    assert pairs["numpy", "litert-reference"].equal
    assert ("numpy", "litert-xnnpack") in pairs
    assert told[-1][0] == told[-1][1]
    assert json.loads(json.dumps(backends_to_json(report)))["comparisons"][0]["lsb_differences"] == {"0": 9}


def test_a_backend_that_takes_its_process_along_is_reported(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted_crash.py").write_text("import os\nos.abort()\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(backends_module, "BACKENDS", ("numpy",))
    monkeypatch.setattr(backends_module, "_PROGRAM", "planted_crash")
    report = run_backends(tiny_bundle.network, np.zeros((1, 1, 64, 2), np.int8))
    assert report.failures["numpy"].startswith("crashed on this model: its process was ended by signal 6 (SIGABRT)")
    assert report.comparisons == ()


def silent(what: str) -> Any:
    return nullcontext(lambda done, total: None)


def test_a_model_that_crashes_its_interpreter_is_judged_by_numpy(
    tiny_bundle: Bundle, tiny_bundle_path: Path, monkeypatch: Any
) -> None:
    used: list[str] = []
    monkeypatch.setattr(report_module, "run_backends", lambda *_: BackendReport(3, (), {"litert-xnnpack": "crashed"}))
    monkeypatch.setattr(report_module, "Classifier", lambda model, runtime: used.append(runtime) or Classifier(model))
    held_out = record(tiny_bundle.manifest.contract, tiny_bundle.manifest.labels, windows_of(5))
    inspected = load_inspected(tiny_bundle_path)
    report = report_module.add_windows(
        build_report(inspected),
        inspected,
        held_out,
        None,
        most=3,
        bar=lambda _: nullcontext(lambda done, total: None),
    )
    assert used == ["numpy"] and report["run"] == {
        "name": "pump",
        "windows": 3,
        "held_out": 5,
        "generalisation": None,
    }
    assert "litert-xnnpack did not run: crashed" in report_text(report)


def test_a_backend_that_refuses_the_model_is_reported(monkeypatch: Any) -> None:
    monkeypatch.setattr(backends_module, "BACKENDS", ("numpy",))
    report = run_backends(b"garbage", np.zeros((1, 1, 64, 2), np.int8))
    with refused(ModelFileError, "not_tflite") as caught:
        read_model(b"garbage")
    assert report.failures == {"numpy": str(caught.value)}


# Text and page.


@pytest.fixture
def report(tiny_bundle_path: Path) -> dict[str, Any]:
    """A report with values for every part of it."""
    site = {"operator": 3, "tau": 4, "features": 5, "thresholds": 2, "tau_scale": 0.1, "features_scale": 0.2}
    budget = {"site": site, "tau_lsb": [0.5, 2.0], "dead_zone_codes": 3.0, "vanished_share": 0.5}
    layers = [{"operator": 0, "name": "CONV_2D", "sqnr_db": 33.25}, {"operator": 1, "name": "RESHAPE", "sqnr_db": None}]
    compared = {"first": "numpy", "second": "<b>", "windows": 4, "lsb_differences": {"0": 3, "-2": 1}, "class_flips": 1}
    row = {"kind": "pink", "snr_db": -4.0, "float32": 0.75, "int8": 0.5, "same_class": None}
    return {
        **build_report(load_inspected(tiny_bundle_path), "cpu"),
        "run": {"name": "pump", "windows": 4, "held_out": 9},
        "measurement": {"windows": 4, "budgets": [budget], "layers": layers},
        "accuracy": [row],
        "backends": {"windows": 4, "failures": {"x": "crashed"}, "comparisons": [compared]},
    }


def test_the_text_holds_every_part(report: dict[str, Any]) -> None:
    text = report_text(report)
    for words in (
        "tiny.drsn (bundle tiny 1.0.0)",
        "in 1 partition",
        "      1     0.50     1.25     2.00             3.0         50.0%",
        "33.2 dB at the logits",
        "accuracy on 4 of 9 hold-out windows of pump",
        "pink -4 dB              0.7500      0.5000           -",
        "numpy / <b>                              75.0%    2 LSB     1",
        "x did not run: crashed",
    ):
        assert words in text, words


def test_the_page_is_one_file_and_escapes_what_it_shows(report: dict[str, Any], tmp_path: Path) -> None:
    save_page(report, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    html.parser.HTMLParser().feed(page)
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("src=") == page.count('src="data:image/png;base64,') == len(draw_pictures(report)) > 0
    assert "href=" not in page and "max-width: 52rem" in page
    assert json.loads((tmp_path / "report" / "inspection.json").read_text()) == report
    assert is_inspection_folder(tmp_path / "report") and not is_inspection_folder(tmp_path)


def test_a_page_without_windows_says_so(tiny_bundle_path: Path) -> None:
    page = render_inspection(build_report(load_inspected(tiny_bundle_path)))
    assert "--run" in page and "Backends" not in page and "<img" not in page


def test_what_calibration_alone_gives_has_a_column_of_its_own(report: dict[str, Any]) -> None:
    assert "calibrated" not in report_text(report) and ">int8 calibrated<" not in render_inspection(report)
    tuned = {**report, "accuracy": [{**row, "calibrated": 0.125} for row in report["accuracy"]]}
    assert "calibrated" in report_text(tuned) and "0.1250" in report_text(tuned)
    assert ">int8 calibrated<" in render_inspection(tuned) and "0.1250" in render_inspection(tuned)


def test_pictures_show_the_values_of_the_report(report: dict[str, Any]) -> None:
    assert list(draw_pictures(report)) == ["Accuracy with noise", "Thresholds", "Noise of quantization", "Backends"]
    alone = {**report, "accuracy": [{**row, "float32": None} for row in report["accuracy"]]}
    panel = plot_accuracy(alone).axes[0]
    assert [line.get_label() for line in panel.lines] == ["int8"]
    np.testing.assert_allclose(np.asarray(panel.lines[0].get_xydata()), [(-4.0, 50.0)])


def test_steps_are_in_the_order_of_numbers() -> None:
    assert by_step({"10": 1, "-2": 3, "2": 4, "0": 9}) == [(-2, 3), (0, 9), (2, 4), (10, 1)]
