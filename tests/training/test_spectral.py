from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.conversion.convert import BundleOptions, convert_run
from drsn_edge.errors import ContractError, TrainingError
from drsn_edge.evaluation.after_training import evaluate
from drsn_edge.models.drsn import branch_logits
from drsn_edge.recordings.recording import Recording
from drsn_edge.runtime.classifier import Classifier
from drsn_edge.signal.contract import SignalContract, contract_from_json, contract_to_json
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.spectra import Spectra
from drsn_edge.signal.windows import Scaling
from drsn_edge.training.feed import Feed, split_recordings
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.run_folder import load_run, save_run
from drsn_edge.training.settings import ResearchSettings, TrainSettings, settings_from
from drsn_edge.training.spectral import mix_styles
from drsn_edge.training.train import Training, train
from quantize.convert import Tolerance

SPECTRA = TrainSettings(
    "time=0.3", "spectral", window=256, hop=64, epochs=5, inputs="spectra",
    research=ResearchSettings(
        batch_size=8, spectrum_lines=16, scaling="fixed", style_mix=0.3, redraw_every=2, view_weights=(2.0, 1.0, 1.0),
    ),
)  # fmt: skip
UNMIXED = replace(SPECTRA, research=replace(SPECTRA.research, style_mix=0.0))
OTHERS = {name: value for name, value in vars(SPECTRA).items() if name != "research"}


@pytest.fixture(scope="module")
def spectral(simulated: list[Recording]) -> Training:
    return train(simulated, SPECTRA)


def test_the_network_has_a_branch_for_each_view(spectral: Training) -> None:
    assert spectral.network.branches == (3, 3, 9)
    assert spectral.contract.input_shape == (16, 15)
    assert spectral.model.input_shape == (None, 1, 16, 15)


def test_the_logits_are_the_weighted_mean_of_the_branches(spectral: Training) -> None:
    windows = spectral.held_out.pick(np.arange(7))
    inputs = network_input(windows.windows, spectral.contract, windows.speeds_hz)
    of_branches = np.asarray(branch_logits(spectral.model)(inputs))
    expected = np.einsum("nbc,b->nc", of_branches, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(predict_logits(spectral.model, windows, spectral.contract), expected, atol=1e-4)


def test_a_branch_sees_its_own_view_only(spectral: Training) -> None:
    inputs = np.random.default_rng(0).normal(size=(4, 1, 16, 15)).astype(np.float32)
    changed = inputs.copy()
    changed[..., 3:6] += 1  # the orders
    before, after = (np.asarray(branch_logits(spectral.model)(each)) for each in (inputs, changed))
    np.testing.assert_array_equal(before[:, [0, 2]], after[:, [0, 2]])
    assert np.abs(before[:, 1] - after[:, 1]).max() > 1e-3


def test_inputs_are_standardised_on_the_training_side(spectral: Training, simulated: list[Recording]) -> None:
    feed = Feed(
        split_recordings(simulated, SPECTRA),
        UNMIXED,
        spectral.contract,
    )
    inputs = feed.epoch(1).inputs
    np.testing.assert_allclose(inputs.mean(axis=(0, 1, 2, 3)), 0, atol=0.2)
    np.testing.assert_allclose(inputs.std(axis=(0, 1, 2, 3)), 1, atol=0.2)


def test_epochs_share_their_windows_as_asked(spectral: Training, simulated: list[Recording]) -> None:
    feed = Feed(
        split_recordings(simulated, SPECTRA),
        UNMIXED,
        spectral.contract,
    )
    sums = [np.sort(feed.epoch(epoch).inputs.sum(axis=(2, 3, 4)).ravel()) for epoch in (1, 2, 3)]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-5)
    assert np.abs(sums[1] - sums[2]).max() > 0.1


