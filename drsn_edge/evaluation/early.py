"""How early a bundle without a network announces simulated faults, and how often wrongly: values, JSON and words.

`drsn_edge.evaluation.early_detection` measures them; a gateway only reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drsn_edge.errors import BundleError
from drsn_edge.signal.evidence import TIME_S
from drsn_edge.support.fields import parsed
from drsn_edge.support.invalid import InvalidValueError

MEMBER = "early.json"
"""Member of a bundle without a network that holds these figures."""

SEVERITIES_DB = (-30.0, -25.0, -20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
"""Power that a simulated fault adds, over the power of the healthy vibration, in dB."""

RELIABLE = 0.9
"""Share of stretches that must be announced, or named rightly, at a severity and at every larger one."""

_WHAT = (
    "dB: the power that a simulated fault adds over the healthy vibration, from which on it is announced, and named, "
    "after one second"
)


@dataclass(frozen=True)
class Early:
    """How early a kind of fault is announced.

    Attributes:
        fault: One of `drsn_edge.simulation.fault_signals.FAULTS`.
        announced_db: Smallest of `SEVERITIES_DB` from which on at least `RELIABLE` of the stretches are announced;
            None: not even the largest.
        named_db: The same for stretches that are announced and get the right name; None also if no name fits.
        announced: Share of the stretches that are announced, for each of `SEVERITIES_DB`.
        named: Share that get the right name.
        named_wrong: Share that get a wrong name.
        stretches: Number of stretches at each severity.
    """

    fault: str
    announced_db: float | None
    named_db: float | None
    announced: tuple[float, ...]
    named: tuple[float, ...]
    named_wrong: tuple[float, ...]
    stretches: int


@dataclass(frozen=True)
class FalseAlarms:
    """How often a healthy machine is UNKNOWN for at least a moment, by the median novelty of the last second.

    Attributes:
        heard_s: Time of the hold-out windows that were judged so, in seconds.
        events: How often the machine became UNKNOWN.
        per_day: Events for each day of such time; None without any time.
        interval_95: 95 % interval of `per_day`, as for independent events; None without any time.
    """

    heard_s: float
    events: int
    per_day: float | None
    interval_95: tuple[float, float] | None


@dataclass(frozen=True)
class FoundEarly:
    """How early faults are announced, and how often wrongly.

    Attributes:
        false_alarms: How often hold-out windows make the healthy machine UNKNOWN.
        faults: How early each kind of fault is announced; empty without a bearing, or if no stretch is long enough.
    """

    false_alarms: FalseAlarms
    faults: tuple[Early, ...]


def early_to_json(found: FoundEarly) -> dict[str, Any]:
    """Return the figures as plain JSON values."""
    return {
        "after_s": TIME_S,
        "severities_db": list(SEVERITIES_DB),
        "false_alarms": asdict(found.false_alarms),
        "faults": [asdict(each) for each in found.faults],
    }


def found_early(values: Mapping[str, Any]) -> FoundEarly:
    """Return what `early_to_json` has written."""
    alarms = FalseAlarms(**_with_tuples(values["false_alarms"]))
    return FoundEarly(alarms, tuple(Early(**_with_tuples(each)) for each in values["faults"]))


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def early_of(data: bytes) -> FoundEarly:
    """Return what the member of a bundle holds.

    Raises:
        BundleError: If it is damaged.
    """
    try:
        values = parsed(data)
        if list(values["severities_db"]) != list(SEVERITIES_DB):
            raise ValueError("it has other severities than this version")
        found = found_early(values)
        early_text(found)
        if not all(len(each.announced) == len(each.named) == len(SEVERITIES_DB) for each in found.faults):
            raise ValueError("a fault lacks severities")
    except (InvalidValueError, ValueError, TypeError, KeyError, AttributeError) as exc:
        why = str(exc).rstrip(".") or type(exc).__name__
        words = f"{MEMBER} is damaged: {why}. Make the bundle again with `drsn-edge convert`."
        raise BundleError(words, "damaged_early", member=MEMBER) from exc
    return found


def early_text(found: FoundEarly) -> list[str]:
    """Return the figures as lines of text."""
    alarms = found.false_alarms
    lines = [f"false alarms        {_alarms_text(alarms)}"]
    if found.faults:
        lines.append(f"{'simulated fault':20}{'announced':>10}{'named':>9}{'wrongly named':>15}")
        lines += [_early_row(each) for each in found.faults]
        lines.append(_WHAT)
    return lines


def _alarms_text(alarms: FalseAlarms) -> str:
    if alarms.per_day is None or alarms.interval_95 is None:
        return "not known: no recording of the hold-out set is long enough"
    low, high = alarms.interval_95
    said = f"{alarms.events} in {alarms.heard_s:.4g} s of the hold-out set"
    if not alarms.events:
        return f"{said}: fewer than {_count(high)} a day (95 %), which more recordings would narrow"
    return f"{said}: {_count(alarms.per_day)} a day, 95 % interval {_count(low)} to {_count(high)} as if independent"


def _count(a_day: float) -> str:
    return f"{a_day:,.0f}" if a_day >= 100 else f"{a_day:.2g}"


def _early_row(each: Early) -> str:
    announced = "not found" if each.announced_db is None else f"{each.announced_db:+.0f} dB"
    named = "-" if each.named_db is None else f"{each.named_db:+.0f} dB"
    return f"{each.fault:20}{announced:>10}{named:>9}{max(each.named_wrong):15.0%}"
