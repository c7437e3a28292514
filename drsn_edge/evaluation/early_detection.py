"""How early a model without a network announces faults, and how often it does so wrongly: hold-out windows in.

Faults are simulated into hold-out windows of the healthy machine (`drsn_edge.simulation.fault_signals`), from barely to
plainly visible. A fault counts as announced after one second: if the median novelty of the second is above the limit.
Hold-out windows set no limit. What was simulated is not what a real fault does; the figures compare kinds and models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.rows import Row, evidence_of, rows_of, stretches_of
from drsn_edge.evaluation.without_network import HealthyModel
from drsn_edge.signal.evidence import TIME_S
from drsn_edge.signal.likeness import LIKE, NOT_LOCATED
from drsn_edge.signal.resemblance import Naming
from drsn_edge.simulation.fault_signals import FAULTS, Fault, Place, resonances_of, with_fault

SEVERITIES_DB = (-30.0, -25.0, -20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
"""Power that a simulated fault adds, over the power of the healthy vibration, in dB."""

MOST_STRETCHES = 8
"""Most stretches into which each fault is simulated, evenly spaced among those that are not UNKNOWN without it."""

RELIABLE = 0.9
"""Share of stretches that must be announced, or named rightly, at a severity and at every larger one."""

_DAY_S = 86_400.0
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


def find_early(
    model: HealthyModel, naming: Naming | None, held_out: WindowSet, show: Callable[[int, int], object]
) -> FoundEarly:
    """Return how early faults are announced, and how often wrongly.

    Args:
        model: The model.
        naming: What it names changes by; None: no fault is simulated.
        held_out: Healthy windows without overlap that set no limit, in the contract's unit.
        show: Called with the number of severities that are done, and of all.
    """
    faults = () if naming is None else early_detection(model, naming, held_out, show)
    return FoundEarly(false_alarms(model, held_out), faults)


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
    alarms = FalseAlarms(**values["false_alarms"])
    return FoundEarly(alarms, tuple(Early(**each) for each in values["faults"]))


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
        return f"{said}: fewer than {_count(high)} a day, which more recordings would narrow"
    return f"{said}: {_count(alarms.per_day)} a day, 95 % interval {_count(low)} to {_count(high)}"


def _count(a_day: float) -> str:
    return f"{a_day:,.0f}" if a_day >= 100 else f"{a_day:.2g}"


def _early_row(each: Early) -> str:
    announced = "not found" if each.announced_db is None else f"{each.announced_db:+.0f} dB"
    named = "-" if each.named_db is None else f"{each.named_db:+.0f} dB"
    return f"{each.fault:20}{announced:>10}{named:>9}{max(each.named_wrong):15.0%}"


def early_detection(
    model: HealthyModel, naming: Naming, held_out: WindowSet, show: Callable[[int, int], object] = lambda done, of: None
) -> tuple[Early, ...]:
    """Return how early each kind of fault is announced and named; nothing if no stretch is long enough.

    Args:
        model: The model.
        naming: What it names changes by.
        held_out: Healthy windows without overlap that set no limit, in the contract's unit.
        show: Called with the number of severities that are done, and of all.
    """
    stretches = _some(_stretches(model, held_out))
    if not stretches:
        return ()
    total, found = len(FAULTS) * len(SEVERITIES_DB), list[Early]()
    for fault in FAULTS:
        rows = list[list[tuple[bool, str]]]()
        for severity_db in SEVERITIES_DB:
            made = Fault(fault, severity_db)
            rows.append([_outcome(model, naming, each, made, at) for at, each in enumerate(stretches)])
            show(len(found) * len(SEVERITIES_DB) + len(rows), total)
        found.append(_early(fault, rows))
    return tuple(found)


def false_alarms(model: HealthyModel, held_out: WindowSet) -> FalseAlarms:
    """Return how often healthy windows make the machine UNKNOWN.

    Args:
        model: The model.
        held_out: Healthy windows without overlap that set no limit, in the contract's unit.
    """
    contract, heard_s, events = model.contract, 0.0, 0
    for row in rows_of(held_out, contract.window):
        novelties = evidence_of(model.novelty, contract, row.samples)
        heard_s += len(novelties) * contract.hop_s
        events += int(np.count_nonzero(np.diff(np.concatenate([[False], novelties > 1]).astype(int)) == 1))
    if not heard_s:
        return FalseAlarms(0.0, 0, None, None)
    low, high = poisson_interval(events)
    return FalseAlarms(heard_s, events, events / heard_s * _DAY_S, (low / heard_s * _DAY_S, high / heard_s * _DAY_S))


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of a Poisson count; of a count of 0, with all 5 % above it.

    Source: Garwood 1936, "Fiducial limits for the Poisson distribution".
    """
    if count == 0:
        return 0.0, -math.log(0.05)

    def mean(share: float, fewest: int) -> float:
        """Return the mean at which a count below `fewest` has this probability."""
        low, high = 0.0, 10.0 * (count + 5)
        for _ in range(100):
            middle = (low + high) / 2
            terms = (math.exp(k * math.log(middle) - middle - math.lgamma(k + 1)) for k in range(fewest))
            low, high = (middle, high) if sum(terms) > share else (low, middle)
        return low

    return mean(0.975, count), mean(0.025, count + 1)


def _stretches(model: HealthyModel, windows: WindowSet) -> list[Row]:
    """Return stretches that are long enough for a name, without overlap, and not UNKNOWN as they are."""
    found = stretches_of(windows, model.contract)
    return [each for each in found if not evidence_of(model.novelty, model.contract, each.samples)[-1] > 1]


def _some(rows: Sequence[Row]) -> list[Row]:
    at = np.linspace(0, len(rows) - 1, min(len(rows), MOST_STRETCHES)).round().astype(int)
    return [rows[each] for each in at.tolist()]


def _outcome(model: HealthyModel, naming: Naming, healthy: Row, fault: Fault, seed: int) -> tuple[bool, str]:
    """Return whether a fault in a stretch is announced, and what it is said to resemble."""
    rate = model.contract.sample_rate_hz
    place = Place(rate, healthy.shaft_hz, naming.bearing, resonances_of(healthy.samples[None], rate))
    samples = with_fault(healthy.samples[None], fault, place, seed)[0]
    is_announced = bool(evidence_of(model.novelty, model.contract, samples)[-1] > 1)
    return is_announced, naming.label_of(samples, rate, healthy.shaft_hz) if is_announced else NOT_LOCATED


def _early(fault: str, rows: Sequence[Sequence[tuple[bool, str]]]) -> Early:
    right = LIKE + fault
    announced = tuple(float(np.mean([is_announced for is_announced, _ in row])) for row in rows)
    named = tuple(float(np.mean([said == right for _, said in row])) for row in rows)
    wrong = tuple(float(np.mean([said not in (right, NOT_LOCATED) for _, said in row])) for row in rows)
    return Early(fault, _from_on(announced), _from_on(named), announced, named, wrong, len(rows[0]))


def _from_on(shares: Sequence[float]) -> float | None:
    """Return the smallest severity from which on each share is reliable; None without one."""
    below = [at for at, share in enumerate(shares) if share < RELIABLE]
    first = below[-1] + 1 if below else 0
    return SEVERITIES_DB[first] if first < len(shares) else None