def test_it_learns_converts_and_says_the_same_in_int8(spectral: Training, tmp_path: Any) -> None:
    metrics = evaluate(spectral)
    assert metrics["held_out"]["clean"]["accuracy"] > 0.8
    save_run(spectral, metrics, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.contract == spectral.contract
    conversion = convert_run(run, BundleOptions("a", "1.0.0"), tolerance=Tolerance(max_drop=0.1))
    inputs = network_input(run.held_out.windows, run.contract, run.held_out.speeds_hz)
    classes = Classifier(conversion.bundle.network).logits(inputs).argmax(axis=1)
    assert np.mean(classes == run.held_out.labels) == conversion.agreement.int8_accuracy
    assert conversion.bundle.manifest.contract.needs_speed
    script = (
        "import sys, pathlib; from drsn_edge.training.run_folder import load_run; load_run(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # a process that built no network can read one


def test_recordings_without_a_speed_are_refused_by_name(simulated: list[Recording]) -> None:
    still = [replace(recording, fields={}) for recording in simulated]
    with refused(TrainingError, "no_speed", recording=simulated[0].name, count=len(simulated)):
        train(still, SPECTRA)


@pytest.mark.parametrize(
    ("changes", "problem", "facts"),
    [
        ({"inputs": "cepstrum"}, "unknown_choice", {"setting": "inputs", "choices": ("waveform", "bands", "spectra")}),
        ({"window": 258}, "window_for_spectra", {"got": 258}),
        ({"window": 28}, "window_for_spectra", {"got": 28, "least": 32, "lines": 16}),
        (
            {"inputs": "waveform", "spectrum_lines": 128},
            "setting_unused",
            {"setting": "style_mix", "needs": "log spectra"},
        ),
        (
            {"inputs": "waveform", "spectrum_lines": 128, "style_mix": 0.0},
            "setting_unused",
            {"setting": "view_weights", "needs": "spectra"},
        ),
        ({"inputs": "bands"}, "setting_unused", {"setting": "view_weights", "needs": "spectra"}),
        ({"style_mix": -1.0}, "out_of_range", {"setting": "style_mix", "least": 0}),
        ({"redraw_every": 0}, "out_of_range", {"setting": "redraw_every", "least": 1}),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], problem: str, facts: dict[str, Any]) -> None:
    with refused(TrainingError, problem, **facts):
        settings_from({**vars(SPECTRA.research), **OTHERS, **changes})


def test_weights_for_other_views_are_refused(simulated: list[Recording]) -> None:
    with refused(TrainingError, "branch_weights", branches=3, got=(1.0, 1.0)):
        train(simulated, replace(SPECTRA, research=replace(SPECTRA.research, view_weights=(1.0, 1.0))))


def test_mixing_adds_multiples_of_differences_within_a_class() -> None:
    """With one class at 0 and 1, and another at 10 and 12, every change is a multiple of 1 or of 2, up to rounding."""
    inputs = np.array([0, 1, 10, 12], np.float32).reshape(4, 1, 1, 1) * np.ones((1, 1, 2, 3), np.float32)
    labels = np.array([0, 0, 1, 1])
    mixed = np.stack([mix_styles(inputs, labels, 0.5, np.random.default_rng(seed)) for seed in range(200)])
    changes = mixed - inputs
    np.testing.assert_allclose(changes, changes[..., :1, :1] * np.ones((1, 1, 2, 3)), atol=1e-5)
    assert changes.mean() == pytest.approx(0, abs=0.1)
    # Half of the pairs are a window with itself; the others differ by 1 or 2: mean square (1 + 4) / 4.
    assert changes.std() == pytest.approx(0.5 * np.sqrt(5 / 4), rel=0.15)


def test_no_strength_changes_nothing() -> None:
    inputs = np.ones((3, 1, 2, 1), np.float32)
    assert mix_styles(inputs, np.array([0, 1, 1]), 0.0, np.random.default_rng(0)) is inputs


CONTRACT = SignalContract(
    4000.0,
    ("x", "y"),
    "g",
    64,
    32,
    Scaling("fixed", 2.0),
    Spectra(("bands", "orders"), 16, 8.0, (0.0,) * 4, (1.0,) * 4),
)


def test_a_contract_with_spectra_survives_json() -> None:
    assert contract_from_json(contract_to_json(CONTRACT)) == CONTRACT
    plain = replace(CONTRACT, spectra=None)
    assert "spectra" not in contract_to_json(plain)
    assert contract_from_json(contract_to_json(plain)) == plain


@pytest.mark.parametrize(
    "changes",
    [
        {"views": []},
        {"views": ["bands", "bands"]},
        {"views": ["bands", "cepstrum"]},
        {"lines": 0},
        {"lines": 33},
        {"lines": "16"},
        {"highest_order": 0},
        {"means": [0.0]},
        {"means": [0.0, 0.0, 0.0, None]},
        {"deviations": [1.0, 1.0, 1.0, 0.0]},
        {"deviations": []},
    ],
)
def test_damaged_spectra_are_refused(changes: dict[str, Any]) -> None:
    values = contract_to_json(CONTRACT)
    with pytest.raises(ContractError):
        contract_from_json({**values, "spectra": {**values["spectra"], **changes}})


@pytest.mark.parametrize("speeds", [None, np.nan, 0.0, [25.0, -1.0, 25.0]])
def test_orders_without_a_speed_are_refused(speeds: Any) -> None:
    windows = np.random.default_rng(0).normal(size=(3, 64, 2)).astype(np.float32)
    with refused(ContractError, "no_speed"):
        network_input(windows, CONTRACT, speeds)
    bands = replace(CONTRACT, spectra=Spectra(("bands",), 16, 8.0, (0.0,) * 2, (1.0,) * 2))
    assert network_input(windows, bands, speeds).shape == (3, 1, 16, 2)
