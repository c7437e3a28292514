from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.models import drsn
from drsn_edge.models.config import BLOCK_KINDS, PRESETS, DrsnConfig, Stage, count_macs, preset
from drsn_edge.models.drsn import (
    block,
    branch_logits,
    build_model,
    excite,
    identity_kernel,
    shortcut,
    shrink,
    threshold_model,
)

Array = NDArray[Any]

TINY = DrsnConfig(64, 1, 3, 4, 5, 2, (Stage(4, 1, 2), Stage(7, 2, 2)), 3)


SHRINKING = ("rsbu-cw", "rsbu-cs")


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def numbers(tensor: Any) -> Array:
    return tensor.numpy()


def randomise(model: Any, seed: int = 0) -> None:
    """Give every variable, those of batch normalisation too, a value of its own; variances stay above 0."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        values = rng.normal(size=variable.shape)
        variable.assign(np.abs(values) + 0.1 if "variance" in variable.name else values)


# The identity.


def test_identity_kernel_puts_the_odd_channel_last() -> None:
    kernel = identity_kernel(2, 5)
    assert kernel.shape == (1, 1, 2, 5)
    np.testing.assert_array_equal(kernel[0, 0], [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]])
    np.testing.assert_array_equal(identity_kernel(2, 4)[0, 0], [[0, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(identity_kernel(3, 3)[0, 0], np.eye(3))


def test_identity_kernel_refuses_to_drop_channels() -> None:
    with pytest.raises(ValueError):
        identity_kernel(4, 3)


@pytest.mark.parametrize("time", [1, 2, 7, 8, 9])
@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(2, 2, 2), (2, 5, 1), (3, 6, 2), (1, 4, 3)])
def test_shortcut_is_subsampling_and_zero_channels(time: int, c_in: int, c_out: int, stride: int) -> None:
    inputs = keras.Input((1, time, c_in))
    x = normal(2, 1, time, c_in)
    got = numbers(keras.Model(inputs, shortcut(inputs, c_out, (1, stride)))(x))
    before = (c_out - c_in) // 2
    expected = np.pad(x[:, :, ::stride], ((0, 0), (0, 0), (0, 0), (before, c_out - c_in - before)))
    np.testing.assert_array_equal(got, expected)


def test_shortcut_of_the_same_shape_costs_nothing() -> None:
    x = keras.Input((1, 8, 3))
    assert shortcut(x, 3, (1, 1)) is x


def test_shortcuts_have_no_trainable_weights_and_survive_training() -> None:
    model = build_model(TINY)
    fixed = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and not layer.use_bias]
    assert len(fixed) == 2
    kernels = [layer.get_weights()[0] for layer in fixed]
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(normal(8, 1, 64, 1), normal(8, 3), verbose=0)
    for layer, kernel in zip(fixed, kernels, strict=True):
        assert layer.trainable_weights == []
        np.testing.assert_array_equal(layer.get_weights()[0], kernel)
        assert set(np.unique(kernel)) == {0.0, 1.0}


# The shrinkage.


@pytest.fixture
def taus(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the (x, tau) that each block shrinks by while it is built."""
    seen: list[Any] = []

    def spy(x: Any, n: Any, tau: Any) -> Any:
        seen.append((x, tau))
        return soft_threshold(x, n, tau)

    soft_threshold = vars(drsn)["soft_threshold"]
    monkeypatch.setattr(drsn, "soft_threshold", spy)
    return seen


@pytest.mark.parametrize("kind", SHRINKING)
@pytest.mark.parametrize("seed", range(5))
def test_threshold_lies_between_zero_and_the_mean_absolute_value(kind: str, seed: int, taus: list[Any]) -> None:
    inputs = keras.Input((1, 40, 6))
    shrink(inputs, 6, shared=kind == "rsbu-cs")
    model = keras.Model(inputs, taus[0][1])
    randomise(model, seed)
    x = 3 * normal(16, 1, 40, 6, seed=seed) - 2  # mostly negative: a mean without |x| would be too
    tau = numbers(model(x))
    mean = np.abs(x).mean(axis=(1, 2), keepdims=True)
    if kind == "rsbu-cs":
        mean = mean.mean(axis=-1, keepdims=True)
    assert tau.shape == mean.shape
    assert (tau >= 0).all()
    assert (tau <= mean * (1 + 1e-5)).all()
    assert (tau > 0).any()


