"""Subclasses and speed trends: what networks for log spectra know of the conditions of the training side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.conversion.convert import BundleOptions, convert_run
from drsn_edge.datasets.span import Span
from drsn_edge.errors import ContractError, SplitError, TrainingError
from drsn_edge.evaluation.after_training import evaluate
from drsn_edge.models.config import count_macs, preset
from drsn_edge.models.drsn import branch_logits
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import contract_from_json, contract_to_json
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.discriminant import discriminant, discriminant_of_subclasses
from drsn_edge.training.feed import Feed
from drsn_edge.training.fit import branch_accuracy, predict_logits
from drsn_edge.training.run_folder import load_run, save_run
from drsn_edge.training.settings import ResearchSettings, TrainSettings
from drsn_edge.training.spectral import speed_slopes
from drsn_edge.training.subclasses import in_subclasses, subclass_numbers
from drsn_edge.training.train import Training, train
from quantize.convert import Tolerance

SETTINGS = TrainSettings(
    "time=0.3", "spectral", window=256, hop=64, epochs=2, inputs="spectra", class_weights="balanced",
    research=ResearchSettings(
        batch_size=8, spectrum_lines=16, scaling="fixed", discriminants=0.25, validation=False, absolute_bands=True,
        speed_trend=True, subclass_field="load", stream_hop=128, view_weights=(2.0, 1.0, 1.0),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded(simulated: list[Recording]) -> list[Recording]:
    """Return the recordings, every second one at another load and speed."""
    return [
        replace(each, fields={**each.fields, "load": number % 2, "rpm": each.speed_hz * 60 * (1 + 0.3 * (number % 2))})
        for number, each in enumerate(simulated)
    ]


@pytest.fixture(scope="module")
def told_apart(loaded: list[Recording]) -> Training:
    return train(loaded, SETTINGS)


def test_the_logit_of_a_class_is_the_highest_of_its_subclasses(told_apart: Training) -> None:
    windows, classes = told_apart.held_out.pick(np.arange(7)), len(told_apart.labels)
    inputs = network_input(windows.windows, told_apart.contract, windows.speeds_hz)
    sums = np.einsum("nbs,b->ns", np.asarray(branch_logits(told_apart.model)(inputs)), [0.5, 0.25, 0.25])
    assert sums.shape == (7, 2 * classes)
    for branch, share in ((1, 0.5), (2, 0.25), (3, 0.25)):
        for subclass in (1, 2):
            kernel, bias = told_apart.model.get_layer(f"discriminant_{branch}_{subclass}").get_weights()
            own = slice((subclass - 1) * classes, subclass * classes)
            sums[:, own] += share * (np.einsum("nhwc,hwck->nk", inputs, kernel) + bias)
    expected = sums.reshape(7, 2, classes).max(axis=1)
    np.testing.assert_allclose(predict_logits(told_apart.model, windows, told_apart.contract), expected, atol=1e-3)


def test_batches_name_subclasses(told_apart: Training) -> None:
    labels, found = Feed(told_apart.split, SETTINGS, told_apart.contract).epoch(1).labels, set()
    for span in told_apart.split.train:
        load = int(span.recording.fields["load"])
        found.add(told_apart.labels.index(str(span.recording.label)) + len(told_apart.labels) * load)
    assert set(np.unique(labels)) == found


def test_a_hit_is_a_subclass_of_the_right_class() -> None:
    logits = np.eye(6, dtype=np.float32)[[4, 4, 4]][:, None]
    np.testing.assert_array_equal(branch_accuracy(np.array([1, 4, 5]), logits, (1.0,), 3), [1, 1, 0])


def test_they_are_saved_converted_and_nearly_the_same_in_int8(told_apart: Training, tmp_path: Path) -> None:
    save_run(told_apart, evaluate(told_apart), tmp_path / "run")
    conversion = convert_run(load_run(tmp_path / "run"), BundleOptions("a", "1.0.0"), tolerance=Tolerance(max_drop=0.1))
    assert conversion.agreement.same_class > 0.9


def test_they_count() -> None:
    network = replace(preset("spectral", window=16, n_axes=3, n_classes=4), branches=(3,), discriminants=True)
    head = 4 * 32 * 4  # steps, channels, classes
    assert count_macs(replace(network, subclasses=3)) - count_macs(network) == 2 * (head + 16 * 3 * 4)


def test_a_subclass_without_windows_answers_as_another_one_of_its_class() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], 50)  # class 2 has one subclass only: number 5 never occurs
    inputs = (rng.normal(size=(200, 1, 4, 1)) + labels[:, None, None, None]).astype(np.float32)
    kernel, bias = discriminant_of_subclasses(inputs, labels, n_classes=3, subclasses=2)
    expected, expected_bias = discriminant(inputs, labels)
    np.testing.assert_array_equal(kernel[..., :4], expected)
    np.testing.assert_array_equal(kernel[..., [4, 5]], expected[..., [1, 2]])
    np.testing.assert_array_equal(bias, expected_bias[[0, 1, 2, 3, 1, 2]])


def test_numbers_follow_the_values_of_the_field(loaded: list[Recording]) -> None:
    spans = [Span(each, 0, 10) for each in loaded]
    numbers = subclass_numbers(spans, "load")
    assert numbers == {each.name: each.fields["load"] for each in loaded}
    names, labels = np.array([each.name for each in loaded]), np.arange(len(loaded))
    found = in_subclasses(labels, names, numbers, len(loaded))
    np.testing.assert_array_equal(found, labels + len(loaded) * np.array([each.fields["load"] for each in loaded]))
    assert set(subclass_numbers(spans, "").values()) == {0}


def test_fields_that_give_no_subclasses_are_refused(loaded: list[Recording]) -> None:
    with refused(SplitError, "no_field", field="mood"):
        subclass_numbers([Span(loaded[0], 0, 10)], "mood")
    many = [Span(replace(loaded[0], name=str(n), fields={"n": n}), 0, 10) for n in range(9)]
    with refused(TrainingError, "too_many_subclasses", field="n", got=9, most=8):
        subclass_numbers(many, "n")


def test_slopes_are_those_within_a_class() -> None:
    rng = np.random.default_rng(0)
    labels, speeds = np.repeat([0, 1], 100), np.tile([10.0, 20.0, 30.0, 50.0], 50)
    slopes = np.array([[2.0, -1.0], [0.5, 0.0]])
    logs = 7.0 * labels[:, None, None] + np.log10(speeds)[:, None, None] * slopes + rng.normal(0, 0.01, (200, 2, 2))
    np.testing.assert_allclose(speed_slopes(logs.astype(np.float32), speeds, labels), slopes, atol=0.02)
    assert not speed_slopes(logs.astype(np.float32), np.full(200, 25.0), labels).any()


def test_the_trend_is_taken_away_before_the_standardisation(told_apart: Training) -> None:
    contract, spectra = told_apart.contract, told_apart.contract.spectra
    assert spectra is not None and len(spectra.slopes) == 16 * 3 and any(spectra.slopes)
    window = told_apart.held_out.windows[:1]
    slow, fast = (network_input(window, contract, speed)[0, 0, :, :3] for speed in (10.0, 100.0))
    expected = np.reshape(spectra.slopes, (16, 3)) / np.asarray(spectra.deviations[:3])
    np.testing.assert_allclose(slow - fast, expected, atol=1e-4)


def test_absolute_bands_keep_the_level(told_apart: Training) -> None:
    window = told_apart.held_out.windows[:1]
    quiet, loud = (network_input(level * window, told_apart.contract, 25.0)[0, 0, :, :3] for level in (1, 10))
    spectra = told_apart.contract.spectra
    assert spectra is not None
    np.testing.assert_allclose((loud - quiet) * spectra.deviations[:3], 2.0, atol=0.1)
    relative = replace(told_apart.contract, spectra=replace(spectra, absolute_bands=False))
    quiet, loud = (network_input(level * window, relative, 25.0)[0, 0, :, :3] for level in (1, 10))
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_the_contract_keeps_both(told_apart: Training) -> None:
    contract = told_apart.contract
    assert contract.hop == 128
    assert contract_from_json(contract_to_json(contract)) == contract
    assert contract.spectra is not None
    bands_alone = replace(contract, spectra=replace(contract.spectra, views=("bands",)))
    assert bands_alone.needs_speed
    values: dict[str, Any] = contract_to_json(contract)
    values["spectra"]["slopes"] = [1.0]
    with refused(ContractError, "spectra_out_of_range"):
        contract_from_json(values)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"speed_trend": True}, "setting_unused"), ({"subclass_field": "load"}, "setting_unused")],
)
def test_waveforms_have_neither(changes: dict[str, Any], problem: str) -> None:
    with refused(TrainingError, problem, setting=next(iter(changes))):
        TrainSettings("time=0.3", research=ResearchSettings(**changes))
    with refused(TrainingError, "setting_unused", setting="absolute_bands", needs="scaling fixed"):
        ResearchSettings(absolute_bands=True)


def test_a_trend_needs_the_speed_of_every_recording(loaded: list[Recording]) -> None:
    still = [replace(each, fields={name: v for name, v in each.fields.items() if name != "rpm"}) for each in loaded]
    bands = replace(SETTINGS, inputs="bands", research=replace(SETTINGS.research, view_weights=()))
    with refused(TrainingError, "no_speed", count=len(still)):
        train(still, bands)
