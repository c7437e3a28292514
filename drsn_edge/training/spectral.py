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

_LEAST_SPREAD = 0.01**2
"""Mean square of log10 of the speeds about the mean of their class below which they have no trend: 2 % of the speed."""


def standardised(contract: SignalContract, windows: WindowSet, *, speed_trend: bool = False) -> SignalContract:
    """Return the contract with the mean and standard deviation of each channel over the training windows.

    Args:
        contract: Contract without standardisation.
        windows: Training windows.
        speed_trend: Whether the trend of the bands with the shaft speed is fitted first, and taken away.
    """
    if contract.spectra is None:
        return contract
    if speed_trend:
        bands = contract.spectra.channels_of("bands", len(contract.axes))
        logs = network_input(windows.windows, contract, windows.speeds_hz)[:, 0, :, bands]
        slopes = speed_slopes(logs, windows.speeds_hz, windows.labels)
        contract = replace(contract, spectra=replace(contract.spectra, slopes=tuple(slopes.ravel().tolist())))
    inputs = network_input(windows.windows, contract, windows.speeds_hz)
    assert contract.spectra is not None
    means = inputs.mean(axis=(0, 1, 2), dtype=np.float64)
    deviations = np.maximum(_LEAST_DEVIATION, inputs.std(axis=(0, 1, 2), dtype=np.float64))
    known = replace(contract.spectra, means=tuple(means.tolist()), deviations=tuple(deviations.tolist()))
    return replace(contract, spectra=known)


def speed_slopes(logs: FloatArray, speeds_hz: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the change of log band powers with log10 of the shaft speed within a class, shape (lines, axes).

    One line through all classes, each about its own mean: a straight line carries over to speeds that were not
    recorded, and needs no more than two of them. The slopes are rounded, so that they take little room in a file.

    Args:
        logs: log10 of the powers, shape (n, lines, axes).
        speeds_hz: Shaft speed of each window in turns per second, shape (n,).
        labels: Class of each window, shape (n,).
    """
    _, which = np.unique(labels, return_inverse=True)
    counts = np.bincount(which)
    speeds = np.log10(speeds_hz)
    speeds = speeds - (np.bincount(which, speeds) / counts)[which]
    spread = float(speeds @ speeds)
    if spread < _LEAST_SPREAD * len(speeds):
        return np.zeros(logs.shape[1:])
    return np.asarray(np.round(np.tensordot(speeds, logs, axes=(0, 0)) / spread, 4))


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