@pytest.mark.parametrize(("kind", "width"), [("rsbu-cw", [4, 7, 7]), ("rsbu-cs", [1, 1, 1])])
def test_the_thresholds_of_a_network_can_be_asked_for(kind: str, width: list[int], taus: list[Any]) -> None:
    model = build_model(replace(TINY, block=kind))
    randomise(model)
    inside = keras.Model(model.input, [tau for _, tau in taus])
    asked = threshold_model(model)
    assert asked is not None
    for expected, got in zip(inside(normal(4, 1, 64, 1)), asked(normal(4, 1, 64, 1)), strict=True):
        np.testing.assert_array_equal(numbers(got), numbers(expected))
    assert [output.shape[-1] for output in asked.outputs] == width


@pytest.mark.parametrize("kind", ["se", "residual", "plain"])
def test_other_kinds_have_no_thresholds(kind: str) -> None:
    assert threshold_model(build_model(replace(TINY, block=kind))) is None


@pytest.mark.parametrize("kind", SHRINKING)
def test_every_block_of_a_network_has_a_threshold_of_its_kind(kind: str, taus: list[Any]) -> None:
    model = build_model(replace(TINY, block=kind))
    assert [tau.shape[-1] for _, tau in taus] == ([4, 7, 7] if kind == "rsbu-cw" else [1, 1, 1])
    randomise(model)
    inside = keras.Model(model.input, [tensor for pair in taus for tensor in pair])
    values = [numbers(tensor) for tensor in inside(normal(4, 1, 64, 1))]
    for x, tau in zip(values[::2], values[1::2], strict=True):
        mean = np.abs(x).mean(axis=(1, 2), keepdims=True)
        limit = mean if kind == "rsbu-cw" else mean.mean(axis=-1, keepdims=True)
        assert (tau >= 0).all()
        assert (tau <= limit * (1 + 1e-5)).all()


@pytest.mark.parametrize("kind", SHRINKING)
def test_shrink_with_alpha_of_a_half_is_the_formula(kind: str) -> None:
    """With all weights 0 the sigmoid gives 1/2, so tau is half the mean absolute value."""
    inputs = keras.Input((1, 30, 5))
    model = keras.Model(inputs, shrink(inputs, 5, shared=kind == "rsbu-cs"))
    for variable in model.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    x = normal(4, 1, 30, 5)
    mean = np.abs(x).mean(axis=(1, 2), keepdims=True)
    tau = (mean if kind == "rsbu-cw" else mean.mean(axis=-1, keepdims=True)) / 2
    np.testing.assert_allclose(numbers(model(x)), np.sign(x) * np.maximum(np.abs(x) - tau, 0), atol=1e-6)


def test_the_identity_goes_around_the_shrinkage() -> None:
    """With the block's last convolution at 0 nothing is left to shrink: the block is its shortcut."""
    inputs = keras.Input((1, 20, 3))
    model = keras.Model(inputs, block(inputs, 4, 2, TINY))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.use_bias]
    convolutions[1].set_weights([np.zeros_like(weights) for weights in convolutions[1].get_weights()])
    x = normal(2, 1, 20, 3)
    np.testing.assert_array_equal(numbers(model(x)), np.pad(x[:, :, ::2], ((0, 0), (0, 0), (0, 0), (0, 1))))


@pytest.mark.parametrize(("kind", "share"), [("se", 0.5), ("residual", 1.0)])
def test_the_comparison_partners_do_their_own_thing_around_the_identity(kind: str, share: float) -> None:
    """With the subnet's weights at 0 squeeze-and-excitation halves what the residual block leaves as it is."""
    inputs = keras.Input((1, 20, 4))
    model = keras.Model(inputs, block(inputs, 4, 1, replace(TINY, block=kind)))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in convolutions[2:]:
        layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
    x = normal(2, 1, 20, 4)
    branch = numbers(keras.Model(inputs, convolutions[1].output)(x))
    np.testing.assert_allclose(numbers(model(x)), x + share * branch, atol=1e-5)


