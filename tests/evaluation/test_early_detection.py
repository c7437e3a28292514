"""How early simulated faults are announced, and how often a healthy machine is: figures of hold-out windows."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import BundleError
from drsn_edge.evaluation.early import (
    SEVERITIES_DB,
    FalseAlarms,
    FoundEarly,
    early_of,
    early_text,
    early_to_json,
    found_early,
)
from drsn_edge.evaluation.early_detection import early_detection, false_alarms, find_early
from drsn_edge.evaluation.without_network import HealthyModel
from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.naming import look
from drsn_edge.signal.references import hear, learn_references
from drsn_edge.signal.resemblance import Naming, learn_naming, stretch_samples
from drsn_edge.signal.windows import Scaling, cut_windows, window_starts

RATE_HZ, SHAFT_HZ, WINDOW = 4000.0, 25.0, 512
CONTRACT = SignalContract(RATE_HZ, ("x",), "g", WINDOW, WINDOW // 2, Scaling())


def vibration(seconds: int, seed: int) -> NDArray[np.float32]:
    """Return the vibration of a healthy machine in g: noise with a resonance."""
    noise = np.random.default_rng(seed).normal(scale=0.1, size=round(seconds * RATE_HZ))
    ringing = np.exp(-np.arange(60) / 12) * np.sin(2 * np.pi * 1100 / RATE_HZ * np.arange(60))
    return (noise + np.convolve(noise, ringing)[: len(noise)])[:, None].astype(np.float32)


def window_set(samples: NDArray[np.float32], first: int = 0, speed_hz: float = SHAFT_HZ) -> WindowSet:
    starts = window_starts(len(samples), WINDOW, WINDOW)
    cut, n = cut_windows(samples, starts, WINDOW), len(starts)
    return WindowSet(cut, np.zeros(n, np.int64), np.full(n, "later"), first + starts, np.full(n, speed_hz))


@pytest.fixture(scope="module")
def model() -> HealthyModel:
    windows = cut_windows(vibration(60, 0), window_starts(round(60 * RATE_HZ), WINDOW, WINDOW // 2), WINDOW)
    novelty = learn_references(hear(windows, np.zeros(len(windows), np.intp)), 0.01, unit="g")
    return HealthyModel("pump", "run folder", None, "tests", "healthy", CONTRACT, novelty, 0.01)


@pytest.fixture(scope="module")
def naming() -> Naming:
    n = stretch_samples(RATE_HZ, SHAFT_HZ)
    healthy = vibration(30, 0)
    looks = [look(healthy[at : at + n], RATE_HZ, SHAFT_HZ, SKF_6205) for at in range(0, len(healthy) - n, n)]
    return learn_naming({SHAFT_HZ: looks}, SKF_6205, 1)


@pytest.fixture(scope="module")
def found(model: HealthyModel, naming: Naming) -> FoundEarly:
    return find_early(model, naming, window_set(vibration(20, 1)), lambda done, of: None)


def test_a_plain_fault_is_announced_and_a_hidden_one_is_not(found: FoundEarly) -> None:
    by_fault = {each.fault: each for each in found.faults}
    assert len(by_fault) == 8 and {each.stretches for each in found.faults} == {8}
    for fault in ("outer_race", "inner_race", "imbalance"):
        each = by_fault[fault]
        assert each.announced[0] == 0.0 and each.announced[-1] == 1.0
        assert each.announced_db is not None and -30 < each.announced_db <= 0
        first = SEVERITIES_DB.index(each.announced_db)
        assert min(each.announced[first:]) >= 0.9 > each.announced[first - 1]
        assert each.named_db is not None and each.named_db >= each.announced_db
    assert by_fault["gear_tooth"].named_db is None


def test_a_name_needs_the_announcement(found: FoundEarly) -> None:
    for each in found.faults:
        for announced, named, wrong in zip(each.announced, each.named, each.named_wrong, strict=True):
            assert named + wrong <= announced + 1e-9


def test_a_stretch_that_is_unknown_by_itself_proves_nothing(model: HealthyModel, naming: Naming) -> None:
    samples = vibration(20, 1)
    samples[: round(15 * RATE_HZ)] += np.sin(2 * np.pi * 0.2 * np.arange(round(15 * RATE_HZ)))[:, None].astype("f4")
    found = early_detection(model, naming, window_set(samples))
    assert {each.stretches for each in found} == {4} and max(each.announced[0] for each in found) == 0


def test_without_a_speed_or_a_long_stretch_no_fault_is_simulated(model: HealthyModel, naming: Naming) -> None:
    assert early_detection(model, naming, window_set(vibration(20, 1), speed_hz=math.nan)) == ()
    assert early_detection(model, naming, window_set(vibration(20, 1)[:3000])) == ()


def test_each_time_that_the_machine_becomes_unknown_counts_once(model: HealthyModel) -> None:
    samples = vibration(30, 2)
    calm = false_alarms(model, window_set(samples))
    assert calm.events == 0 and calm.interval_95 == (0.0, pytest.approx(3.689 / calm.heard_s * 86_400, rel=1e-3))
    tone = np.sin(2 * np.pi * 500 / RATE_HZ * np.arange(len(samples)))[:, None]
    on = np.zeros((len(samples), 1), np.float32)
    for second in (5, 15):
        on[round(second * RATE_HZ) : round((second + 3) * RATE_HZ)] = 1
    disturbed = false_alarms(model, window_set((samples + tone * on).astype(np.float32)))
    assert disturbed.events == 2 and disturbed.heard_s == pytest.approx(29, abs=0.3)
    assert disturbed.per_day == pytest.approx(2 / disturbed.heard_s * 86_400)
    assert disturbed.interval_95 is not None
    assert disturbed.interval_95[0] < (disturbed.per_day or 0.0) < disturbed.interval_95[1]


def test_a_gap_between_windows_is_no_evidence_over_it(model: HealthyModel) -> None:
    one, other = window_set(vibration(10, 3)), window_set(vibration(10, 4), first=10**6)
    both = WindowSet(**{name: np.concatenate([a, getattr(other, name)]) for name, a in vars(one).items()})
    assert false_alarms(model, both).heard_s == pytest.approx(2 * false_alarms(model, one).heard_s)


@pytest.mark.parametrize(
    "change",
    [
        {"severities_db": [0]},
        {"false_alarms": None},
        {"false_alarms": {"heard_s": 1.0}},
        {"faults": [{"fault": "ball"}]},
        {"faults": 7},
    ],
)
def test_a_damaged_member_is_refused(found: FoundEarly, change: dict[str, Any]) -> None:
    values = early_to_json(found)
    assert early_of(json.dumps(values).encode()) == found_early(values)
    with refused(BundleError, "damaged_early", member="early.json"):
        early_of(json.dumps({**values, **change}).encode())
    with refused(BundleError, "damaged_early"):
        early_of(b"[" * 100_000)


def test_the_figures_come_back_from_json_and_stand_in_words(found: FoundEarly) -> None:
    values = early_to_json(found)
    assert early_to_json(found_early(values)) == values
    lines = early_text(found)
    assert lines[0].startswith("false alarms") and "fewer than" in lines[0]
    assert [line.split()[0] for line in lines[2:-1]] == [each.fault for each in found.faults]
    none = early_text(FoundEarly(FalseAlarms(0.0, 0, None, None), ()))
    assert len(none) == 1 and "not known" in none[0]
    some = replace(found, false_alarms=FalseAlarms(864.0, 10, 1000.0, (480.0, 1839.0)), faults=())
    assert "1,000 a day" in early_text(some)[0]
