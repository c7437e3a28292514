"""Settings of alarms by recordings: the sweep decides as the monitor does, and the choice keeps what it promises."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import SettingsError
from drsn_edge.monitor.offline.tune_alarms import (
    FalseAlarms,
    Goal,
    Judged,
    Point,
    Tuning,
    choose,
    condensed,
    frontier,
    grid,
    sweep,
    tune,
)
from drsn_edge.monitor.stages.alarms import AlarmLimits, Alarms, AlarmSettings
from drsn_edge.monitor.stages.results import AlarmState, WindowResult
from drsn_edge.support.wording import plain
from drsn_edge.verdicts import NOT_RUNNING, Verdict

LABELS = ("calm", "worn", "loud")
HOP_S = 0.5
WINDOW_S = 1.0
BASE = AlarmSettings(("calm",))


def stretch(worn: Any, is_normal: bool, name: str = "a") -> Judged:
    """Make what was said of windows with these probabilities of worn; None is UNKNOWN, text a reason."""
    results = []
    for number, each in enumerate(worn):
        at = number * HOP_S
        if isinstance(each, str):
            results.append(WindowResult(number, at, Verdict.NO_VERDICT, None, None, each, 0))
            continue
        scores = {"calm": 1 - (each or 0.0), "worn": each or 0.0, "loud": 0.0}
        label = None if each is None else max(scores, key=scores.__getitem__)
        verdict = Verdict.UNKNOWN if each is None else Verdict.CLASS
        results.append(WindowResult(number, at, verdict, label, scores, None, 0, 0.5, 1.0))
    return condensed(name, is_normal, LABELS, HOP_S, results)


def test_what_was_said_is_kept_in_little_room() -> None:
    each = stretch([0.25, None, "clipped", NOT_RUNNING, 0.75], is_normal=True)
    kept = [each.result(number) for number in range(5)]
    assert [result.verdict.value for result in kept] == ["CLASS", "UNKNOWN", "NO_VERDICT", "NO_VERDICT", "CLASS"]
    assert [result.label for result in kept] == ["calm", None, None, None, "worn"]
    assert kept[3].reason == NOT_RUNNING != kept[2].reason
    assert kept[4].scores == {"calm": 0.25, "worn": 0.75, "loud": 0.0} and kept[4].level_rms == 1.0
    assert each.duration_s == 2.5


def test_unsure_windows_are_kept_and_count_as_judged_time() -> None:
    scores = {"calm": 0.5, "worn": 0.4, "loud": 0.1}
    results = [WindowResult.unsure(number, number * HOP_S, scores, 0.5, 1.0) for number in range(3)]
    each = condensed("a", True, LABELS, HOP_S, results)
    assert [each.result(number).between for number in range(3)] == [("calm", "worn")] * 3
    assert each.duration_s == 1.5


SAYS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, None, "clipped", NOT_RUNNING]))
SETTINGS = st.builds(
    lambda evidence, windows, off, gap, *delays: AlarmSettings(
        ("calm",), evidence, windows, limits=AlarmLimits(min(1.0, off + gap), off, *delays)
    ),
    st.sampled_from(["mean", "votes"]), st.integers(1, 5), st.floats(0.05, 0.9), st.floats(0, 0.5),
    st.floats(0, 3), st.floats(0, 3), st.booleans(),
)  # fmt: skip


@given(settings=SETTINGS, says=st.lists(SAYS, min_size=1, max_size=150))
def test_the_sweep_raises_what_the_monitor_would(settings: AlarmSettings, says: list[Any]) -> None:
    normal, fault = stretch(says, is_normal=True), stretch(says, is_normal=False)
    alarms = Alarms(settings, LABELS, HOP_S)
    raised = [
        number
        for number in range(len(says))
        for alarm in alarms.take(normal.result(number))
        if alarm.state is AlarmState.RAISED
    ]
    (point,) = sweep([normal, fault], [settings], WINDOW_S)
    assert point.false_alarms == FalseAlarms(len(raised), len(says) * HOP_S / 86_400)
    assert point.delays_s == ((raised[0] * HOP_S + WINDOW_S if raised else math.inf),)


def test_a_recording_of_a_fault_is_cut_into_trials() -> None:
    fault = stretch([0.0] * 4 + [1.0] * 6 + [0.0] * 10 + [1.0] * 5, is_normal=False)
    settings = AlarmSettings(("calm",), windows=1, limits=AlarmLimits(0.7, 0.4, 0.0, 0.0))
    (point,) = sweep([stretch([0.0], is_normal=True), fault], [settings], WINDOW_S, cut_s=5.0)
    assert point.delays_s == (3.0, math.inf)  # the last five windows are no whole trial
    assert (point.missed, point.worst_delay_s) == (1, 3.0)


def test_both_kinds_of_recordings_are_needed() -> None:
    for only in (True, False):
        with refused(SettingsError, "recordings_missing", normal=int(only), faulty=int(not only)):
            sweep([stretch([0.0], is_normal=only)], [BASE], WINDOW_S)


def test_the_interval_is_that_of_the_books() -> None:
    # Exact limits of a Poisson mean, 95 %: 0 -> (0, 3.689), 1 -> (0.0253, 5.572), 10 -> (4.795, 18.39).
    for alarms, low, high in ((0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)):
        assert FalseAlarms(alarms, 1.0).interval() == pytest.approx((low, high), rel=1e-3)
    assert FalseAlarms(10, 2.0).interval()[1] == pytest.approx(18.39 / 2, rel=1e-3)


def point(windows: int, on: float, delay_s: float, alarms: int, delays: tuple[float, ...]) -> Point:
    settings = AlarmSettings(("calm",), windows=windows, limits=AlarmLimits(on, 0.1, delay_s))
    return Point(settings, FalseAlarms(alarms, 10.0), delays)


def test_the_choice_is_the_quickest_that_is_rare_there_and_one_limit_lower() -> None:
    quick = point(5, 0.7, 0.0, 0, (2.0, 3.0))
    below = point(5, 0.6, 0.0, 20, (2.0, 3.0))  # quick stands at an edge
    slow = point(10, 0.7, 5.0, 1, (8.0, 9.0))
    slower = point(20, 0.7, 5.0, 0, (18.0, 19.0))
    missing = point(5, 0.95, 0.0, 0, (1.0, math.inf))
    points = [below, quick, slow, slower, missing]
    assert choose(points, 0.1) is slow
    assert choose(points, 2.0) is quick
    assert choose(points, 0.05) is slower
    assert choose(points, 0.05, announced=0.5) is missing
    with refused(SettingsError, "goal_not_met", limit=0.0, best=0.1):
        choose([slow], 0.0)
    assert frontier(points) == [missing, quick]


def test_what_is_tuned_is_swept_and_chosen_by_the_goal() -> None:
    recordings = [stretch([0.0] * 40, is_normal=True), stretch([1.0] * 40, is_normal=False)]
    done: list[tuple[int, int]] = []
    goal = Goal(1e6, cut_s=10.0)
    tuning = tune(recordings, BASE, WINDOW_S, goal, lambda now, of: done.append((now, of)))
    assert list(tuning.points) == sweep(recordings, list(grid(BASE)), WINDOW_S, 10.0)
    assert tuning.chosen == choose(tuning.points, 1e6) and tuning.goal is goal
    assert done[-1] == (len(tuning.points), len(tuning.points)) and len(tuning.chosen.delays_s) == 2


def test_the_grid_keeps_what_is_not_swept() -> None:
    base = AlarmSettings(("calm",), "votes", 3, 5.0, 0.3, limits=AlarmLimits(latch=True, off_delay_s=99.0))
    tried = list(grid(base))
    assert len(tried) > 100
    assert all(
        (each.evidence, each.inhibit_after_start_s, each.limits.off_delay_s) == ("votes", 5.0, 99.0) for each in tried
    )
    assert all(0 < each.limits.off <= each.limits.on <= 1 and each.limits.latch for each in tried)


def test_no_false_alarm_is_drawn_at_none(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plot = pytest.importorskip("drsn_edge.monitor.offline.tune_alarms_plot", reason="pictures need the extra `plots`")
    figures: list[Any] = []
    original = plot.new_figure

    def kept(*args: Any, **options: Any) -> Any:
        figures.append(original(*args, **options))
        return figures[-1]

    monkeypatch.setattr(plot, "new_figure", kept)
    chosen = point(10, 0.7, 5.0, 0, (8.0, 9.0))
    plot.save_tradeoff(Tuning((chosen, point(5, 0.7, 0.0, 20, (2.0, 3.0))), chosen, Goal(0.1)), tmp_path / "t.png")
    axes = figures[0].axes[0]
    (circle,) = [line for line in axes.lines if line.get_label() == "chosen"]
    assert axes.transAxes.inverted().transform(axes.transData.transform((1, 0.1)))[1] > 0.05  # what is allowed
    assert [text.get_text() for text in axes.texts] == ["0.369"]  # the end of the interval
    assert circle.get_ydata()[0] == 0 and axes.get_ylim()[0] == 0
    assert sorted(axes.collections[0].get_offsets()[:, 1]) == [0, 2]  # 20 in ten days
    assert axes.transData.transform((1, 0))[1] == pytest.approx(axes.transAxes.transform((0, 0))[1])


@pytest.mark.parametrize(("days", "allowed"), [(0.00092, 0.1), (0.05, 0.1), (10.0, 0.5), (0.4, 5.0), (1.0, 0.0)])
def test_the_axis_has_ticks_and_the_allowed_rate_stands_apart_from_none(days: float, allowed: float) -> None:
    plot = pytest.importorskip("drsn_edge.monitor.offline.tune_alarms_plot", reason="pictures need the extra `plots`")
    least, highest = min(1 / days, allowed or math.inf), 1.5 * FalseAlarms(3, days).interval()[1]
    ticks = plot._ticks(least, highest)
    assert ticks[0] == 0 and len(ticks) >= 4 and ticks == sorted(ticks) and ticks[-1] >= highest / 10
    assert all(later <= 10.01 * each for each, later in pairwise(ticks[1:]))


@pytest.mark.parametrize(("value", "words"), [(4017.3, "4020"), (0.25, "0.25"), (0.0, "0"), (73.84, "73.8")])
def test_numbers_have_no_exponent(value: float, words: str) -> None:
    assert plain(value) == words