def test_a_plain_block_has_no_identity() -> None:
    inputs = keras.Input((1, 20, 4))
    model = keras.Model(inputs, block(inputs, 6, 2, replace(TINY, block="plain")))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 2
    x = normal(2, 1, 20, 4)
    np.testing.assert_array_equal(numbers(model(x)), numbers(keras.Model(inputs, convolutions[1].output)(x)))


def test_excitation_scales_each_channel_by_a_factor_of_its_own() -> None:
    inputs = keras.Input((1, 30, 5))
    model = keras.Model(inputs, excite(inputs, 3))
    randomise(model)
    x = normal(4, 1, 30, 5)
    factors = numbers(model(x)) / x
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :, :1], factors.shape), rtol=1e-4)
    assert ((factors > 0) & (factors < 1)).all()
    assert len(np.unique(factors[:, 0, 0].round(4))) > 5


def test_images_take_square_kernels_and_strides() -> None:
    """The network of the TFLearn article: blocks of 16, 32, 32 channels and a subnet of a quarter of them."""
    config = DrsnConfig(28, 1, 10, 16, 3, 1, (Stage(16, 1, 2), Stage(32, 2, 2)), 3, hidden_ratio=0.25, height=28)
    model = build_model(config)
    assert numbers(model(normal(3, 28, 28, 1))).shape == (3, 10)
    kernels = {layer.kernel_size for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    assert kernels == {(3, 3), (1, 1)}
    assert count_macs(config) == macs_of_layers(model)
    assert config.hidden_units(32) == 8
    assert model.layers[-3].output.shape[1:3] == (1, 1)


# The network.


@pytest.mark.parametrize("block", BLOCK_KINDS)
@pytest.mark.parametrize(
    ("window", "n_axes", "stem_stride", "stage_stride"),
    [(64, 1, 2, 2), (65, 3, 2, 2), (97, 2, 3, 2), (31, 1, 1, 1), (8, 1, 2, 2)],
)
def test_output_is_one_logit_per_class(
    window: int, n_axes: int, stem_stride: int, stage_stride: int, block: str
) -> None:
    stages = (Stage(4, 1, stage_stride), Stage(7, 2, stage_stride))
    config = DrsnConfig(window, n_axes, 5, 4, 5, stem_stride, stages, 3, block)
    model = build_model(config)
    logits = numbers(model(normal(3, 1, window, n_axes)))
    assert model.input_shape == (None, 1, window, n_axes)
    assert model.output_shape == (None, 5)
    assert logits.shape == (3, 5)
    assert np.isfinite(logits).all()
    pooling = next(layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    steps = math.ceil(window / stem_stride)
    for _ in stages:
        steps = math.ceil(steps / stage_stride)
    assert pooling.input.shape == (None, 1, steps, 7)


def test_logits_are_not_probabilities() -> None:
    model = build_model(TINY)
    randomise(model)
    logits = numbers(model(normal(8, 1, 64, 1)))
    assert logits.min() < 0 or logits.max() > 1


def test_windows_of_a_batch_do_not_touch_each_other() -> None:
    model = build_model(TINY)
    randomise(model)
    x = normal(4, 1, 64, 1)
    np.testing.assert_allclose(numbers(model(x))[1:2], numbers(model(x[1:2])), rtol=1e-4, atol=1e-5)


def test_batch_normalisation_knows_training_from_inference() -> None:
    model = build_model(TINY)
    x = 5 * normal(16, 1, 64, 1) + 2
    before = [layer.moving_mean.numpy() for layer in batch_norms(model)]
    inference, training = numbers(model(x, training=False)), numbers(model(x, training=True))
    assert np.abs(inference - training).max() > 0.01
    after = [layer.moving_mean.numpy() for layer in batch_norms(model)]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))


def test_batch_normalisations_are_where_the_paper_has_them() -> None:
    assert len(batch_norms(build_model(TINY))) == 3 * 3 + 1  # two and the subnet's in each block, one at the end


