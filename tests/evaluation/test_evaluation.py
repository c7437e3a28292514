from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import BundleError, ContractError, DrsnEdgeError
from drsn_edge.evaluation.conditions import noise_conditions
from drsn_edge.evaluation.data import held_out_data
from drsn_edge.evaluation.evaluation import Evaluation, Provenance, evaluate_model, evaluation_to_json, provenance
from drsn_edge.evaluation.model import EvaluatedModel, bundle_model, check_same_kind
from drsn_edge.runtime.tensor import TensorSpec

SNRS_DB = (-4.0, 0.0)
BLOCKS_OF_NANO = 3


@pytest.fixture(scope="module")
def judged(run: Any, float_target: EvaluatedModel, int8_target: EvaluatedModel) -> dict[str, Evaluation]:
    data = held_out_data(run, Path("pump"))
    targets = {"float": float_target, "int8": int8_target}
    return {name: evaluate_model(target, data, SNRS_DB, seed=0) for name, target in targets.items()}


def test_a_run_and_its_bundle_say_nearly_the_same(judged: dict[str, Evaluation]) -> None:
    ours, theirs = judged["float"], judged["int8"]
    assert ours.clean.windows == theirs.clean.windows == 42
    assert ours.clean.accuracy > 0.7  # or agreement would be worth nothing
    assert abs(ours.clean.accuracy - theirs.clean.accuracy) <= 2 / 42
    assert abs((ours.clean.auroc or 0) - (theirs.clean.auroc or 0)) < 0.03
    assert list(ours.noisy) == list(theirs.noisy) == list(noise_conditions(SNRS_DB))
    gaps = [result.accuracy - theirs.noisy[condition].accuracy for condition, result in ours.noisy.items()]
    assert np.mean(np.abs(gaps)) < 0.06


def test_a_run_is_judged_as_its_training_was(run: Any, judged: dict[str, Evaluation]) -> None:
    """`drsn-edge train` and `drsn-edge evaluate` share windows, noise (seed 0) and figures."""
    said = run.metrics["held_out"]
    found = {"clean": judged["float"].clean, **{str(each): result for each, result in judged["float"].noisy.items()}}
    assert list(said) == list(found)
    for name, result in found.items():
        assert said[name]["confusion"] == result.confusion.tolist()
        assert said[name]["auroc"] == pytest.approx(result.auroc)


def test_an_evaluation_is_the_same_every_time(
    run: Any, int8_target: EvaluatedModel, judged: dict[str, Evaluation]
) -> None:
    again = evaluate_model(int8_target, judged["int8"].data, SNRS_DB, seed=0)
    made = Provenance({}, "", "")
    assert evaluation_to_json(again, made) == evaluation_to_json(judged["int8"], made)
    other = evaluate_model(int8_target, judged["int8"].data, SNRS_DB, seed=1)
    assert evaluation_to_json(other, made)["clean"] == evaluation_to_json(again, made)["clean"]
    assert evaluation_to_json(other, made)["noise"] != evaluation_to_json(again, made)["noise"]


def test_a_run_with_shrinkage_shows_its_thresholds(judged: dict[str, Evaluation], run: Any) -> None:
    from drsn_edge.models.drsn import threshold_model
    from drsn_edge.signal.network_input import network_input

    thresholds = judged["float"].thresholds
    assert thresholds is not None and thresholds.mean.shape == (BLOCKS_OF_NANO, 2)
    healthy = run.held_out.windows[run.held_out.labels == 0]
    first = threshold_model(run.model).predict(network_input(healthy, run.contract), verbose=0)[0]
    assert thresholds.mean[0, 0] == pytest.approx(first.mean(), rel=1e-4)
    assert thresholds.channel_spread[0, 0] == pytest.approx(first.mean(axis=0).std(), rel=1e-4)


def test_a_bundle_and_a_network_without_shrinkage_say_why_they_show_none(
    judged: dict[str, Evaluation], run: Any
) -> None:
    from drsn_edge.evaluation.run_model import run_model
    from drsn_edge.models.config import preset
    from drsn_edge.models.drsn import build_model

    assert judged["int8"].thresholds is None and "run folder" in judged["int8"].model.no_thresholds
    network = preset("nano", window=256, n_axes=3, n_classes=2, block="residual")
    config = {**run.config, "network": {**run.config["network"], "block": "residual"}}
    target = run_model(replace(run, model=build_model(network), config=config))
    assert target.thresholds is None and "residual, without shrinkage" in target.no_thresholds


