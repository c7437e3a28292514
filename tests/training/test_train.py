from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from refusals import refused

from drsn_edge.datasets.windows import cut_spans
from drsn_edge.errors import DivergedError, DrsnEdgeError, RecordingError, SplitError, TrainingError
from drsn_edge.evaluation.after_training import evaluate
from drsn_edge.signal.windows import Scaling, scale_windows
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.settings import ResearchSettings, TrainSettings, settings_from
from drsn_edge.training.train import CALIBRATION_PER_CLASS, GOLDEN_PER_CLASS, predict_classes, train


def test_it_learns_to_tell_the_conditions_of_machines_apart(training: Any, metrics: dict[str, Any]) -> None:
    assert metrics["held_out"]["clean"]["accuracy"] > 0.85
    assert training.history[-1].loss < training.history[0].loss


def test_the_same_seed_gives_the_same_training(
    simulated: Any, settings: TrainSettings, training: Any, metrics: dict[str, Any]
) -> None:
    reports: list[Any] = []
    again = train(simulated, settings, progress=reports.append)
    assert {**evaluate(again), "step_share": metrics["step_share"]} == metrics
    assert again.history == training.history
    for ours, theirs in zip(again.model.get_weights(), training.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("calibration", "golden", "held_out"):
        np.testing.assert_array_equal(getattr(again, name).windows, getattr(training, name).windows)
    check_reports(reports, again, settings)


def check_reports(reports: list[Any], training: Any, settings: TrainSettings) -> None:
    """The end of each epoch is reported once, as the history has it; some steps on the way are."""
    ends = [report for report in reports if report.validation_accuracy is not None]
    assert tuple(ends) == training.history
    assert [report.epoch for report in ends] == list(range(1, settings.epochs + 1))
    assert all(report.step == report.steps for report in ends)
    assert any(report.step < report.steps for report in reports)
    steps = [(report.epoch, report.step) for report in reports]
    assert steps == sorted(steps)


def test_what_is_set_aside(training: Any, settings: TrainSettings) -> None:
    assert training.labels == ("healthy", "imbalance")
    assert np.bincount(training.held_out.labels).tolist() == [21, 21]
    assert training.held_out.first_samples.min() == 4480
    assert np.bincount(training.golden.labels).tolist() == [GOLDEN_PER_CLASS] * 2
    assert np.bincount(training.calibration.labels).tolist() == [CALIBRATION_PER_CLASS] * 2
    for name in ("calibration", "golden", "held_out"):
        assert getattr(training, name).windows.shape[1:] == (256, 3)


def test_calibration_comes_from_the_training_side_only(training: Any) -> None:
    spans = {span.recording.name: span for span in training.split.train}
    for name, first in zip(training.calibration.recordings, training.calibration.first_samples, strict=True):
        assert spans[name].start <= first and first + 256 <= spans[name].stop


def test_golden_windows_are_held_out_windows_as_recorded(training: Any) -> None:
    by_place = dict(
        zip(zip(training.held_out.recordings, training.held_out.first_samples, strict=True),
            training.held_out.windows, strict=True)
    )  # fmt: skip
    golden = training.golden
    for name, first, window in zip(golden.recordings, golden.first_samples, golden.windows, strict=True):
        np.testing.assert_array_equal(window, by_place[name, first])


def test_calibration_is_noisy_as_training_is(training: Any) -> None:
    as_recorded = {
        (name, first): window
        for name, first, window in zip(*(
            getattr(cut_spans(training.split.train, training.labels, 256, 256), key)
            for key in ("recordings", "first_samples", "windows")
        ), strict=True)
    }  # fmt: skip
    calibration = training.calibration
    same = [
        np.array_equal(window, as_recorded[name, first])
        for name, first, window in zip(
            calibration.recordings, calibration.first_samples, calibration.windows, strict=True
        )
    ]
    assert 0.1 < np.mean(same) < 0.55


def test_the_contract_says_what_was_trained_on(training: Any) -> None:
    contract = training.contract
    assert (contract.sample_rate_hz, contract.axes, contract.unit) == (3200.0, ("x", "y", "z"), "g")
    assert (contract.window, contract.hop, contract.scaling) == (256, 128, Scaling("rms"))


def test_predictions_are_of_scaled_windows(training: Any) -> None:
    windows = training.held_out.pick(np.arange(5))
    scaled = scale_windows(windows.windows, training.contract.scaling)
    expected = training.model(scaled[:, None]).numpy()
    np.testing.assert_allclose(
        predict_logits(training.model, windows, training.contract), expected, rtol=1e-4, atol=1e-4
    )
    assert (predict_classes(training.model, windows, training.contract) == expected.argmax(axis=1)).all()
    louder = predict_logits(training.model, replace(windows, windows=7 * windows.windows + 3), training.contract)
    np.testing.assert_allclose(louder, expected, rtol=1e-2, atol=1e-2)


def test_fixed_scaling_divides_by_the_rms_of_the_training_side(make_recording: Any) -> None:
    from drsn_edge.training.contract import _scaling

    loud = make_recording("a", samples=np.tile(np.array([[3.0, 9.0], [7.0, 9.0]], np.float32), (500, 1)))
    split: Any = type("", (), {"train": [type("", (), {"recording": loud, "start": 0, "stop": 1000})()]})
    approximately: Any = pytest.approx(np.sqrt(2.0))
    assert _scaling(split, "fixed") == Scaling("fixed", approximately)  # variances 4 and 0
    assert _scaling(split, "rms") == Scaling("rms", 1.0)


def test_a_loss_that_is_no_number_stops_the_training(
    simulated: Any, settings: TrainSettings, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tf.config.run_functions_eagerly(True)  # for a few steps a graph is not worth building
    try:
        with refused(DivergedError, "loss", epoch=1, checkpoint=None) as caught:
            train(simulated, replace(settings, learning_rate=1e30))
        assert str(caught.value.facts["got"]) in ("nan", "inf")
    finally:
        tf.config.run_functions_eagerly(False)
    assert list(tmp_path.iterdir()) == []


def test_recordings_that_cannot_be_split_never_reach_the_network(simulated: Any, settings: TrainSettings) -> None:
    with pytest.raises(SplitError):
        train(simulated, replace(settings, hold_out="machine=9"))
    with pytest.raises(SplitError):
        train([], settings)
    with refused(RecordingError, "no_field", field="fault", recording="healthy-01"):
        train(simulated, replace(settings, label_field="fault"))
    with refused(SplitError, "one_class", classes=("1",)):
        train([r for r in simulated if r.fields["machine"] == 1], replace(settings, label_field="machine"))


@pytest.mark.parametrize(
    ("setting", "value", "least", "most"),
    [
        ("window", 15, 16, float("inf")),
        ("hop", -1, 0, float("inf")),
        ("epochs", 0, 1, float("inf")),
        ("batch_size", 1, 2, float("inf")),
        ("learning_rate", 0.0, 1e-9, float("inf")),
        ("learning_rate", float("nan"), 1e-9, float("inf")),
        ("clean_share", 1.1, 0, 1),
        ("clean_share", -0.1, 0, 1),
        ("speed_range", 3.0, 0, 0.5),  # meant as a percentage
        ("speed_range", -0.1, 0, 0.5),
        ("speed_range", float("nan"), 0, 0.5),
        ("seed", -1, 0, 4294967295),
        ("gain_range_db", -1.0, 0, 60),
        ("gain_range_db", float("nan"), 0, 60),
        ("axis_dropout", 1.5, 0, 1),
        ("patience", -1, 0, float("inf")),
    ],
)
def test_settings_out_of_their_range_are_refused(setting: str, value: float, least: float, most: float) -> None:
    with refused(TrainingError, "out_of_range", setting=setting, got=value, least=least, most=most):
        settings_from({"hold_out": "time=0.2", setting: value})


@pytest.mark.parametrize(
    ("changes", "problem", "facts"),
    [
        ({"snr_range_db": (3.0, 2.0)}, "snr_range", {"lowest": 3.0, "highest": 2.0}),
        ({"snr_range_db": (float("nan"), 2.0)}, "snr_range", {"lowest": "nan"}),
        ({"snr_range_db": (0.0, float("inf"))}, "snr_range", {"highest": "inf"}),
        ({"scaling": "peak"}, "unknown_choice", {"setting": "scaling", "got": "peak", "choices": ("rms", "fixed")}),
        (
            {"class_weights": "equal"},
            "unknown_choice",
            {"setting": "class_weights", "got": "equal", "choices": ("none", "balanced")},
        ),
        ({"patience": 3, "validation": False}, "patience_without_validation", {}),
        ({"gain_range_db": 3.0}, "setting_unused", {"setting": "gain_range_db", "needs": "scaling fixed"}),
        ({"spectrum_lines": 64}, "setting_unused", {"setting": "spectrum_lines", "needs": "log spectra"}),
        ({"style_mix": 0.5}, "setting_unused", {"setting": "style_mix", "needs": "log spectra"}),
        (
            {"highest_order": 8.0},
            "setting_unused",
            {"setting": "highest_order", "needs": "spectra", "inputs": "waveform"},
        ),
        (
            {"view_weights": (1.0,), "inputs": "bands"},
            "setting_unused",
            {"setting": "view_weights", "needs": "spectra", "inputs": "bands"},
        ),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], problem: str, facts: dict[str, Any]) -> None:
    with refused(TrainingError, problem, **facts):
        settings_from({"hold_out": "time=0.2", **changes})


@pytest.mark.parametrize("changes", [{"network": "huge"}, {"research": ResearchSettings(block="rsbu")}, {"window": 32}])
def test_impossible_networks_are_refused(simulated: Any, settings: TrainSettings, changes: dict[str, Any]) -> None:
    with pytest.raises(DrsnEdgeError):
        train(simulated, replace(settings, **changes))


def test_the_hop_is_half_a_window_unless_given() -> None:
    assert TrainSettings("time=0.2", window=101).hop_samples == 50
    assert TrainSettings("time=0.2", window=101, hop=7).hop_samples == 7
