"""Pictures of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drsn_edge.support.pictures import BLUE, PAGE_DPI, draw_grid, new_figure, save_picture

if TYPE_CHECKING:
    from drsn_edge.training.epochs import EpochReport


def save_learning_curve(history: Sequence[EpochReport], path: Path) -> None:
    """Save loss and accuracies over the epochs as a PNG.

    Raises:
        OutputError: If it cannot be written.
    """
    epochs = [report.epoch for report in history]
    figure = new_figure(8, 4.5)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [report.loss for report in history], color=BLUE)
    left.set(xlabel="epoch", ylabel="training loss", yscale="log", title="Loss, with added noise")
    right.plot(epochs, [report.accuracy for report in history], label="training, with added noise")
    validation = [(r.epoch, r.validation_accuracy) for r in history if r.validation_accuracy is not None]
    if validation:
        right.plot(*zip(*validation, strict=True), label="validation, as recorded")
    right.set(xlabel="epoch", ylabel="accuracy", title="Accuracy")
    right.legend(loc="lower right")
    draw_grid(left, right)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    save_picture(figure, path, PAGE_DPI)
