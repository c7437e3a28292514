"""Accuracy of the int8 file and of its Keras model, with and without noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition, noise_conditions, with_noise
from drsn_edge.signal.windows import FloatArray

Logits = Callable[[WindowSet], FloatArray]
SNRS_DB = (-4.0, 0.0, 4.0, 8.0, 10.0)


@dataclass(frozen=True)
class AccuracyRow:
    """Accuracies under one condition, as shares of windows, 0 to 1.

    Attributes:
        condition: Kind of noise and signal-to-noise ratio; `CLEAN` for the windows as recorded.
        int8: Accuracy of the int8 file.
        calibrated: Accuracy of the file by calibration alone if the int8 file is fine-tuned; else None.
        float32: Accuracy of the Keras model; None without the model.
        same_class: Share of windows to which int8 file and Keras model assign the same class; None without the model.
    """

    condition: NoiseCondition
    int8: float
    calibrated: float | None
    float32: float | None
    same_class: float | None


def compare_accuracy(
    windows: WindowSet,
    int8: Logits,
    float32: Logits | None,
    calibrated: Logits | None = None,
    *,
    snrs_db: Sequence[float] = SNRS_DB,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[AccuracyRow, ...]:
    """Evaluate both models on windows as recorded, and with each kind of noise at each signal-to-noise ratio.

    Args:
        windows: Windows in the contract's unit, at least one.
        int8: The int8 file.
        float32: The Keras model; None if it is not available.
        calibrated: The file by calibration alone; None if that is `int8`, or unknown.
        snrs_db: Signal-to-noise ratios in dB.
        seed: Seed of the noise.
        progress: Called with the number of conditions that are done, and the number of all conditions.
    """
    conditions = (CLEAN, *noise_conditions(snrs_db))
    rows = []
    for done, condition in enumerate(conditions, start=1):
        noisy = with_noise(windows, condition, seed)
        ours = int8(noisy).argmax(axis=1)
        theirs, plain = (None if model is None else model(noisy).argmax(axis=1) for model in (float32, calibrated))
        rows.append(
            AccuracyRow(
                condition,
                float(np.mean(ours == windows.labels)),
                None if plain is None else float(np.mean(plain == windows.labels)),
                None if theirs is None else float(np.mean(theirs == windows.labels)),
                None if theirs is None else float(np.mean(ours == theirs)),
            )
        )
        if progress is not None:
            progress(done, len(conditions))
    return tuple(rows)


def accuracy_to_json(rows: Sequence[AccuracyRow]) -> list[dict[str, Any]]:
    """Return the rows as plain JSON values; the kind of noise is an empty text for the windows as recorded."""
    return [{**asdict(row.condition), **{k: v for k, v in vars(row).items() if k != "condition"}} for row in rows]
