"""How early a model without a network announces faults, and how often it does so wrongly: hold-out windows in.

Faults are simulated into hold-out windows of the healthy machine (`drsn_edge.simulation.fault_signals`), from barely to
plainly visible. A fault counts as announced after one second: if the median novelty of the second is above the limit.
Hold-out windows set no limit. What was simulated is not what a real fault does; the figures compare kinds and models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.evaluation.early import RELIABLE, SEVERITIES_DB, Early, FalseAlarms, FoundEarly
from drsn_edge.evaluation.rows import Row, evidence_of, rows_of, stretches_of
from drsn_edge.evaluation.without_network import HealthyModel
from drsn_edge.signal.likeness import LIKE, NOT_LOCATED
from drsn_edge.signal.resemblance import Naming
from drsn_edge.simulation.fault_signals import FAULTS, Fault, Place, resonances_of, with_fault
from drsn_edge.support.poisson import interval

MOST_STRETCHES = 8
"""Most stretches into which each fault is simulated, evenly spaced among those that are not UNKNOWN without it."""

_DAY_S = 86_400.0


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
    low, high = interval(events)
    return FalseAlarms(heard_s, events, events / heard_s * _DAY_S, (low / heard_s * _DAY_S, high / heard_s * _DAY_S))


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
