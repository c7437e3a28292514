"""Pictures of an evaluation for paper and phone: one figure per picture, large enough for long labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from drsn_edge.evaluation.evaluation import Evaluation
from drsn_edge.evaluation.metrics import CALIBRATION_BINS
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.support.pictures import BLUE, GREEN, GREY, ORANGE, RED, SMALL, draw_grid, new_figure, png_of

_COLOURS = dict(zip(NOISE_KINDS, (BLUE, ORANGE, GREEN, RED), strict=True))
_MARKERS = dict(zip(NOISE_KINDS, "osD^", strict=True))
_CELL_INCHES = 0.55
_INCHES_PER_LETTER = 0.09


def save_pictures(evaluation: Evaluation, folder: Path) -> dict[str, str]:
    """Save every picture that the evaluation has data for; return the title of each file name."""
    saved = {}
    for name, (title, wanted, plot) in _PICTURES.items():
        if wanted(evaluation):
            (folder / name).write_bytes(png_of(plot(evaluation)))
            saved[name] = title
    return saved


def plot_noise(evaluation: Evaluation) -> Figure:
    """Plot accuracy against the signal-to-noise ratio, with a line for each kind of noise."""
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    for kind, colour in _COLOURS.items():
        points = [(each.snr_db, result.accuracy) for each, result in evaluation.noisy.items() if each.kind == kind]
        axes.plot(*zip(*points, strict=True), color=colour, marker=_MARKERS[kind], label=kind)
    axes.axhline(evaluation.clean.accuracy, color="black", linestyle=":", label="as recorded")
    axes.set(xlabel="signal-to-noise ratio, dB", ylabel="accuracy", ylim=(0, 1.02))
    axes.set_xticks(sorted({each.snr_db for each in evaluation.noisy}))
    figure.legend(loc="outside right upper", fontsize=9)
    draw_grid(axes)
    return figure


def plot_confusion(evaluation: Evaluation) -> Figure:
    """Plot the confusion matrix, coloured by the share of the true class."""
    confusion, labels = evaluation.clean.confusion, evaluation.model.labels
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    figure, axes = _grid(labels, labels)
    _heat(axes, shares, [[str(count) if count else "" for count in row] for row in confusion.tolist()])
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def plot_thresholds(evaluation: Evaluation) -> Figure:
    """Plot the mean threshold of each block and class, coloured from the block's smallest to its largest."""
    thresholds = evaluation.thresholds
    assert thresholds is not None
    occurring = np.unique(evaluation.data.windows.labels)
    rows = [evaluation.model.labels[each] for each in occurring]
    tau = thresholds.mean.T[occurring]
    figure, axes = _grid(rows, [str(number) for number in range(1, tau.shape[1] + 1)], cell_inches=0.75)
    above = tau - tau.min(axis=0)
    _heat(
        axes, above / np.maximum(above.max(axis=0), 1e-12), [[f"{value:.3g}" for value in row] for row in tau.tolist()]
    )
    axes.set(xlabel="block", ylabel="true class")
    return figure


def plot_calibration(evaluation: Evaluation) -> Figure:
    """Plot the calibration of the probabilities: accuracy and number of windows against confidence."""
    bins = evaluation.clean.calibration
    middles = [(each.above + each.up_to) / 2 for each in bins]
    figure = new_figure(6, 6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    style = {"width": 1 / CALIBRATION_BINS, "edgecolor": "white"}
    upper.bar(middles, [each.accuracy or 0.0 for each in bins], **style, color=BLUE, label="accuracy")
    upper.plot([0, 1], [0, 1], color="black", linestyle=":", label="confidence = accuracy")
    upper.set(ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1))
    figure.legend(loc="outside upper center", ncols=2, fontsize=9)
    lower.bar(middles, [each.count for each in bins], **style, color=GREY)
    lower.set(xlabel="confidence", ylabel="windows", yscale="symlog")
    draw_grid(upper, lower)
    return figure


_PICTURES: dict[str, tuple[str, Callable[[Evaluation], object], Callable[[Evaluation], Figure]]] = {
    "noise.png": ("Accuracy with noise", lambda evaluation: evaluation.noisy, plot_noise),
    "confusion.png": ("Confusion matrix", lambda evaluation: True, plot_confusion),
    "calibration.png": ("Calibration of the probabilities", lambda evaluation: True, plot_calibration),
    "thresholds.png": ("Thresholds", lambda evaluation: evaluation.thresholds is not None, plot_thresholds),
}


def _grid(rows: Sequence[str], columns: Sequence[str], cell_inches: float = _CELL_INCHES) -> tuple[Figure, Any]:
    """Return a figure large enough for all cells and names, and its axes with the names."""
    beside, below = (_INCHES_PER_LETTER * max(map(len, names)) + 0.8 for names in (rows, columns))
    figure = new_figure(max(4.0, cell_inches * len(columns) + beside), max(2.5, _CELL_INCHES * len(rows) + below))
    axes = figure.subplots()
    rotation = 90 if max(map(len, columns)) > 3 else 0
    axes.set_xticks(range(len(columns)), columns, rotation=rotation, parse_math=False)  # a $ in a label is a $
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    return figure, axes


def _heat(axes: Any, shares: NDArray[np.float64], texts: Sequence[Sequence[str]]) -> None:
    """Colour cells by a share from 0 to 1 and write a text into each, in white on dark cells."""
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=SMALL)
