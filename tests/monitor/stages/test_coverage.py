"""Coverage: when the share of named windows has left the range of the inner folds, and who is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.monitor.stages.coverage import WINDOWS, CoverageWatch
from drsn_edge.monitor.stages.results import Coverage, WindowResult, to_json
from drsn_edge.monitor.stages.words import coverage_line

POINT = RiskPoint(0.8, 0.05, 0.8, 0.9)
SCORES = {"calm": 0.6, "worn": 0.4}
NAMED = WindowResult.of_class(0, 0.0, "calm", SCORES)
UNSURE, UNKNOWN = WindowResult.unsure(32, 0.008, SCORES), WindowResult.unknown(32, 0.008, SCORES, 1.5)
DAMAGED = WindowResult.without_verdict(64, 0.016, "clipped")


def changes(watch: CoverageWatch, results: Iterable[WindowResult]) -> list[Coverage]:
    return [change for change in map(watch.take, results) if change is not None]


def mixed(share: float, n: int = 2 * WINDOWS, other: WindowResult = UNSURE) -> list[WindowResult]:
    """Return windows of which a share is named, evenly mixed."""
    return [NAMED if int((i + 1) * share) > int(i * share) else other for i in range(n)]


@pytest.mark.parametrize("share", [0.77, 0.8, 0.85, 0.9, 0.93])
def test_within_the_range_and_what_chance_explains_nothing_is_told(share: float) -> None:
    assert changes(CoverageWatch(POINT), mixed(share)) == []


@pytest.mark.parametrize("other", [UNSURE, UNKNOWN])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.72, 0.97, 1.0])
def test_outside_it_is_told_once_and_again_when_it_is_back(share: float, other: WindowResult) -> None:
    watch = CoverageWatch(POINT)
    (off,) = changes(watch, mixed(share, other=other))
    assert off.off and watch.is_off
    assert (off.least_named, off.most_named, off.windows) == (0.8, 0.9, WINDOWS)
    assert off.named == pytest.approx(share, abs=0.01)
    (back,) = changes(watch, mixed(0.85))
    assert not back.off and not watch.is_off and back.named is not None and 0.8 <= back.named <= 0.9


def test_nothing_is_told_before_there_are_enough_judged_windows() -> None:
    watch = CoverageWatch(POINT)
    assert changes(watch, [*[UNSURE] * (WINDOWS - 1), *[DAMAGED] * WINDOWS]) == []
    assert [change.off for change in changes(watch, [UNSURE])] == [True]


def test_a_range_that_ends_at_one_leaves_room_for_single_windows() -> None:
    watch = CoverageWatch(RiskPoint(0.8, 0.05, 1.0, 1.0))
    assert changes(watch, [*[NAMED] * WINDOWS, *[UNKNOWN] * 5]) == []
    assert [change.off for change in changes(watch, [UNKNOWN])] == [True]


@given(st.lists(st.sampled_from([NAMED, UNSURE, UNKNOWN, DAMAGED]), max_size=1500), st.randoms(use_true_random=False))
def test_changes_alternate_and_agree_with_the_last_windows(results: list[WindowResult], random: Any) -> None:
    results = [each for each in results for _ in range(random.randint(1, 40))]
    watch, said = CoverageWatch(POINT), False
    judged: list[bool] = []
    for each in results:
        judged += [] if each is DAMAGED else [each is NAMED]
        change = watch.take(each)
        if change is not None:
            assert change.off is not said and change.named == sum(judged[-WINDOWS:]) / WINDOWS
            said = change.off
    assert watch.is_off is said


def test_a_bundle_that_is_asked_for_no_promise_ends_it() -> None:
    watch = CoverageWatch(None)
    assert changes(watch, [NAMED]) == []
    watch.is_off = True
    (back,) = changes(watch, [NAMED, NAMED])
    assert back == Coverage(0, 0.0, False)
    assert coverage_line(back).endswith("coverage on again: the bundle in use is asked for no promise")
    assert to_json(back)["named"] is None


def test_it_is_said_in_words_with_the_range() -> None:
    off = Coverage(96, 0.024, True, 0.61, 0.824, 0.961, 500)
    assert coverage_line(off) == (
        "     0.02 s  coverage off: 61.0% of the last 500 judged windows are of a class, 82.4% to 96.1% in the inner "
        "folds"
    )
    assert to_json(off) == {
        "schema": 1, "type": "coverage", "first_sample": 96, "device_time_s": 0.024, "off": True, "named": 0.61,
        "least_named": 0.824, "most_named": 0.961, "windows": 500,
    }  # fmt: skip


def test_it_goes_on_over_a_reload_and_begins_to_count_anew(new_bench: Any, sensor: Any) -> None:
    asked: dict[str, Any] = {"promise": Promise(1.0, "another rpm", 3, 900, (POINT,)), "at_most_wrong": 0.05}
    bench, other, plain = new_bench(**asked), new_bench(**asked), new_bench()
    found = bench.take(sensor.hello(), sensor.blocks("calm", WINDOWS + 10))
    assert [each.off for each in found if isinstance(each, Coverage)] == [True]
    bench.monitor.swap(other.monitor.judge)
    found = bench.take(sensor.blocks("worn", 100))
    assert not any(isinstance(each, Coverage) for each in found) and bench.monitor.judge.conclusions.coverage_off
    bench.monitor.swap(plain.monitor.judge)
    found = bench.take(sensor.blocks("worn", 10))
    assert [each.off for each in found if isinstance(each, Coverage)] == [False]
    assert not bench.monitor.judge.conclusions.standing.coverage_off
