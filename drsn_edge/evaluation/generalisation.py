"""Whether what a network learned holds beyond what it was trained on: held-out accuracy against validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

GAP = 0.10
"""By which the held-out accuracy may be below the validation's; more is said."""

_MACHINES = ("machine", "group", "name", "fold")
_ADVICE = {
    "time": "What was held out is the later part of the same recordings: the machines changed while they were "
    "recorded, and the network learned how they were at first. Record them on other days too, and train again.",
    "windows": "Both are windows of the same recordings: there are too few of them. Record longer, and train again.",
}
_OF_MACHINES = (
    "The network learned the machines of the training recordings, not the faults. Record more machines with each "
    "fault, and train again."
)


@dataclass(frozen=True)
class Generalisation:
    """What a training's own figures say.

    Attributes:
        rule: What was held out, as typed.
        held_out: Accuracy on it, without added noise, 0 to 1.
        validation: Accuracy of the kept epoch on the end of the training recordings; None where none was kept back.
    """

    rule: str
    held_out: float
    validation: float | None

    @property
    def warning(self) -> str:
        """What is wrong and what to do, in words; empty where the two agree."""
        if self.validation is None or self.validation - self.held_out <= GAP + 1e-9:
            return ""
        points = 100 * (self.validation - self.held_out)
        return (
            f"The held-out accuracy, {self.held_out:.1%} with {self.rule} held out, is {points:.0f} points below that "
            f"in validation, {self.validation:.1%}. {self._advice}"
        )

    @property
    def _advice(self) -> str:
        field = self.rule.partition("=")[0]
        if field in _MACHINES:
            return _OF_MACHINES
        return _ADVICE.get(field) or (
            f"The network learned what goes with the values of {field} in training, not the faults. Record each fault "
            f"with more values of {field} (other machines, where that is what it means), and train again."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "warning": self.warning}


def from_metrics(metrics: Mapping[str, Any]) -> Generalisation | None:
    """Return what a run's metrics.json says, None where it does not say it."""
    try:
        kept = next(report for report in metrics["epochs"] if report["epoch"] == metrics["kept_epoch"])
        values = {
            "rule": metrics["split"],
            "held_out": metrics["held_out"]["clean"]["accuracy"],
            "validation": kept["validation_accuracy"],
        }
    except (LookupError, TypeError, StopIteration):
        return None
    return from_json(values)


def from_json(values: object) -> Generalisation | None:
    """Return what `to_json` gave, None where it is something else; the rule becomes one plain line."""
    if not isinstance(values, Mapping):
        return None
    rule, held_out, validation = (values.get(key) for key in ("rule", "held_out", "validation"))
    if not (isinstance(rule, str) and _is_share(held_out) and (validation is None or _is_share(validation))):
        return None
    plain = rule if rule.isprintable() else ascii(rule)
    return Generalisation(plain[:200], float(held_out or 0), None if validation is None else float(validation))


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
