from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusals import refused
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from drsn_edge.conversion.convert import BundleOptions, convert_run
from drsn_edge.errors import TrainingError
from drsn_edge.evaluation.after_training import evaluate
from drsn_edge.models.config import count_macs, preset
from drsn_edge.models.drsn import branch_logits
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.discriminant import SHRINKAGE, discriminant
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.run_folder import load_run, save_run
from drsn_edge.training.settings import ResearchSettings, TrainSettings
from drsn_edge.training.train import Training, train
from quantize.convert import Tolerance

SETTINGS = TrainSettings(
    "time=0.3", "spectral", window=256, hop=64, epochs=2, inputs="spectra",
    research=ResearchSettings(
        batch_size=8, spectrum_lines=16, scaling="fixed", discriminants=0.25, validation=False,
        view_weights=(2.0, 1.0, 1.0),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(simulated: list[Recording]) -> Training:
    return train(simulated, SETTINGS)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_scikit_learns_up_to_what_all_logits_share(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 400)
    # Classes a little apart in the first line, and a strong common style in all of them.
    inputs = rng.normal(size=(400, 1, 6, 2)) + 3 * rng.normal(size=(400, 1, 1, 1))
    inputs[:, 0, 0, 0] += 3.0 * labels
    kernel, bias = discriminant(inputs.astype(np.float32), labels)
    flat = inputs.reshape(400, -1)
    logits = flat @ kernel.reshape(12, classes) + bias
    scaled = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    reference = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=SHRINKAGE, priors=np.full(classes, 1 / classes)
    ).fit(scaled, labels)
    expected = reference.decision_function(scaled)
    if classes == 2:
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, atol=1e-4)
    else:
        np.testing.assert_allclose(logits, expected - expected.mean(axis=1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(logits.sum(axis=1), 0, atol=1e-4)
    assert np.mean(logits.argmax(axis=1) == labels) > 0.8


def test_the_logits_are_those_of_the_branches_and_the_discriminants(fitted: Training) -> None:
    windows = fitted.held_out.pick(np.arange(7))
    inputs = network_input(windows.windows, fitted.contract, windows.speeds_hz)
    expected = np.einsum("nbc,b->nc", np.asarray(branch_logits(fitted.model)(inputs)), [0.5, 0.25, 0.25])
    for number, share in ((1, 0.5), (2, 0.25), (3, 0.25)):
        kernel, bias = fitted.model.get_layer(f"discriminant_{number}_1").get_weights()
        expected += share * (np.einsum("nhwc,hwck->nk", inputs, kernel) + bias)
    np.testing.assert_allclose(predict_logits(fitted.model, windows, fitted.contract), expected, atol=1e-3)


def test_each_discriminant_sees_its_own_view_and_training_leaves_it_alone(fitted: Training) -> None:
    trained = {id(variable) for variable in fitted.model.trainable_variables}
    for number, own in ((1, slice(0, 3)), (2, slice(3, 6)), (3, slice(6, 15))):
        layer = fitted.model.get_layer(f"discriminant_{number}_1")
        kernel = layer.get_weights()[0]
        assert np.abs(kernel[..., own, :]).max() > 0
        kernel[..., own, :] = 0
        assert np.abs(kernel).max() == 0
        assert not trained & {id(variable) for variable in layer.variables}


def test_without_validation_all_of_the_training_side_is_trained_on(
    fitted: Training, simulated: list[Recording]
) -> None:
    assert not fitted.split.validation
    assert {span.stop for span in fitted.split.train} == {min(span.start for span in fitted.split.held_out)}
    assert fitted.history[-1].validation_accuracy is None
    with refused(TrainingError, "patience_without_validation"):
        replace(SETTINGS, patience=1)


def test_it_is_saved_and_converted_like_any_network(fitted: Training, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    save_run(fitted, evaluate(fitted), folder)
    conversion = convert_run(load_run(folder), BundleOptions("a", "1.0.0"), tolerance=Tolerance(max_drop=0.1))
    assert conversion.agreement.same_class > 0.9


def test_it_counts() -> None:
    network = preset("spectral", window=16, n_axes=15, n_classes=4)
    both = replace(network, branches=(3, 3, 9), discriminants=True)
    assert count_macs(both) - count_macs(replace(both, discriminants=False)) == 3 * 16 * 15 * 4


def test_waveforms_have_none() -> None:
    with refused(TrainingError, "setting_unused", setting="discriminants", needs="log spectra"):
        TrainSettings("time=0.3", research=ResearchSettings(discriminants=0.1))
