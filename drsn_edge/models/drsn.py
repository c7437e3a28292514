"""Residual shrinkage networks in Keras, with four dimensions throughout: the TFLite file reshapes the logits only.

RSBU = BN-ReLU-Conv-BN-ReLU-Conv-shrink + identity; shrink: mean|x| -> FC -> BN -> ReLU -> FC -> sigmoid = alpha,
tau = alpha * mean|x|. The fully connected layers are 1x1 convolutions on the pooled (batch, 1, 1, channels) tensor, so
that every runtime quantizes them per channel. The model returns logits; softmax runs on the host.

Source: Zhao et al. 2020, doi:10.1109/TII.2019.2943898, figs. 3-5 and table II.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from drsn_edge.models.config import DrsnConfig
from quantize.training.soft_threshold import Tensor, mean_absolute, negative_part, soft_threshold

L2_PENALTY = 1e-4
"""Penalty on convolution kernels, as in the paper."""

TAU = "tau"
"""The thresholds of block number k, counted from 1, are the output of the layer `tau_k`, or `tau_b_k` in branch b."""

BRANCH_LOGITS = "branch"
"""The logits of branch number b for subclass number s, both counted from 1, are the output of layer `branch_b_s`."""

DISCRIMINANT = "discriminant"
"""The linear discriminant of branch number b for subclass number s, both counted from 1, is the convolution
`discriminant_b_s`."""


@keras.saving.register_keras_serializable("drsn_edge")
class OwnChannels(keras.constraints.Constraint):  # type: ignore[misc]  # Keras ships no types
    """Keeps a kernel (height, time, c_in, c_out) at 0 outside the input channels of its branch.

    The convolution takes all channels, because the fast int8 kernels do not support a slice of the input.
    """

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __call__(self, w: Tensor) -> Tensor:
        """Return the kernel with the channels of other branches at 0."""
        channel = ops.arange(w.shape[2])
        own = ops.logical_and(channel >= self.first, channel < self.first + self.count)
        return w * ops.cast(ops.reshape(own, (1, 1, -1, 1)), w.dtype)

    def get_config(self) -> dict[str, int]:
        """Return the arguments of the constructor, which Keras saves."""
        return {"first": self.first, "count": self.count}


def build_model(config: DrsnConfig) -> keras.Model:
    """Return the untrained network: inputs (batch, height, window, n_axes) to logits (batch, n_classes)."""
    inputs = keras.Input((config.height, config.window, config.n_axes), name="window")
    branches = config.branches or (config.n_axes,)
    if len(branches) == 1 and not config.discriminants and config.subclasses == 1:
        return keras.Model(inputs, _head(_trunk(inputs, config, _stem(config), TAU), config, "logits"), name="drsn")
    parts: list[list[Tensor]] = [[] for _ in range(config.subclasses)]
    for number, (share, count) in enumerate(zip(config.fusion, branches, strict=True), start=1):
        own = OwnChannels(sum(branches[: number - 1]), count) if len(branches) > 1 else None
        features = _trunk(inputs, config, _stem(config, own), f"{TAU}_{number}" if own else TAU)
        for subclass, found in enumerate(parts, start=1):
            found.append(_head(features, config, f"{BRANCH_LOGITS}_{number}_{subclass}") * share)
            if config.discriminants:
                found.append(_discriminant(inputs, config, f"{DISCRIMINANT}_{number}_{subclass}") * share)
    sums = [layers.Add()(found) if len(found) > 1 else found[0] for found in parts]
    return keras.Model(inputs, layers.Identity(name="logits")(_highest(sums)), name="drsn")


def _highest(logits: list[Tensor]) -> Tensor:
    """Return the highest of several logits of each class, (batch, classes): max(a, b) = a + relu(b - a).

    The operator MAXIMUM would force one int8 scale on all its operands, and leaves the fast int8 kernels.
    """
    highest = logits[0]
    for each in logits[1:]:
        highest = layers.Add()([highest, layers.ReLU()(layers.Subtract()([each, highest]))])
    return highest


def branch_logits(model: keras.Model) -> keras.Model:
    """Return a model with the same weights that returns the logits of each branch, shape (batch, branches, outputs).

    With s subclasses of k classes there are s * k outputs: number i belongs to class i % k.

    In training each branch learns from its own logits. With the sum of the logits, the branch that learns fastest would
    leave the others nothing to learn, and a verdict would depend on one view.
    """
    names = [layer.name for layer in model.layers if layer.name.startswith(f"{BRANCH_LOGITS}_")]
    found: dict[int, dict[int, Tensor]] = {}
    for name in names:
        branch, subclass = map(int, name.split("_")[1:])
        found.setdefault(branch, {})[subclass] = model.get_layer(name).output
    branches = [[own[number] for number in sorted(own)] for _, own in sorted(found.items())]
    outputs = [ops.concatenate(own, axis=-1) if len(own) > 1 else own[0] for own in branches]
    return keras.Model(model.input, ops.stack(outputs or [model.get_layer("logits").output], axis=1))


def _discriminant(inputs: Tensor, config: DrsnConfig, name: str) -> Tensor:
    """Return the logits of a linear map of the whole input, which is not trained."""
    whole = (config.height, config.window)
    linear = layers.Conv2D(config.n_classes, whole, kernel_initializer="zeros", trainable=False, name=name)
    return layers.Flatten()(linear(inputs))


def _stem(config: DrsnConfig, own: OwnChannels | None = None) -> layers.Conv2D:
    return _conv(
        config.stem_channels, config.extent(config.stem_kernel), config.extent(config.stem_stride), constraint=own
    )


def _trunk(inputs: Tensor, config: DrsnConfig, stem: layers.Conv2D, tau: str) -> Tensor:
    x = stem(inputs)
    for number, (channels, stride) in enumerate(config.blocks, start=1):
        x = block(x, channels, stride, config, f"{tau}_{number}")
    x = layers.ReLU()(_norm()(x))
    if config.pooling == "average":
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Dropout(config.dropout)(x) if config.dropout else x


def _head(features: Tensor, config: DrsnConfig, name: str) -> Tensor:
    # The kernel covers all remaining steps: one with pooling, all without.
    return layers.Flatten(name=name)(_conv(config.n_classes, tuple(features.shape[1:3]), padding="valid")(features))


def threshold_model(model: keras.Model) -> keras.Model | None:
    """Return a model with the same input that returns each block's thresholds, (batch, 1, 1, 1 or channels).

    None for a network without shrinkage.
    """
    outputs = [layer.output for layer in model.layers if layer.name.startswith(f"{TAU}_")]
    return keras.Model(model.input, outputs) if outputs else None


def block(x: Tensor, channels: int, stride: int, config: DrsnConfig, tau_name: str | None = None) -> Tensor:
    """Apply one block of the config's kind to x.

    Args:
        x: Features, shape (batch, height, time, c_in).
        channels: Channels of the result, at least c_in.
        stride: Stride in time; in both directions for images. The result has ceil(time / stride) steps.
        config: Block kind, kernel and hidden ratio.
        tau_name: Name of the layer that returns the thresholds; ignored by kinds without thresholds.
    """
    y = layers.ReLU()(_norm()(x))
    y = _norm()(_conv(channels, config.extent(config.kernel), config.extent(stride))(y))
    y = _conv(channels, config.extent(config.kernel))(layers.ReLU()(y))
    if config.block == "plain":
        return y
    if config.block == "se":
        y = excite(y, config.hidden_units(channels))
    elif config.block in ("rsbu-cw", "rsbu-cs"):
        y = shrink(y, config.hidden_units(channels), shared=config.block == "rsbu-cs", tau_name=tau_name)
    return layers.Add()([y, shortcut(x, channels, config.extent(stride))])


def shrink(x: Tensor, hidden: int, *, shared: bool, tau_name: str | None = None) -> Tensor:
    """Soft-threshold x with thresholds that a small subnet computes from x, 0 <= tau <= mean|x|.

    The absolute value is taken before pooling: pooled x could be negative, and tau with it.

    Args:
        x: Features, shape (batch, height, time, channels).
        hidden: Hidden units of the subnet.
        shared: One threshold for all channels (RSBU-CS) instead of one for each channel (RSBU-CW).
        tau_name: Name of the layer that returns the thresholds.
    """
    n = negative_part(x)
    pooled = mean_absolute(x, n)
    alpha = _subnet(pooled, hidden, 1 if shared else x.shape[-1])
    if shared:
        pooled = ops.mean(pooled, axis=-1, keepdims=True)
    return soft_threshold(x, n, layers.Multiply(name=tau_name)([alpha, pooled]))


def excite(x: Tensor, hidden: int) -> Tensor:
    """Scale each channel of x by a factor in (0, 1) that a small subnet computes from the means of the channels.

    The subnet is the same as in `shrink`, so that the two differ only in the use of its output.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", doi:10.1109/CVPR.2018.00745.
    """
    return x * _subnet(ops.mean(x, axis=(1, 2), keepdims=True), hidden, x.shape[-1])


def _subnet(pooled: Tensor, hidden: int, outputs: int) -> Tensor:
    """Return values in (0, 1), shape (batch, 1, 1, outputs), from pooled features (batch, 1, 1, channels)."""
    features = layers.ReLU()(_norm()(_conv(hidden)(pooled)))
    return layers.Activation("sigmoid")(_conv(outputs)(features))


def shortcut(x: Tensor, channels: int, stride: tuple[int, int]) -> Tensor:
    """Return the identity: strided subsampling, and zero channels on both sides (an odd one last).

    If the shape changes, the identity is a fixed 1x1 convolution with a 0/1 kernel, which stays in the delegate of the
    int8 kernels; a strided slice with padding would cut the graph into pieces.
    """
    c_in = x.shape[-1]
    if stride == (1, 1) and channels == c_in:
        return x
    layer = layers.Conv2D(channels, 1, strides=stride, use_bias=False, trainable=False)
    y = layer(x)
    layer.set_weights([identity_kernel(c_in, channels)])
    return y


def identity_kernel(c_in: int, c_out: int) -> np.ndarray:
    """Return the (1, 1, c_in, c_out) kernel that copies c_in channels to the middle of c_out >= c_in.

    Raises:
        ValueError: If c_out < c_in: the paper's identity only adds channels.
    """
    if c_out < c_in:
        raise ValueError(f"A shortcut from {c_in} channels needs at least {c_in} channels behind it, got {c_out}.")
    kernel = np.zeros((1, 1, c_in, c_out), np.float32)
    before = (c_out - c_in) // 2
    kernel[0, 0, np.arange(c_in), before + np.arange(c_in)] = 1.0
    return kernel


def _norm() -> layers.BatchNormalization:
    """Return a batch normalization whose moving statistics settle within tens of steps.

    Keras's default momentum of 0.99 takes hundreds of steps: after a training on a few recordings, half of the
    statistics would still be their initial values.
    """
    return layers.BatchNormalization(momentum=0.9)


def _conv(
    filters: int,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: str = "same",
    constraint: OwnChannels | None = None,
) -> layers.Conv2D:
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        kernel_initializer="he_normal",
        kernel_constraint=constraint,
        kernel_regularizer=keras.regularizers.L2(L2_PENALTY),
    )
