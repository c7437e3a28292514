"""Linear discriminants beside a network for log spectra, fitted in closed form.

A linear discriminant whitens with the pooled covariance of everything that varies within a class: speed, load, place in
the recording. At speeds that are not in the training it is more accurate than a network, which learns properties of the
training speeds; in noise the network is more accurate. Their errors differ, so that their sum is better than either.

In the network the discriminant is a convolution over the whole input, which int8 kernels run like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.span import Split
from drsn_edge.models.drsn import DISCRIMINANT
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.feed import draw_windows
from drsn_edge.training.settings import TrainSettings

SHRINKAGE = 0.05
"""Shrinkage of the covariance towards a multiple of the identity; hundreds of lines, and neighbours are correlated."""

_DRAWS = 3
"""Number of draws of the training windows for the fit, each with its own places and noise."""

_LEAST_DEVIATION = 0.1


def fit_discriminants(
    model: Any, branches: Sequence[int], split: Split, settings: TrainSettings, contract: SignalContract
) -> None:
    """Fit the discriminant of each branch to training windows of the network, and set its weights in the model.

    Args:
        model: Model of `build_model` with `discriminants`.
        branches: Number of input channels of each branch, in order.
        split: Only its training side is used.
        settings: How training windows are drawn; `research.discriminants` is the weight of the discriminants.
        contract: How windows become inputs of the network.
    """
    drawn = [draw_windows(split, settings, draw) for draw in range(1, _DRAWS + 1)]
    inputs = np.concatenate([network_input(each.windows, contract, each.speeds_hz) for each in drawn])
    labels = np.concatenate([each.labels for each in drawn])
    weight, first = settings.research.discriminants, 0
    for number, count in enumerate(branches, start=1):
        own = slice(first, first + count)
        kernel, bias = discriminant(inputs[..., own], labels)
        layer = model.get_layer(f"{DISCRIMINANT}_{number}")
        whole = np.zeros((*inputs.shape[1:], kernel.shape[-1]), np.float32)
        whole[..., own, :] = weight * kernel
        layer.set_weights([whole, weight * bias])
        first += count


def discriminant(inputs: FloatArray, labels: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return the kernel (1, lines, channels, classes) and the bias (classes,) of the linear discriminant.

    All classes have the same prior, whatever their number of windows. The part that all logits of a window share is
    subtracted: it does not change the class, and would cost int8 steps.

    Args:
        inputs: Log spectra, shape (n, 1, lines, channels).
        labels: Classes, shape (n,); each class occurs.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    mean, deviation = flat.mean(axis=0), np.maximum(_LEAST_DEVIATION, flat.std(axis=0))
    classes = len(np.unique(labels))
    priors = np.full(classes, 1 / classes)
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE, priors=priors)
    fitted.fit((flat - mean) / deviation, labels)
    weights, bias = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
    if classes == 2:  # scikit-learn returns the difference of the two
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    weights = (weights - weights.mean(axis=0)) / deviation
    bias = bias - bias.mean() - weights @ mean
    return weights.T.reshape(*inputs.shape[1:], classes).astype(np.float32), bias.astype(np.float32)
