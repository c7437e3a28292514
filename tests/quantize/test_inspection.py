"""Figures of a file against those by hand, and what windows show about it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from refusals import refused

from quantize.convert import to_int8
from quantize.errors import ModelFileError
from quantize.inspection import (
    ThresholdBudget,
    ThresholdSite,
    find_thresholds,
    inspect_file,
    inspection_to_json,
    measure_windows,
    measurement_to_json,
    ratio_db,
)
from quantize.tflite.file import read_model
from quantize.tflite.memory import peak_activation_bytes

WINDOWS = np.random.default_rng(0).normal(size=(40, 1, 32, 2)).astype(np.float32)


def file_of(features: Any) -> bytes:
    inputs = keras.Input((1, 32, 2))
    x = layers.Conv2D(4, (1, 3), padding="same")(inputs)
    outputs = layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(features(x)))
    return to_int8(keras.Model(inputs, outputs), WINDOWS).data


# The file alone.


def test_macs_by_hand() -> None:
    def features(x: Any) -> Any:
        x = layers.DepthwiseConv2D((1, 5), padding="same")(x)
        return layers.Conv2D(6, (1, 3), strides=(1, 2), padding="same")(x)

    assert inspect_file(file_of(features)).macs == 32 * 4 * 3 * 2 + 32 * 4 * 5 + 16 * 6 * 3 * 4


def test_macs_of_a_dense_layer() -> None:
    inputs = keras.Input((1, 32, 2))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))
    assert inspect_file(to_int8(model, WINDOWS).data).macs == 64 * 3


def test_the_static_figures_are_those_of_their_own_functions(int8: Any) -> None:
    found = inspect_file(int8.data)
    assert found.file_bytes == len(int8.data)
    assert found.peak_activation_bytes == peak_activation_bytes(int8.data)
    assert {each.name: each.count for each in found.operators} == int8.lint.operators
    assert (found.xnnpack.partitions, found.xnnpack.taken) == (1, found.xnnpack.operators)
    assert found.edgetpu.operators == sum(each.count for each in found.operators)
    assert {target for target, findings in found.findings.items() if not findings} == {"cpu", "tflite-runtime"}


def test_a_file_for_the_edge_tpu_is_mapped_whole_and_suits_the_others(int8_edgetpu: Any) -> None:
    found = inspect_file(int8_edgetpu.data)
    assert found.edgetpu_mapped == found.edgetpu.operators == sum(each.count for each in found.operators)
    assert found.findings == {"cpu": (), "edgetpu": (), "tflite-runtime": ()}


@pytest.mark.parametrize("form", ["int8", "int8_edgetpu"])
def test_each_block_has_a_threshold_per_channel(form: str, request: pytest.FixtureRequest) -> None:
    """In rows of several time steps, and without."""
    file = read_model(request.getfixturevalue(form).data)
    sites = find_thresholds(file)
    assert [site.thresholds for site in sites] == [8, 12]
    for site in sites:
        assert file.operators[site.operator].outputs == (site.tau,)
        assert file.tensors[site.features].shape[-1] == site.thresholds
        assert file.tensors[site.features].shape[2] > 1
        assert site.tau_scale > 0 and site.features_scale > 0


@pytest.mark.parametrize(("block", "thresholds"), [("rsbu-cs", [1]), ("se", []), ("residual", []), ("plain", [])])
def test_thresholds_are_found_by_the_shape_of_the_graph(block: str, thresholds: list[int]) -> None:
    from drsn_edge.models.config import DrsnConfig, Stage
    from drsn_edge.models.drsn import build_model

    model = build_model(DrsnConfig(32, 2, 3, 4, 5, 2, (Stage(4, 1, 2),), 3, block=block))
    sites = find_thresholds(read_model(to_int8(model, WINDOWS).data))
    assert [site.thresholds for site in sites] == thresholds


@pytest.mark.parametrize("data", [b"", b"garbage" * 99])
def test_other_bytes_are_refused(data: bytes) -> None:
    with refused(ModelFileError, "not_tflite"):
        inspect_file(data)


def test_a_float_file_is_described_too() -> None:
    """What has no int8 can still be told from what has."""
    import tensorflow as tf

    function = tf.function(lambda x: tf.nn.relu(x) * 2.0).get_concrete_function(tf.TensorSpec((1, 4), tf.float32))
    found = inspect_file(bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()))
    assert all(found.findings.values()) and found.thresholds == () and found.edgetpu_mapped == 0


# Windows.


def test_tau_in_steps_is_what_the_float_graph_has(int8: Any, trained: Any) -> None:
    from quantize.engine import Engine

    measured = measure_windows(int8.data, trained.inputs[:40])
    engine = Engine(int8.data)
    reals = engine.trace_float(trained.inputs[:40])
    assert measured.windows == 40 and len(measured.budgets) == 2
    for budget in measured.budgets:
        expected = reals[budget.site.tau].reshape(40, -1).mean(axis=0) / budget.site.features_scale
        np.testing.assert_allclose(budget.tau_lsb, expected, atol=max(0.3, 0.05 * expected.max()))


def test_a_copy_costs_nothing_and_later_layers_are_noisier(int8: Any, trained: Any) -> None:
    layers_ = measure_windows(int8.data, trained.inputs[:40]).layers
    assert len(layers_) == len(read_model(int8.data).operators)
    first, last = layers_[0].sqnr_db, layers_[-1].sqnr_db
    assert first is not None and last is not None
    assert 20 < first < 60 and 5 < last < first


def test_windows_are_cut_into_chunks_without_an_effect(
    int8: Any, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measure_windows(int8.data, trained.inputs[:5])
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("quantize.inspection._CHUNK", 2)
    parts = measure_windows(int8.data, trained.inputs[:5], lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    np.testing.assert_allclose(parts.budgets[0].tau_lsb, whole.budgets[0].tau_lsb)
    assert [e.sqnr_db for e in parts.layers] == pytest.approx([e.sqnr_db for e in whole.layers], rel=1e-6)


def test_windows_of_another_shape_are_refused(int8: Any) -> None:
    with refused(ModelFileError, "windows", got_shape=(16, *WINDOWS.shape[1:])):
        measure_windows(int8.data, WINDOWS)


def test_a_budget_by_hand() -> None:
    budget = ThresholdBudget(ThresholdSite(3, 4, 5, 4, 0.1, 0.2), (0.0, 0.99, 1.0, 2.5))
    assert budget.vanished_share == 0.5
    assert budget.dead_zone_codes == (1 + 1 + 3 + 5) / 4


@pytest.mark.parametrize(("signal", "noise", "db"), [(100.0, 1.0, 20.0), (1.0, 0.0, None), (0.0, 1.0, None)])
def test_ratio(signal: float, noise: float, db: float | None) -> None:
    assert ratio_db(signal, noise) == db


def test_json_holds_all_of_it(int8: Any, trained: Any) -> None:
    values = json.loads(json.dumps(inspection_to_json(inspect_file(int8.data))))
    assert values["xnnpack"]["partitions"] == 1 and values["thresholds"][0]["thresholds"] == 8
    measured = json.loads(json.dumps(measurement_to_json(measure_windows(int8.data, trained.inputs[:2]))))
    assert measured["windows"] == 2 and len(measured["budgets"][0]["tau_lsb"]) == 8


def test_it_needs_no_tensorflow_and_no_interpreter(int8: Any, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(int8.data)
    code = (
        "import sys, pathlib, numpy as np, quantize.inspection as i\n"
        f"data = pathlib.Path({str(tmp_path / 'model.tflite')!r}).read_bytes()\n"
        "i.inspect_file(data), i.measure_windows(data, np.ones((2, 1, 96, 2), np.float32))\n"
        "heavy = {'tensorflow', 'keras', 'ai_edge_litert', 'drsn_edge', 'firmware_bridge'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
