from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused
from scipy import stats

from drsn_edge.errors import OutputError
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition
from drsn_edge.reproduce.jobs import Job, JobResult, Score, as_settings
from drsn_edge.reproduce.names import SUITES
from drsn_edge.reproduce.protocols import PROTOCOLS, adi_speed, paper, suite_jobs
from drsn_edge.reproduce.statistics import difference, over_seeds, paired_difference, summarise
from drsn_edge.reproduce.tables import accuracy, as_markdown, macro_f1, write_markdown
from drsn_edge.training.settings import settings_from


def outcome(value: float, **changes: Any) -> JobResult:
    values = {"protocol": "adi_speed", "data": "d", "model": "rsbu-cw", "hold_out": "rpm=600", "seed": 0}
    conditions = changes.pop("conditions", (CLEAN,))
    settings = as_settings(changes.pop("settings", {}))
    job = Job(**{**values, **changes}, settings=settings, conditions=conditions)
    return JobResult(job, tuple(Score(c, 100, value, value / 2) for c in conditions), 3600.0, {"drsn-edge": "9"})


def test_a_summary_by_hand() -> None:
    found = summarise([0.1, 0.2, 0.6])
    assert (found.mean, found.seeds) == (pytest.approx(0.3), 3)
    assert found.deviation == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert math.isnan(summarise([0.5]).deviation)


def test_folds_are_averaged_before_seeds() -> None:
    outcomes = [
        outcome(v, seed=s, hold_out=f) for v, s, f in ((0.2, 0, "a"), (0.4, 0, "b"), (0.4, 1, "a"), (0.8, 1, "b"))
    ]
    found = over_seeds(outcomes, "clean", accuracy)
    assert found is not None
    assert (found.mean, found.deviation) == (pytest.approx(0.45), pytest.approx(np.std([0.3, 0.6], ddof=1)))


def test_a_seed_without_all_folds_does_not_count() -> None:
    outcomes = [outcome(0.2, hold_out="a"), outcome(0.4, hold_out="b"), outcome(0.9, seed=1, hold_out="a")]
    found = over_seeds(outcomes, "clean", accuracy)
    assert found is not None
    assert (found.mean, found.seeds) == (pytest.approx(0.3), 1)
    assert over_seeds(outcomes, "pink_0_db", accuracy) is None


def test_differences_are_paired_by_everything_but_the_model() -> None:
    outcomes = [
        outcome(
            value + shift, model=model, seed=seed, settings={"noise": (kind,)}, conditions=(NoiseCondition(kind, 0.0),)
        )
        for seed, kind, value in ((0, "pink", 0.2), (1, "pink", 0.5), (0, "gaussian", 0.9))
        for model, shift in (("rsbu-cw", 0.01 * (seed + 1)), ("residual", 0.0))
    ]
    lonely = outcome(0.1, seed=7, conditions=(NoiseCondition("pink", 0.0),))
    found = paired_difference([*outcomes, lonely], "rsbu-cw", "residual", accuracy)
    assert found is not None
    assert (found.pairs, found.mean) == (3, pytest.approx(0.04 / 3))
    assert paired_difference([lonely], "rsbu-cw", "residual", accuracy) is None


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    values = [0.01, 0.03, -0.02, 0.05]
    found, expected = difference(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert math.isnan(difference([0.5]).low)


def cells(markdown: str, begins: str) -> list[str]:
    row = next(line for line in markdown.splitlines() if re.match(rf"\| {begins} ", line))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_table_shows_each_fold_and_the_mean_over_seeds() -> None:
    outcomes = [
        outcome(v, seed=s, hold_out=f) for v, s, f in ((0.2, 0, "a"), (0.4, 0, "b"), (0.4, 1, "a"), (0.8, 1, "b"))
    ]
    row = cells(as_markdown(outcomes), "rsbu-cw")
    assert row == ["rsbu-cw", "clean", "30.0 +- 14.1", "60.0 +- 28.3", "45.0 +- 21.2", "2", "200"]


def test_macro_f1_is_shown_where_it_is_the_measure() -> None:
    row = cells(as_markdown([outcome(0.8, protocol="cwru_bearing")]), "rsbu-cw")
    assert row[2] == "40.0"
    assert macro_f1(outcome(0.8).scores[0]) == 0.4


def test_the_papers_table_gives_the_difference_with_its_interval() -> None:
    outcomes = [
        outcome(v, protocol="paper", model=model, seed=seed, conditions=(NoiseCondition("pink", 0.0),))
        for seed, model, v in ((0, "rsbu-cw", 0.9), (0, "residual", 0.88), (1, "rsbu-cw", 0.94), (1, "residual", 0.90))
    ]
    text = as_markdown([*outcomes, outcome(0.1, protocol="paper", seed=2, conditions=(NoiseCondition("pink", 0.0),))])
    assert cells(text, "pink +\\| 0 dB")[2:] == ["92.0 +- 2.8", "89.0 +- 1.4", "+3.00 (-9.71 to +15.71)"]
    assert cells(text, "all")[2:] == ["92.00", "89.00", "+3.00 (-9.71 to +15.71)"]


def test_protocols_without_results_are_left_out() -> None:
    text = as_markdown([outcome(0.5)])
    assert text.count("\n## ") == 1
    assert "1.0 core hours" in text
    assert "drsn-edge 9" in text
    assert "No results yet" in as_markdown([])


def test_the_document_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "ACCURACY.md"
    write_markdown([], path)
    write_markdown([outcome(0.5)], path)
    assert path.read_text() == as_markdown([outcome(0.5)])
    other = tmp_path / "thesis.md"
    other.write_text("# Thesis\n")
    with refused(OutputError, "holds_something_else", path=other):
        write_markdown([], other)
    assert other.read_text() == "# Thesis\n"


@pytest.mark.parametrize("suite", SUITES)
def test_every_job_has_settings_that_training_takes(suite: str) -> None:
    jobs = suite_jobs(suite, 3)
    assert len(set(jobs)) == len(jobs)
    for job in jobs:
        settings_from({**dict(job.settings), "hold_out": job.hold_out, "seed": job.seed, "block": "rsbu-cw"})
    assert {protocol.suite for protocol in PROTOCOLS} == set(SUITES)


def test_the_papers_pairs_differ_in_the_block_alone() -> None:
    jobs = paper(2)
    assert len(jobs) == 2 * 9 * 2
    for one, other in zip(jobs[::2], jobs[1::2], strict=True):
        assert (one.model, other.model) == ("rsbu-cw", "residual")
        assert (one.settings, one.conditions, one.seed) == (other.settings, other.conditions, other.seed)


def test_no_held_out_value_of_a_split_is_forgotten() -> None:
    assert {job.hold_out for job in adi_speed(1)} == {"rpm=600", "rpm=1200", "rpm=1800", "rpm=3000"}
    assert [job.seed for job in adi_speed(3) if job.model == "rsbu-cw"] == [0] * 4 + [1] * 4 + [2] * 4