def test_thresholds_of_a_single_block_are_a_list_too(run: Any) -> None:
    from drsn_edge.evaluation.run_model import run_model
    from drsn_edge.models.config import DrsnConfig, Stage
    from drsn_edge.models.drsn import build_model

    model = build_model(DrsnConfig(256, 3, 2, 4, 5, 4, (Stage(4, 1, 2),), 3))
    target = run_model(replace(run, model=model))
    assert target.thresholds is not None
    assert [tau.shape for tau in target.thresholds(run.held_out.pick(np.arange(5)))] == [(5, 1, 1, 4)]


def test_progress_counts_every_condition(int8_target: EvaluatedModel, judged: dict[str, Evaluation]) -> None:
    seen: list[tuple[int, int]] = []
    evaluate_model(int8_target, judged["int8"].data, (0.0,), 0, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_an_snr_out_of_range_is_refused_before_judging(
    int8_target: EvaluatedModel, judged: dict[str, Evaluation]
) -> None:
    with refused(DrsnEdgeError, "snr_out_of_range", got=1e3):
        evaluate_model(int8_target, judged["int8"].data, (1e3,), 0)


def test_json_has_these_keys_and_no_other(make_evaluation: Callable[..., Evaluation], made: Provenance) -> None:
    values = evaluation_to_json(make_evaluation(), made)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert set(values) == {
        "schema", "type", "model", "data", "clean", "noise", "noise_seed", "thresholds", "no_thresholds", "versions",
        "command", "date", "judgement", "recordings",
    }  # fmt: skip
    assert (values["schema"], values["type"]) == (1, "evaluation")
    assert set(values["model"]) == {
        "name", "kind", "version", "network", "block", "generator", "labels", "contract",
    }  # fmt: skip
    assert set(values["data"]) == {"source", "rule", "rule_in_words", "windows", "recordings", "warnings", "rates"}
    single = {
        "accuracy", "accuracy_interval_95", "balanced_accuracy", "macro_f1", "auroc", "expected_calibration_error",
    }  # fmt: skip
    assert set(values["clean"]) == single | {"calibration", "confusion"}
    assert all(set(each) == single | {"kind", "snr_db"} for each in values["noise"])
    assert len(values["noise"]) == 8
    assert [set(each) for each in values["thresholds"]] == [{"block", "mean", "channel_spread"}] * 8


def test_provenance_names_what_took_part(int8_target: EvaluatedModel) -> None:
    made = provenance(int8_target, "drsn-edge evaluate x")
    assert {"drsn-edge", "python", "numpy"} < set(made.versions)
    assert set(made.versions) & {"ai-edge-litert", "tflite-runtime"}
    assert made.date.endswith("+00:00") and made.command == "drsn-edge evaluate x"


def test_a_run_of_another_kind_is_refused_for_a_bundle(int8_target: EvaluatedModel) -> None:
    contract, labels = int8_target.contract, int8_target.labels
    check_same_kind(int8_target, contract, labels, Path("run"))
    with refused(ContractError, "other_run", model="pump", path="run", what="sample_rate_hz", got=4000.0):
        check_same_kind(int8_target, replace(contract, sample_rate_hz=4000.0), labels, Path("run"))
    with refused(ContractError, "other_run", what="labels", got=labels[::-1], expected=labels):
        check_same_kind(int8_target, contract, labels[::-1], Path("run"))


def test_a_bundle_whose_manifest_describes_another_model_is_refused(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    contract = replace(manifest.contract, window=128)
    other = replace(manifest, contract=contract, input=TensorSpec("window", (1, 1, 128, 2), 0.1, 0))
    with refused(BundleError, "other_shapes"):
        bundle_model(Bundle(other, tiny_bundle.model))


def test_a_bundle_gets_windows_scaled_as_on_the_gateway(tiny_bundle: Bundle) -> None:
    """RMS scaling: ten times the vibration is the same to the model, noise of another shape is not."""
    target = bundle_model(tiny_bundle)
    windows = np.random.default_rng(0).normal(size=(2, 64, 2)).astype(np.float32)
    shown = WindowSet(windows, np.zeros(2, np.int64), np.array(["a", "b"]), np.zeros(2, np.int64), np.full(2, np.nan))
    louder = replace(shown, windows=windows * 10 + 3)
    np.testing.assert_array_equal(target.logits(shown), target.logits(louder))
    assert np.abs(np.diff(target.logits(shown), axis=0)).max() > 0
