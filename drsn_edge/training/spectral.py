"""Standardization and augmentation of log spectra, for trainings with such inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.network_input import network_input
from drsn_edge.signal.windows import FloatArray

_LEAST_DEVIATION = 0.1


def standardised(contract: SignalContract, windows: WindowSet) -> SignalContract:
    """Return the contract with the mean and standard deviation of each channel over the training windows."""
    if contract.spectra is None:
        return contract
    inputs = network_input(windows.windows, contract, windows.speeds_hz)
    means = inputs.mean(axis=(0, 1, 2), dtype=np.float64)
    deviations = np.maximum(_LEAST_DEVIATION, inputs.std(axis=(0, 1, 2), dtype=np.float64))
    known = replace(contract.spectra, means=tuple(means.tolist()), deviations=tuple(deviations.tolist()))
    return replace(contract, spectra=known)


def mix_styles(inputs: FloatArray, labels: NDArray[np.int64], strength: float, rng: np.random.Generator) -> FloatArray:
    """Return log spectra plus a random multiple of the difference between two other spectra of one class.

    Two windows of one class differ in speed, load, noise, or place in the recording, but not in the class. In log
    spectra such a difference is a transfer function, which may apply to any other window. Linear discriminants whiten
    with the same differences.

    Args:
        inputs: Log spectra, shape (n, 1, lines, channels).
        labels: Classes, shape (n,).
        strength: Standard deviation of the multiple; 0 returns the inputs unchanged.
        rng: Source of all random numbers.
    """
    if not strength:
        return inputs
    one = rng.integers(0, len(inputs), len(inputs))
    other = _of_the_same_class(labels, one, rng)
    factor = rng.normal(0, strength, (len(inputs), 1, 1, 1)).astype(np.float32)
    return inputs + factor * (inputs[one] - inputs[other])


def _of_the_same_class(
    labels: NDArray[np.int64], chosen: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    classes = labels[chosen]
    return order[first[classes] + rng.integers(0, counts[classes])]
