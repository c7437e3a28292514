"""UNSURE: which windows are too close to call, and what decision and alarms make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.bundle.votes import Votes
from drsn_edge.errors import SettingsError
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings, Evidence
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Result, WindowResult
from drsn_edge.monitor.stages.settings import MonitorSettings
from drsn_edge.runtime.classifier import softmax
from drsn_edge.verdicts import Verdict

WindowsOf = Callable[[Iterable[Result]], list[WindowResult]]

PROMISE = Promise(1.0, "another rpm of these machines", 3, 900, (RiskPoint(0.8, 0.05, 0.8, 0.9),))
"""The classifier of the bench is 79 % sure of calm, and 87 % of worn and loud."""

UNSURE = WindowResult.unsure(0, 0.0, {"calm": 0.5, "worn": 0.45, "loud": 0.05}, 0.5, 0.1)
WORN = WindowResult.of_class(0, 0.0, "worn", {"calm": 0.1, "worn": 0.8, "loud": 0.1}, 0.5, 0.1)
DAMAGED = WindowResult.without_verdict(0, 0.0, "clipped")


def test_a_window_below_the_limit_is_unsure_and_names_the_two_best_classes(
    new_bench: Any, sensor: Any, windows_of: WindowsOf
) -> None:
    bench = new_bench(promise=PROMISE, at_most_wrong=0.05)
    found = windows_of(bench.take(sensor.hello(), sensor.blocks("calm", 9), sensor.blocks("worn", 9)))
    assert {each.verdict for each in found[:7]} == {Verdict.UNSURE}
    assert {each.between for each in found[:7]} == {("calm", "worn")}
    assert [(each.label, each.between) for each in found[-7:]] == [("worn", None)] * 7
    assert all(each.level_rms is not None and each.scores for each in found)
    assert bench.monitor.stream.counts.verdicts == {"CLASS": 9, "UNKNOWN": 0, "UNSURE": 8, "NO_VERDICT": 0}


def test_nothing_is_unsure_unless_it_is_asked_for(new_bench: Any, sensor: Any, windows_of: WindowsOf) -> None:
    bench = new_bench(promise=PROMISE)
    found = windows_of(bench.take(sensor.hello(), sensor.blocks("calm", 9)))
    assert {each.label for each in found} == {"calm"}


def test_the_temperature_of_the_promise_makes_all_scores(new_bench: Any, sensor: Any, windows_of: WindowsOf) -> None:
    blocks = [sensor.hello(), *sensor.blocks("worn", 3)]
    for temperature in (0.5, 1.0, 4.0):
        bench = new_bench(promise=replace(PROMISE, temperature=temperature))
        scores = windows_of(bench.take(*blocks))[-1].scores
        assert scores is not None
        powers = np.exp(np.array([2.0, 4.0, 0.0]) / temperature)
        assert [*scores.values()] == pytest.approx(powers / powers.sum())


def test_a_temperature_of_one_changes_no_bit() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    assert softmax(logits).tobytes() == (exponentials / exponentials.sum(axis=-1, keepdims=True)).tobytes()


def test_a_judge_refuses_what_its_bundle_cannot_promise(manifest: Manifest, new_classifier: Any) -> None:
    few = replace(PROMISE, folds=2)
    for promise, problem in ((None, "no_promise"), (PROMISE, "cannot_be_promised"), (few, "too_few_folds")):
        model = Model(replace(manifest, promise=promise), new_classifier())
        with refused(SettingsError, problem, asked=0.04):
            Judge(model, MonitorSettings(at_most_wrong=0.04))


def test_unsure_has_a_vote_of_its_own(new_bench: Any, sensor: Any) -> None:
    bench = new_bench(Votes(4, 5), promise=PROMISE, at_most_wrong=0.05)
    results = bench.take(sensor.hello(), *(sensor.blocks(label, 9) for label in ("worn", "calm", "worn")))
    decided = [each.window.state for each in results if isinstance(each, Decision)]
    assert decided == [(Verdict.CLASS, "worn"), (Verdict.UNSURE, None), (Verdict.CLASS, "worn")]
    assert bench.monitor.judge.conclusions.has_verdict()


def test_windows_that_are_unsure_neither_raise_nor_end_an_alarm(new_bench: Any, sensor: Any) -> None:
    alarms = AlarmSettings(("calm",), windows=2, limits=AlarmLimits(0.5, 0.4, 0.01, 0.01))
    bench = new_bench(promise=PROMISE, at_most_wrong=0.05, alarms=alarms)
    results = bench.take(sensor.hello(), sensor.blocks("worn", 9), sensor.blocks("calm", 60))
    changes = [(each.name, each.state) for each in results if isinstance(each, Alarm)]
    assert changes == [("worn", AlarmState.RAISED)]
    assert bench.monitor.judge.conclusions.raised == ("worn",)
    sure = new_bench(promise=PROMISE, alarms=alarms)
    sensor.restart()
    results = sure.take(sensor.hello(), sensor.blocks("worn", 9), sensor.blocks("calm", 60))
    assert ("worn", AlarmState.CLEARED) in [(each.name, each.state) for each in results if isinstance(each, Alarm)]


def evidence_after(*results: WindowResult, windows: int = 3) -> Any:
    evidence = Evidence(AlarmSettings(("calm",), windows=windows), ("calm", "worn", "loud"), 0.01)
    found = [evidence.add(each) for each in results]
    return None if found[-1] is None else found[-1].tolist()


def test_evidence_leaves_out_windows_that_are_unsure() -> None:
    assert evidence_after(WORN, UNSURE, WORN) is None
    assert evidence_after(WORN, UNSURE, WORN, UNSURE, WORN) == evidence_after(WORN, WORN, WORN)
    assert evidence_after(WORN, WORN, WORN, UNSURE) is None


def test_evidence_from_before_a_long_unsure_stretch_is_forgotten() -> None:
    assert evidence_after(WORN, WORN, UNSURE, UNSURE, UNSURE, WORN) is not None
    assert evidence_after(WORN, WORN, UNSURE, UNSURE, UNSURE, UNSURE, WORN) is None
    assert evidence_after(WORN, WORN, UNSURE, DAMAGED, UNSURE, DAMAGED, WORN) is None


def test_time_of_windows_that_are_unsure_counts_where_windows_do_not_count_yet() -> None:
    evidence = Evidence(AlarmSettings(("calm",), windows=1, inhibit_after_start_s=0.03), ("calm", "worn"), 0.01)
    found = [evidence.add(each) for each in (UNSURE, UNSURE, UNSURE, WORN)]
    assert found[:3] == [None] * 3 and found[3] is not None
