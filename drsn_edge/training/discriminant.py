"""Linear discriminants beside a network for log spectra, fitted in closed form.

A linear discriminant whitens with the pooled covariance of everything that varies within a class: speed, load, place in
the recording. At speeds that are not in the training it is more accurate than a network, which learns properties of the
training speeds; in noise the network is more accurate. Their errors differ, so that their sum is better than either.

In the network the discriminant is a convolution over the whole input, which int8 kernels run like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.span import Split
from drsn_edge.models.config import DrsnConfig
from drsn_edge.models.drsn import DISCRIMINANT
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray
from drsn_edge.training.feed import draw_windows
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.subclasses import in_subclasses, subclass_numbers

SHRINKAGE = 0.05
"""Shrinkage of the covariance towards a multiple of the identity; hundreds of lines, and neighbours are correlated."""

_DRAWS = 3
"""Number of draws of the training windows for the fit, each with its own places and noise."""

_LEAST_DEVIATION = 0.1


def fit_discriminants(
    model: Any, network: DrsnConfig, split: Split, settings: TrainSettings, contract: SignalContract
) -> None:
    """Fit the discriminant of each branch to training windows of the network, and set its weights in the model.

    Args:
        model: Model of `build_model` with `discriminants`.
        network: Its sizes.
        split: Only its training side is used.
        settings: How training windows are drawn; `research.discriminants` is the weight of the discriminants.
        contract: How windows become inputs of the network.
    """
    drawn = [draw_windows(split, settings, draw) for draw in range(1, _DRAWS + 1)]
    inputs = np.concatenate([network_input(each.windows, contract, each.speeds_hz) for each in drawn])
    classes, numbers = network.n_classes, subclass_numbers(split.train, settings.research.subclass_field)
    labels = np.concatenate([in_subclasses(each.labels, each.recordings, numbers, classes) for each in drawn])
    weight, first = settings.research.discriminants, 0
    for number, count in enumerate(network.branches, start=1):
        own = slice(first, first + count)
        kernel, bias = discriminant_of_subclasses(inputs[..., own], labels, classes, network.subclasses)
        whole = np.zeros((*inputs.shape[1:], kernel.shape[-1]), np.float32)
        whole[..., own, :] = weight * kernel
        for subclass in range(network.subclasses):
            outputs = slice(subclass * classes, (subclass + 1) * classes)
            layer = model.get_layer(f"{DISCRIMINANT}_{number}_{subclass + 1}")
            layer.set_weights([whole[..., outputs], weight * bias[outputs]])
        first += count


def discriminant_of_subclasses(
    inputs: FloatArray, labels: NDArray[np.int64], n_classes: int, subclasses: int
) -> tuple[FloatArray, FloatArray]:
    """Return kernel (1, lines, channels, subclasses * n_classes) and bias of the discriminant of all subclasses.

    A subclass without windows gets the outputs of another one of its class.

    Args:
        inputs: Log spectra, shape (n, 1, lines, channels).
        labels: Index among all subclasses of each window, shape (n,); number i belongs to class i % n_classes.
        n_classes: Number of classes.
        subclasses: Subclasses of each class.
    """
    known, compact = np.unique(labels, return_inverse=True)
    kernel, bias = discriminant(inputs, compact)
    place = {int(each): at for at, each in enumerate(known)}
    of_class = {int(each) % n_classes: at for at, each in enumerate(known)}
    chosen = [place.get(number, of_class[number % n_classes]) for number in range(n_classes * subclasses)]
    return kernel[..., chosen], bias[chosen]


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