def batch_norms(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_the_same_seed_gives_the_same_network() -> None:
    models = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        models.append(build_model(TINY).get_weights())
    assert all((a == b).all() for a, b in zip(models[0], models[1], strict=True))
    assert any((a != b).any() for a, b in zip(models[0], models[2], strict=True))


def macs_of_layers(model: Any) -> int:
    """Count from the built layers' own shapes; the fixed shortcuts are the convolutions without a bias."""
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.use_bias]
    return sum(math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape) for layer in convolutions)


@pytest.mark.parametrize("block", BLOCK_KINDS)
@pytest.mark.parametrize(("window", "n_axes"), [(1024, 1), (777, 3)])
@pytest.mark.parametrize("name", ["nano", "small", "spectral", "base"])
def test_counted_macs_are_those_of_the_layers(name: str, window: int, n_axes: int, block: str) -> None:
    config = preset(name, window=window, n_axes=n_axes, n_classes=10, block=block)
    assert count_macs(config) == macs_of_layers(build_model(config))


def test_branches_see_their_own_channels_and_are_averaged_by_their_weights() -> None:
    config = replace(TINY, n_axes=5, branches=(2, 3), weights=(3.0, 1.0))
    model = build_model(config)
    model.compile("sgd", "mse")
    model.fit(normal(8, 1, 64, 5), normal(8, 3), verbose=0)  # a constraint holds from the first step on
    x = normal(4, 1, 64, 5)
    other = x.copy()
    other[..., 2:] += 1
    before, after = (numbers(branch_logits(model)(each)) for each in (x, other))
    assert before.shape == (4, 2, 3)
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert np.abs(before[:, 1] - after[:, 1]).max() > 1e-3
    np.testing.assert_allclose(numbers(model(x)), 0.75 * before[:, 0] + 0.25 * before[:, 1], atol=1e-5)
    assert count_macs(config) == macs_of_layers(model) == 2 * count_macs(replace(TINY, n_axes=5))


def test_one_trunk_counts_as_one_branch() -> None:
    model = build_model(TINY)
    x = normal(2, 1, 64, 1)
    np.testing.assert_array_equal(numbers(branch_logits(model)(x))[:, 0], numbers(model(x)))
    assert [layer.name for layer in build_model(replace(TINY, branches=(1,))).layers[-1:]] == ["logits"]


def papers_parameters(subnet_outputs: int | None) -> tuple[int, int]:
    """Return (outside batch norm, in batch norm) of table II, added up by hand: 3 samples long kernels with biases."""

    def unit(c_in: int, c: int) -> tuple[int, int]:
        outputs = subnet_outputs or c
        convolutions = (3 * c_in * c + c) + (3 * c * c + c) + (c * c + c) + (c * outputs + outputs)
        return convolutions, 2 * (c_in + c + c)

    units = [unit(c_in, c) for c_in, c in [(4, 4)] * 4 + [(4, 8)] + [(8, 8)] * 3 + [(8, 16)] + [(16, 16)] * 3]
    stem, classifier, last_norm = 3 * 1 * 4 + 4, 16 * 8 + 8, 2 * 16
    return stem + sum(unit[0] for unit in units) + classifier, sum(unit[1] for unit in units) + last_norm


@pytest.mark.parametrize(("kind", "subnet_outputs"), [("rsbu-cw", None), ("rsbu-cs", 1)])
def test_the_papers_network_has_the_papers_parameters(kind: str, subnet_outputs: int | None) -> None:
    config = replace(PRESETS["paper"], block=kind)
    model = build_model(config)
    found: dict[bool, int] = {True: 0, False: 0}
    for layer in model.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        found[is_norm] += sum(math.prod(variable.shape) for variable in layer.trainable_variables)
    assert (found[False], found[True]) == papers_parameters(subnet_outputs)
    if kind == "rsbu-cw":
        assert (found[False], sum(found.values())) == (10872, 11552)
        assert count_macs(config) == pytest.approx(1.32e6, rel=0.005)


def test_a_saved_model_answers_the_same(tmp_path: Any) -> None:
    model = build_model(TINY)
    randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    x = normal(4, 1, 64, 1)
    np.testing.assert_array_equal(numbers(loaded(x)), numbers(model(x)))
