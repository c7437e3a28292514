"""How the demo judges itself: a phase counts only if the decision is right when it ends."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

from drsn_edge.demo.run import PHASE_S, PHASES, DemoResult, Phase, check_recognised, judge_phases, watched_machine
from drsn_edge.errors import DemoError
from drsn_edge.monitor.stages.results import Decision, Result, Summary, WindowResult
from drsn_edge.verdicts import Verdict

WINDOW_S = 0.32
RATE_HZ = 3200.0


def decision(at_s: float, label: str | None) -> Decision:
    verdict = Verdict.CLASS if label else Verdict.NO_VERDICT
    reason = None if label else "lost samples"
    return Decision(WindowResult(0, at_s, verdict, label, {label: 1.0} if label else None, reason, 0), at_s)


def delays(*results: Result) -> list[float | None]:
    return [phase.delay_s for phase in judge_phases(results, WINDOW_S)]


def test_right_decisions_are_dated_at_the_end_of_their_window() -> None:
    found = delays(decision(0.5, "healthy"), decision(7.0, "outer_race"), decision(12.5, "imbalance"))
    assert found == pytest.approx([0.82, 1.32, 0.82])


def test_a_decision_that_is_wrong_again_at_the_end_of_its_phase_is_missed() -> None:
    wrong = delays(decision(0.5, "healthy"), decision(7.0, "outer_race"), decision(9.0, "healthy"))
    assert wrong == [pytest.approx(0.82), None, None]
    withdrawn = delays(decision(0.5, "healthy"), decision(5.0, None))
    assert withdrawn == [None, None, None]


def test_a_decision_counts_from_the_last_change_that_made_it_right() -> None:
    found = delays(decision(0.5, "healthy"), decision(2.0, "imbalance"), decision(3.0, "healthy"))
    assert found[0] == pytest.approx(3.32)


def test_a_decision_made_after_the_phase_does_not_count_for_it() -> None:
    assert delays(decision(PHASE_S - 0.1, "healthy"))[0] is None


def test_no_decision_at_all_misses_everything() -> None:
    assert delays() == [None, None, None]


def result(received: int, lost: int, delay_s: float | None = 1.0) -> DemoResult:
    phases = tuple(Phase(label, 0.0, 6.0, delay_s) for label in PHASES)
    summary = Summary(received, lost, 0, {}, {}, None)
    return DemoResult(phases, (summary,), np.zeros((1, 3), np.float32), RATE_HZ, WINDOW_S)


def test_the_demo_accepts_only_all_phases_and_all_samples() -> None:
    produced = round(len(PHASES) * PHASE_S * RATE_HZ)
    check_recognised(result(produced, 0))
    for received, lost in ((produced - 1, 0), (produced - 1, 1), (produced, 1)):
        with refused(DemoError, "samples", expected=produced, received=received, lost=lost):
            check_recognised(result(received, lost))
    with refused(DemoError, "not_recognised", conditions=list(PHASES)):
        check_recognised(result(produced, 0, None))


def test_the_watched_machine_goes_through_its_phases_sample_by_sample() -> None:
    accel_g = np.concatenate(list(watched_machine(0)))
    assert accel_g.shape == (round(len(PHASES) * PHASE_S * RATE_HZ), 3)
    healthy, outer_race, imbalance = np.split(accel_g[:, 0] - accel_g[:, 0].mean(), len(PHASES))
    kurtosis = [np.mean(part**4) / np.mean(part**2) ** 2 for part in (healthy, outer_race, imbalance)]
    assert kurtosis[1] > 4 > max(kurtosis[0], kurtosis[2])  # impacts
    assert imbalance.std() > 2 * healthy.std()
