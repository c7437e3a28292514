"""What a window said: in words, and as plain values, the same of a result and of a row of a history."""

from __future__ import annotations

import pytest

from drsn_edge.monitor.sinks.history_reader import DecisionRow
from drsn_edge.monitor.stages.results import WindowResult
from drsn_edge.monitor.stages.words import Said, said_by
from drsn_edge.verdicts import LOST_SAMPLES, Verdict

SCORES = {"calm": 0.25, "worn": 0.75}


def window(verdict: Verdict, label: str | None = None, reason: str | None = None, novelty: float | None = None) -> Said:
    scores = None if reason else SCORES
    return said_by(WindowResult(0, 0.0, verdict, label, scores, reason, 0, novelty))


@pytest.mark.parametrize(
    ("said", "state", "detail", "words"),
    [
        (window(Verdict.CLASS, "worn"), "worn", "worn", "worn (75%)"),
        (window(Verdict.NO_VERDICT, reason=LOST_SAMPLES), "NO_VERDICT", LOST_SAMPLES, "NO_VERDICT (lost samples)"),
        (
            window(Verdict.UNKNOWN, novelty=2.04), "UNKNOWN", "",
            "UNKNOWN (2.0 times the novelty limit; nearest worn)",
        ),
        (window(Verdict.UNKNOWN), "UNKNOWN", "", "UNKNOWN"),
        (Said("CLASS", "worn", None), "worn", "worn", "worn"),
        (DecisionRow(0.0, "CLASS", "worn", None, 0.75, 0.5).said, "worn", "worn", "worn (75%)"),
        (
            DecisionRow(0.0, "UNKNOWN", None, None, 0.75, 2.0).said, "UNKNOWN", "",
            "UNKNOWN (2.0 times the novelty limit)",
        ),
    ],
)  # fmt: skip
def test_what_was_said(said: Said, state: str, detail: str, words: str) -> None:
    assert (said.state, said.detail, said.words) == (state, detail, words)


def test_the_score_is_that_of_the_class_or_of_the_nearest_one() -> None:
    assert window(Verdict.CLASS, "calm").score == 0.25 and window(Verdict.CLASS, "calm").percent == "25%"
    unknown = window(Verdict.UNKNOWN, novelty=2.0)
    assert (unknown.score, unknown.nearest, unknown.percent) == (0.75, "worn", "")
    assert window(Verdict.NO_VERDICT, reason=LOST_SAMPLES).score is None
