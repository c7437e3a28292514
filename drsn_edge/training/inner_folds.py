"""The file inner_folds.npz of a run folder: what the chosen network says of windows that its inner folds held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.signal.windows import FloatArray
from drsn_edge.support.arrays import Form, typed_arrays
from drsn_edge.support.invalid import InvalidValueError

INNER_FOLDS = "inner_folds.npz"
MOST_BYTES = 256 << 20
_FORMS = {
    "logits": Form(np.float32, 2),
    "noisy_logits": Form(np.float32, 2),
    "labels": Form(np.int64, 1),
    "fold": Form(np.int64, 1),
    "fold_names": Form(np.str_, 1),
    "recordings": Form(np.str_, 1),
    "novelty": Form(np.float32, 1),
    "held_out": Form(np.str_, 0),
}


@dataclass(frozen=True)
class FoldedLogits:
    """The logits of windows, each by a network that was trained without the window's fold.

    Attributes:
        logits: Logits of the windows as recorded, shape (windows, classes).
        noisy_logits: Logits of the same windows with white noise at 0 dB, shape (windows, classes).
        labels: Class index of each window, shape (windows,).
        fold: Number of the fold of each window, shape (windows,).
        fold_names: What each fold held out, shape (folds,).
        recordings: Name of the recording of each window, shape (windows,).
        novelty: Novelty of each window as recorded, as a multiple of the limit; NaN if it is not known, shape
            (windows,).
        held_out: What the folds held out, in words; shape ().
    """

    logits: FloatArray
    noisy_logits: FloatArray
    labels: NDArray[np.int64]
    fold: NDArray[np.int64]
    fold_names: NDArray[np.str_]
    recordings: NDArray[np.str_]
    novelty: FloatArray
    held_out: NDArray[np.str_]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.labels)

    def pick(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> FoldedLogits:
        """Return the windows that `rows` names, by number or by a mask; the folds keep their numbers and names."""
        names = ("logits", "noisy_logits", "labels", "fold", "recordings", "novelty")
        return FoldedLogits(**{**vars(self), **{name: getattr(self, name)[rows] for name in names}})


def folded_from_bytes(data: bytes, n_classes: int | None = None) -> FoldedLogits:
    """Return the inner folds in a file's content.

    Args:
        data: Content of inner_folds.npz.
        n_classes: Number of classes; None: any.

    Raises:
        InvalidValueError: If it is no such file, or its arrays contradict each other.
    """
    found = FoldedLogits(**typed_arrays(data, MOST_BYTES, _FORMS))
    n, classes = found.logits.shape
    shapes = {found.labels.shape, found.fold.shape, found.recordings.shape, found.novelty.shape}
    if n == 0 or shapes != {(n,)} or found.noisy_logits.shape != (n, classes):
        words = "its arrays do not have one row for each window, or there is none"
        raise InvalidValueError(words, "wrong_shapes")
    if classes != (n_classes or classes):
        words = f"it has {classes} classes, the network has {n_classes}"
        raise InvalidValueError(words, "other_classes", got=classes, expected=n_classes)
    if not (_within(found.labels, classes) and _within(found.fold, len(found.fold_names))):
        raise InvalidValueError("it names a class or a fold that is not there", "out_of_range")
    if not (np.isfinite(found.logits).all() and np.isfinite(found.noisy_logits).all()):
        raise InvalidValueError("its logits are not all finite", "not_finite")
    return found


def _within(numbers: NDArray[np.int64], end: int) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() < end)
