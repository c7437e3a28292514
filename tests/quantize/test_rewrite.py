"""Each rewriting keeps the function; each does what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from drsn_edge.models.config import BLOCK_KINDS, preset
from drsn_edge.models.drsn import build_model
from quantize.network.graph import Graph, evaluate
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import absorb_factors, blocks_for_strides, fold_into_convolutions, for_int8, fuse_relus
from quantize.targets.names import TARGETS

FOR_TARGETS = {target: partial(for_int8, target=target) for target in TARGETS}
REWRITINGS: tuple[Callable[[Graph], Graph], ...] = (
    fold_into_convolutions,
    absorb_factors,
    fuse_relus,
    blocks_for_strides,
    *FOR_TARGETS.values(),
)


def lively(model: keras.Model, seed: int = 0, least: float = 0.5) -> keras.Model:
    """Draw the numbers of every batch normalisation, as training would leave them; gamma from `least` up."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.gamma.shape
            layer.set_weights(
                [rng.uniform(least, 2, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.5, 2, n)]
            )
    return model


def network(block: str, **changes: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    sizes = {"window": 128, "n_axes": 2, "n_classes": 3, **changes}
    return lively(build_model(preset("nano", block=block, **sizes)))


def assert_same(model: keras.Model, graph: Graph) -> None:
    inputs = np.random.default_rng(1).normal(size=(5, *model.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(np.asarray(evaluate(graph, inputs)), np.asarray(model(inputs)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", BLOCK_KINDS)
def test_rewriting_keeps_the_function(block: str) -> None:
    model = network(block)
    graph = read_keras(model)
    assert_same(model, graph)
    for rewriting in REWRITINGS:
        assert_same(model, rewriting(graph))


def test_a_network_of_branches_keeps_its_function() -> None:
    config = replace(preset("spectral", window=16, n_axes=5, n_classes=3), branches=(2, 3), weights=(3.0, 1.0))
    model = lively(build_model(config))
    rewritten = for_int8(read_keras(model))
    assert_same(model, rewritten)
    assert not [
        step for step in rewritten if step.op == "scale" and step.shape == (3,)
    ]  # the shares are in the kernels


def test_images_keep_their_function() -> None:
    model = lively(build_model(replace(preset("nano", window=64, n_axes=1, n_classes=3), height=64)))
    assert_same(model, for_int8(read_keras(model)))


def test_nothing_is_left_of_batch_normalisation_but_one_offset_each() -> None:
    steps = for_int8(read_keras(network("residual"))).steps
    kinds = [step.op for step in steps]
    assert "relu" not in kinds and "scale" not in kinds
    assert kinds.count("offset") == 4  # before each of three blocks, and behind the last


def test_a_factor_below_zero_stays() -> None:
    model = lively(network("residual"), least=-2.0)
    rewritten = for_int8(read_keras(model))
    assert [step for step in rewritten if step.op == "scale"]
    assert_same(model, rewritten)


def test_an_offset_that_would_take_the_other_channels_steps_stays_behind_its_factor() -> None:
    inputs = keras.Input((1, 16, 4))
    norm = layers.BatchNormalization(epsilon=0.0)
    x = layers.Conv2D(3, 1)(layers.ReLU()(norm(inputs)))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    norm.set_weights([np.array([0.001, 1, 1, 1]), np.array([1.0, 0, 0, 0]), np.zeros(4), np.ones(4)])
    rewritten = for_int8(read_keras(model))
    assert [step.op for step in rewritten][1:3] == ["scale", "offset"]
    assert_same(model, rewritten)


@pytest.mark.parametrize(
    ("window", "kernel", "stride", "axes"), [(64, 15, 4, 1), (64, 15, 4, 3), (30, 4, 2, 1), (24, 2, 3, 2)]
)
def test_strides_over_blocks_are_the_same_convolution(window: int, kernel: int, stride: int, axes: int) -> None:
    inputs = keras.Input((1, window, axes))
    x = layers.Conv2D(5, (1, kernel), strides=(1, stride), padding="same")(inputs)
    model = keras.Model(inputs, layers.Flatten()(x))
    model.layers[1].set_weights([np.random.default_rng(0).normal(size=(1, kernel, axes, 5)), np.arange(5.0)])
    rewritten = blocks_for_strides(read_keras(model))
    assert [step.op for step in rewritten][1:3] == ["reshape", "conv"]
    assert rewritten.steps[2].strides == (1, 1)
    assert_same(model, rewritten)


@pytest.mark.parametrize(("window", "axes", "padding"), [(63, 1, "same"), (64, 8, "same"), (64, 1, "valid")])
def test_where_blocks_gain_nothing_the_stride_stays(window: int, axes: int, padding: str) -> None:
    inputs = keras.Input((1, window, axes))
    x = layers.Conv2D(5, (1, 7), strides=(1, 4), padding=padding)(inputs)
    graph = read_keras(keras.Model(inputs, layers.Flatten()(x)))
    assert blocks_for_strides(graph) is graph


@pytest.mark.parametrize("target", TARGETS)
def test_thresholds_keep_their_names(target: str) -> None:
    names = {step.name for step in for_int8(read_keras(network("rsbu-cw")), target)}
    assert {"tau_1", "tau_2", "tau_3"} <= names
