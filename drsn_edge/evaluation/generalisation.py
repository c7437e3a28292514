"""Whether a network generalises beyond its training recordings: held-out accuracy against validation accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

GAP = 0.10
"""Largest difference of validation accuracy and held-out accuracy without a warning."""

LEAST_WINDOWS = 30
"""Fewest held-out windows of each class from which anything is concluded: of 30, chance moves a share by 0.09."""

_MACHINES = ("machine", "group", "name", "fold")
_ADVICE = {
    "time": "The hold-out set is the end of the same recordings: the machines changed during the recordings, and the "
    "network learned their beginning. Record them on other days as well, and train again.",
    "windows": "Both are windows of the same recordings, of which there are too few. Record longer, and train again.",
}
_OF_MACHINES = (
    "The network learned the machines of the training recordings, not the faults. Record more machines with each "
    "fault, and train again."
)


@dataclass(frozen=True)
class Generalisation:
    """Accuracies of a training.

    Attributes:
        rule: Split rule as typed.
        held_out: Accuracy on the hold-out set without added noise, 0 to 1.
        validation: Validation accuracy of the kept epoch, 0 to 1; None for a training without validation.
        fewest_windows: Held-out windows of the class that has the fewest; None if not known.
    """

    rule: str
    held_out: float
    validation: float | None
    fewest_windows: int | None = None

    @property
    def warning(self) -> str:
        """Sentences about the gap and what to do; empty if the two accuracies agree."""
        if self.validation is None or self.validation - self.held_out <= GAP + 1e-9:
            return ""
        if self.fewest_windows is not None and self.fewest_windows < LEAST_WINDOWS:
            return ""
        points = 100 * (self.validation - self.held_out)
        return (
            f"The held-out accuracy, {self.held_out:.1%} with --hold-out {self.rule}, is {points:.0f} percentage "
            f"points below the validation accuracy, {self.validation:.1%}. {self._advice}"
        )

    @property
    def _advice(self) -> str:
        field = self.rule.partition("=")[0]
        if field in _MACHINES:
            return _OF_MACHINES
        return _ADVICE.get(field) or (
            f"The network learned the values of {field} in training, not the faults. Record each fault with more "
            f"values of {field} (with more machines, if {field} stands for a machine), and train again."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the accuracies and the warning as plain JSON values."""
        return {**asdict(self), "warning": self.warning}


def from_metrics(metrics: Mapping[str, Any]) -> Generalisation | None:
    """Return the accuracies in a run's metrics.json; None if they are missing."""
    try:
        kept = next(report for report in metrics["epochs"] if report["epoch"] == metrics["kept_epoch"])
        values = {
            "rule": metrics["split"],
            "held_out": metrics["held_out"]["clean"]["accuracy"],
            "validation": kept["validation_accuracy"],
            "fewest_windows": _fewest(metrics["held_out"]["clean"].get("confusion")),
        }
    except (LookupError, TypeError, StopIteration):
        return None
    return from_json(values)


def from_json(values: object) -> Generalisation | None:
    """Return the accuracies that `to_json` wrote; None for any other value. The rule becomes one printable line."""
    if not isinstance(values, Mapping):
        return None
    rule, held_out, validation = (values.get(key) for key in ("rule", "held_out", "validation"))
    fewest = values.get("fewest_windows")
    if not (isinstance(rule, str) and _is_share(held_out) and (validation is None or _is_share(validation))):
        return None
    plain = rule if rule.isprintable() else ascii(rule)
    known = None if validation is None else float(validation)
    return Generalisation(plain[:200], float(held_out or 0), known, fewest if type(fewest) is int else None)


def _fewest(confusion: object) -> int | None:
    """Return the windows of the class that has the fewest, of those with any; None without a confusion matrix."""
    counts = [sum(row) for row in confusion] if isinstance(confusion, list) else []
    return min((count for count in counts if count), default=None)


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
