"""Residual shrinkage networks in Keras: 4-D throughout, so that a TFLite file of them reshapes its logits only.

RSBU = BN-ReLU-Conv-BN-ReLU-Conv-shrink + identity; shrink: mean|x| -> FC -> BN -> ReLU -> FC -> sigmoid = alpha,
tau = alpha * mean|x|. The fully connected layers are 1x1 convolutions on the pooled (batch, 1, 1, channels) tensor,
which keeps them per-channel quantised on every runtime. The model returns logits; softmax runs on the host.

Source: Zhao et al. 2020, doi:10.1109/TII.2019.2943898, figs. 3-5 and table II.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from drsn_edge.models.config import DrsnConfig
from quantize.soft_threshold import Tensor, mean_absolute, negative_part, soft_threshold

L2_PENALTY = 1e-4
"""On convolution kernels, as in the paper."""


def build_model(config: DrsnConfig) -> keras.Model:
    """Return the untrained network: (batch, 1, window, n_axes) scaled samples to (batch, n_classes) logits."""
    inputs = keras.Input((1, config.window, config.n_axes), name="window")
    x = _conv(config.stem_channels, config.stem_kernel, config.stem_stride)(inputs)
    for stage in config.stages:
        for index in range(stage.blocks):
            stride = stage.stride if index == 0 else 1
            x = residual_shrinkage_block(x, stage.channels, stride, config.kernel, config.block)
    x = layers.ReLU()(_norm()(x))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    logits = layers.Flatten(name="logits")(_conv(config.n_classes, 1, 1)(x))
    return keras.Model(inputs, logits, name="drsn")


def residual_shrinkage_block(x: Tensor, channels: int, stride: int, kernel: int, kind: str) -> Tensor:
    """Return one RSBU of `kind` on x, shape (batch, 1, time, c_in) -> (batch, 1, ceil(time / stride), channels)."""
    y = layers.ReLU()(_norm()(x))
    y = _norm()(_conv(channels, kernel, stride)(y))
    y = _conv(channels, kernel, 1)(layers.ReLU()(y))
    return layers.Add()([shrink(y, kind), shortcut(x, channels, stride)])


def shrink(x: Tensor, kind: str) -> Tensor:
    """Soft-threshold x by a threshold that a small subnet derives from x itself, 0 <= tau <= mean|x|.

    The absolute value is taken before the pooling: pooled x could be negative, and so would tau be.
    """
    channels = x.shape[-1]
    n = negative_part(x)
    pooled = mean_absolute(x, n)
    hidden = layers.ReLU()(_norm()(_conv(channels, 1, 1)(pooled)))
    alpha = layers.Activation("sigmoid")(_conv(channels if kind == "rsbu-cw" else 1, 1, 1)(hidden))
    if kind == "rsbu-cs":
        pooled = ops.mean(pooled, axis=-1, keepdims=True)
    return soft_threshold(x, n, alpha * pooled)


def shortcut(x: Tensor, channels: int, stride: int) -> Tensor:
    """Return the identity: strided subsampling, and zero channels on both sides (the odd one last).

    Where that changes the shape it is a fixed 1x1 convolution with a 0/1 kernel, which int8 kernels run without
    leaving their delegate; a strided slice with padding would cut the graph in pieces.
    """
    c_in = x.shape[-1]
    if stride == 1 and channels == c_in:
        return x
    layer = layers.Conv2D(channels, 1, strides=(1, stride), use_bias=False, trainable=False)
    y = layer(x)
    layer.set_weights([identity_kernel(c_in, channels)])
    return y


def identity_kernel(c_in: int, c_out: int) -> np.ndarray:
    """Return the (1, 1, c_in, c_out) kernel that copies c_in channels to the middle of c_out >= c_in.

    Raises:
        ValueError: If c_out < c_in: the paper's identity only ever adds channels.
    """
    if c_out < c_in:
        raise ValueError(f"Expected at least {c_in} channels after a shortcut from {c_in}, got {c_out}.")
    kernel = np.zeros((1, 1, c_in, c_out), np.float32)
    before = (c_out - c_in) // 2
    kernel[0, 0, np.arange(c_in), before + np.arange(c_in)] = 1.0
    return kernel


def _norm() -> layers.BatchNormalization:
    """Return a batch normalisation whose moving statistics settle within tens of steps.

    Keras's own momentum of 0.99 takes hundreds: a network trained on a few recordings would be judged with statistics
    that are still half their initial values.
    """
    return layers.BatchNormalization(momentum=0.9)


def _conv(filters: int, kernel: int, stride: int) -> layers.Conv2D:
    return layers.Conv2D(
        filters,
        (1, kernel),
        strides=(1, stride),
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(L2_PENALTY),
    )
