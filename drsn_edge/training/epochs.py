"""The course of a training: a report for each epoch, and what follows from them."""

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
    """What is known after an epoch (`step` = `steps`) or in the middle of one.

    Times differ from run to run and do not count when reports are compared. The first step of a process, which builds
    the graph for seconds, is in none of them.

    Attributes:
        epoch: Counted from 1.
        epochs: Of the whole training.
        step: Steps done in this epoch.
        steps: Of this epoch.
        loss: Mean over the steps done.
        accuracy: Share of the windows seen that were called right at their step.
        validation_accuracy: After the epoch, of the validation windows as recorded, if there are any.
        validation_loss: Their mean cross-entropy, without class weights.
        learning_rate: At the last step done.
        feed_s: Time spent waiting for the epoch's windows.
        step_s: Time spent in the network's training steps.
        epoch_s: From the end of the epoch before to the end of this one; validation and checkpoint included.
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
        """Share of the epoch's time that was spent in the network's training steps."""
        return step_share([self])


def step_share(history: Sequence[EpochReport]) -> float:
    """Return the share of the time that was spent in the network's training steps, 0 to 1."""
    total_s = sum(report.epoch_s for report in history)
    return sum(report.step_s for report in history) / total_s if total_s > 0 else 0.0


def best_epoch(history: Sequence[EpochReport]) -> int:
    """Return the epoch of the highest validation accuracy, of equal ones that of the lowest validation loss."""
    return max(history, key=_goodness).epoch


def is_over(history: Sequence[EpochReport], epochs: int, patience: int) -> bool:
    """Tell whether all epochs are done, or the last `patience` of them brought no better validation (0: all count)."""
    if len(history) == epochs:
        return True
    return bool(patience and history) and history[-1].epoch - best_epoch(history) >= patience


def write_log(history: Sequence[EpochReport], path: Path) -> None:
    """Write one row per epoch as CSV; what is not known is left empty."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        writer.writerows([_cell(getattr(report, name)) for name in LOG_COLUMNS] for report in history)


def _goodness(report: EpochReport) -> tuple[float, float]:
    loss = report.validation_loss
    return report.validation_accuracy or 0.0, -loss if loss is not None and math.isfinite(loss) else -math.inf


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
