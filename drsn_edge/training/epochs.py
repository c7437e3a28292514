"""The history of a training: a report for each epoch, the best epoch, and the end of the training."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG_COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "validation_accuracy",
    "validation_loss",
    "learning_rate",
    "feed_s",
    "step_s",
    "epoch_s",
    "step_share",
)


@dataclass(frozen=True)
class EpochReport:
    """The state of a training after an epoch (`step` = `steps`) or within one.

    Times differ from run to run and are ignored when reports are compared. The first step of a process builds the graph
    for seconds and is in none of the times.

    Attributes:
        epoch: Number of the epoch, from 1.
        epochs: Number of epochs of the training.
        step: Number of steps done in this epoch.
        steps: Number of steps of this epoch.
        loss: Mean loss over the steps done.
        accuracy: Share of the windows seen so far that were classified correctly at their step, 0 to 1.
        validation_accuracy: Share of the validation windows, as recorded, that are classified correctly after the
            epoch, 0 to 1; None without validation.
        validation_loss: Mean cross-entropy of the validation windows, without class weights; None without validation.
        learning_rate: Learning rate of the last step.
        feed_s: Time spent waiting for the epoch's windows, in s.
        step_s: Time spent in training steps, in s.
        epoch_s: Time from the end of the previous epoch to the end of this one, in s, with validation and checkpoint.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    learning_rate: float = 0.0
    feed_s: float = field(default=0.0, compare=False)
    step_s: float = field(default=0.0, compare=False)
    epoch_s: float = field(default=0.0, compare=False)

    @property
    def step_share(self) -> float:
        """Share of the epoch's time spent in training steps, 0 to 1."""
        return step_share([self])


def step_share(history: Sequence[EpochReport]) -> float:
    """Return the share of the time spent in training steps, 0 to 1."""
    total_s = sum(report.epoch_s for report in history)
    return sum(report.step_s for report in history) / total_s if total_s > 0 else 0.0


def best_epoch(history: Sequence[EpochReport]) -> int:
    """Return the epoch with the highest validation accuracy; among equal ones that with the lowest validation loss."""
    return max(history, key=_goodness).epoch


def is_over(history: Sequence[EpochReport], epochs: int, patience: int) -> bool:
    """Return whether all epochs are done, or validation has not improved for `patience` epochs (0: never)."""
    if len(history) == epochs:
        return True
    return bool(patience and history) and history[-1].epoch - best_epoch(history) >= patience


def write_log(history: Sequence[EpochReport], path: Path) -> None:
    """Write one row per epoch as CSV; unknown values are empty."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        writer.writerows([_cell(getattr(report, name)) for name in LOG_COLUMNS] for report in history)


def _goodness(report: EpochReport) -> tuple[float, float]:
    loss = report.validation_loss
    return report.validation_accuracy or 0.0, -loss if loss is not None and math.isfinite(loss) else -math.inf


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
