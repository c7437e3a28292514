"""The soft threshold in operators that have int8 kernels.

The textbook form is sign(x) * max(|x| - tau, 0). SIGN has no int8 kernel, and MINIMUM and MAXIMUM force one scale on
all their operands, so that tau would lose its fine steps. With n = relu(-x), the negative part of x, and tau >= 0

    soft(x) = relu(x - tau) - relu(n - tau)
    |x|     = x + 2 n

Both hold case by case. For x >= 0, n = 0 and the second relu is relu(-tau) = 0. For x < 0 the first relu is 0 and
n = -x, so that soft(x) = -relu(-x - tau). At |x| = tau and at x = 0 value and gradient are 0 (Keras takes the
gradient of relu at 0 as 0).

These forms need SUB with a fused RELU, SUB, MUL and MEAN: each has an int8 kernel with one scale per tensor and is on
the Edge TPU's list. -x is written as x * -1: the constant of 0 - x would have a scale close to 0, and XNNPACK refuses
an operand whose scale is below 2^-10 of the result's.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
"""A Keras tensor, symbolic or not: Keras publishes no type for it."""


def negative_part(x: Tensor) -> Tensor:
    """Return relu(-x), >= 0, in the shape of x."""
    return ops.relu(x * -1.0)


def mean_absolute(x: Tensor, n: Tensor) -> Tensor:
    """Return the mean of |x| over height and time, shape (batch, 1, 1, channels), without an ABS operator.

    Args:
        x: Features, shape (batch, 1, time, channels).
        n: `negative_part(x)`, shared with `soft_threshold`.
    """
    # A difference, because Keras lowers a sum of two (batch, 1, 1, channels) tensors to a reshape and a bias.
    return ops.mean(x, axis=(1, 2), keepdims=True) - ops.mean(n, axis=(1, 2), keepdims=True) * -2.0


def soft_threshold(x: Tensor, n: Tensor, tau: Tensor) -> Tensor:
    """Shrink x towards zero by tau.

    Args:
        x: Features, shape (batch, 1, time, channels).
        n: `negative_part(x)`, the same shape.
        tau: Thresholds >= 0, shape (batch, 1, 1, channels) for RSBU-CW, (batch, 1, 1, 1) for RSBU-CS.
            A negative tau is not detected here: the result would not be a soft threshold.

    Source: Zhao et al. 2020, doi:10.1109/TII.2019.2943898, eq. 5, rewritten as derived in the module's docstring.
    """
    return ops.relu(x - tau) - ops.relu(n - tau)
