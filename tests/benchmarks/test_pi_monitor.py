"""The counts of the monitor on emulated Pis: what is made of marks and logs."""

from __future__ import annotations

import importlib.util

import monitor_stages as stages_of
import pytest
from emulated_pi import logged_counts
from monitor_stages import BLOCKS, BY_STAGE, DECODING, JUDGE, LINES, OUTSIDE, OVER, QUALITY, READING, STAGES, WHOLE
from pi_monitor import KERNEL_PER_CALL, by_stage, estimates
from pi_running import per_second


def test_only_the_plugin_s_own_lines_are_counts() -> None:
    assert logged_counts("12 3\nqemu: something 4\n\n 15 4 \n99\n") == [(12, 3), (15, 4)]


def test_every_watched_module_exists() -> None:
    names = [name for names in stages_of.MODULES.values() for name in names]
    assert [name for name in names if importlib.util.find_spec(name) is None] == []


def test_every_stage_is_counted_once() -> None:
    assert set(stages_of.INNER) | {READING, DECODING, LINES, stages_of.HISTORY, OUTSIDE} == set(STAGES)


def test_a_stage_begins_only_where_it_may_interrupt() -> None:
    left: list[str] = []
    stages = stages_of.Stages(left.append)
    noted = stages_of._noted(lambda: stages.now, QUALITY, stages)
    assert (noted(), left) == (OUTSIDE, [])
    stages.to(BLOCKS)
    assert (noted(), stages.now, left) == (QUALITY, BLOCKS, [OUTSIDE, BLOCKS, QUALITY])


def test_a_stage_ends_with_an_error() -> None:
    stages = stages_of.Stages(lambda left: None)
    stages.to(BLOCKS)
    with pytest.raises(ZeroDivisionError):
        stages_of._noted(lambda: 1 / 0, JUDGE, stages)()
    assert stages.now == BLOCKS


def test_stages_are_scaled_to_what_the_whole_takes_without_noting() -> None:
    found = stages_of.scaled(
        {READING: 10.0, BLOCKS: 40.0, LINES: 5.0, OUTSIDE: 7.0},
        {READING: 6.0, DECODING: 6.0, BLOCKS: 22.0, QUALITY: 22.0, LINES: 5.0, OUTSIDE: 8.0},
    )
    assert found["stages"] == {READING: 5.0, DECODING: 5.0, BLOCKS: 20.0, QUALITY: 20.0, LINES: 5.0, **dict.fromkeys(
        (stage for stage in stages_of.INNER if stage not in (BLOCKS, QUALITY)), 0.0)}  # fmt: skip
    assert (found["total"], round(found["noting"], 4)) == (55.0, round(61 / 55 - 1, 4))


def test_counts_go_to_the_stages_that_their_marks_end() -> None:
    numbers = [STAGES.index(stage) for stage in (OUTSIDE, READING, BLOCKS, OUTSIDE, READING, BLOCKS, LINES)]
    marked = {"verdicts": {}, "left": numbers, "at": {WHOLE: (2.0, 1), BY_STAGE: (4.0, 4), OVER: (6.0, 7)}}
    log = [(100, 0), (120, 4), (200, 4), (201, 4), (221, 8), (321, 8), (331, 9)]
    found = by_stage(marked, log)
    assert found["instructions"][READING] == 10 and found["instructions"][BLOCKS] == 40
    assert found["total"] == 50 and found["calls"] == {READING: 2.0, BLOCKS: 0.0, OUTSIDE: 0.0}


def test_a_log_that_lacks_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="1 counts for 2 marks"):
        by_stage({"left": [0, 0]}, [(1, 1)])


def test_a_running_monitor_is_counted_between_two_marks() -> None:
    found = per_second([(1.0, 10), (3.0, 36)], [(1000, 5), (3000, 25)], 13.0)
    assert found == {"instructions": 1000, "calls": 10.0, "kept_up": True}
    assert not per_second([(1.0, 10), (3.0, 34)], [(1000, 5), (3000, 25)], 13.0)["kept_up"]


def test_a_share_has_the_stages_the_rest_and_the_kernel() -> None:
    rows = [
        {"cpu": "cortex-a72", "rate_hz": rate_hz, "total": total, "calls": {READING: 1000.0, OUTSIDE: 9.0}}
        for rate_hz, total in ((6_667.0, 100e6), (26_667.0, 270e6))
    ]
    running = [
        {"rate_hz": 0.0, "instructions": 1e6, "calls": 300.0, "kept_up": True},
        {"rate_hz": 6_667.0, "instructions": 120e6, "calls": 1500.0, "kept_up": True},
        {"rate_hz": 26_667.0, "instructions": 1e6, "calls": 10.0, "kept_up": False},
    ]
    slow, fast = estimates({"rows": rows, "running": running})
    assert (slow["rest"], slow["kernel"]) == (20_000_000, 1500 * KERNEL_PER_CALL)
    assert fast["rest"] == 20_000_000 and fast["bar"] == 0.2
    assert fast["share"] == round((290e6 + 1500 * KERNEL_PER_CALL) / 1.5e9, 4)
