"""The picture of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from drsn_edge.support.pictures import BLUE, ORANGE, PAGE_DPI, SMALL, draw_grid, new_figure, save_picture

if TYPE_CHECKING:
    from drsn_edge.training.epochs import EpochReport


_HELD_OUT, _MARK = "black", "D"
"""Colour and mark of the hold-out set, apart from the curves of training and validation."""


def save_learning_curve(history: Sequence[EpochReport], held_out: float, kept_epoch: int, path: Path) -> None:
    """Save the picture of `plot_learning_curve` as a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    save_picture(plot_learning_curve(history, held_out, kept_epoch), path, PAGE_DPI)


def plot_learning_curve(history: Sequence[EpochReport], held_out: float, kept_epoch: int) -> Figure:
    """Plot the loss and the accuracies over the epochs, and the accuracy on the hold-out set at the end.

    The hold-out set is judged once, with the kept weights: its accuracy is a point at the kept epoch, and a dashed line
    across all epochs to compare the curves with.

    Args:
        history: Report of each epoch.
        held_out: Accuracy on the hold-out set as recorded, 0 to 1.
        kept_epoch: Epoch whose weights were kept.
    """
    epochs = [report.epoch for report in history]
    figure = new_figure(8, 4.5)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [report.loss for report in history], color=BLUE)
    left.set(xlabel="epoch", ylabel="mean loss", yscale="log", title="Training loss, with added noise")
    accuracies = [100 * report.accuracy for report in history]
    right.plot(epochs, accuracies, color=BLUE, label="training, with added noise")
    validation = [(r.epoch, 100 * r.validation_accuracy) for r in history if r.validation_accuracy is not None]
    if validation:
        right.plot(*zip(*validation, strict=True), color=ORANGE, label="validation, as recorded")
    right.axhline(100 * held_out, color=_HELD_OUT, linestyle="--", linewidth=1)
    label = f"hold-out set, at the end: {100 * held_out:.1f} %"
    right.plot([kept_epoch], [100 * held_out], _MARK, color=_HELD_OUT, linestyle="--", linewidth=1, label=label)
    right.set(xlabel="epoch", ylabel="accuracy, %", title="Accuracy")
    right.legend(loc="best", fontsize=SMALL)
    draw_grid(left, right)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure
