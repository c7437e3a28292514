"""The picture of a history: gaps, alarms from beginning to end, and what it writes beside its axes."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from drsn_edge.monitor.offline import history_plot
from drsn_edge.monitor.offline.history_plot import AlarmSpan, alarm_spans, measured_times, save_history, stretches
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_reader import AlarmRow, History, TimeSpan, _fitting_span_s, read_history
from drsn_edge.monitor.stages.results import Summary, WindowResult
from drsn_edge.support.pictures import new_figure
from drsn_edge.support.time_axis import day_of
from drsn_edge.verdicts import HEALTHY_COLOUR, Verdict

HOUR = 3600.0
NOW = 1_800_000_000.0


def span(hour: int, states: dict[str, int], velocity: float | None = 2.0) -> TimeSpan:
    return TimeSpan(NOW - HOUR * (20 - hour), sum(states.values()), 0, states, None, velocity)


RUNNING, STANDING = {"healthy": 90, "outer_race": 10}, {"NO_VERDICT": 50}
SPANS = (*(span(hour, RUNNING) for hour in (0, 1, 2)), span(3, STANDING, 0.1), span(4, RUNNING), span(9, RUNNING))
ALARMS = (
    AlarmRow(NOW - 15 * HOUR, "imbalance", "CLEARED", None),
    AlarmRow(NOW - 12 * HOUR, "outer_race", "RAISED", None),
    AlarmRow(NOW - 11 * HOUR, "outer_race", "ACKNOWLEDGED", None),
    AlarmRow(NOW - 10 * HOUR, "outer_race", "CLEARED", None),
    AlarmRow(NOW - 9 * HOUR, "inner_race", "RAISED", None),
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Figure]:
    figures: list[Figure] = []

    def kept(*size: float) -> Figure:
        figures.append(new_figure(*size))
        return figures[-1]

    monkeypatch.setattr(history_plot, "new_figure", kept)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    save_history([History("pump 3", (), ALARMS, SPANS, HOUR)], tmp_path / "h.png", NOW)
    yield figures[0]
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


def test_alarms_have_a_beginning_and_an_end() -> None:
    assert alarm_spans(ALARMS, NOW - 20 * HOUR) == [
        AlarmSpan("imbalance", NOW - 20 * HOUR, NOW - 15 * HOUR),
        AlarmSpan("outer_race", NOW - 12 * HOUR, NOW - 10 * HOUR),
        AlarmSpan("inner_race", NOW - 9 * HOUR, None),
    ]


def test_stretches_end_at_gaps() -> None:
    assert [len(run) for run in stretches(SPANS, HOUR)] == [5, 1]
    assert list(stretches((), HOUR)) == []


def test_the_picture_names_what_it_shows(drawn: Figure) -> None:
    shares = drawn.axes[0]
    assert {text.get_text().strip() for text in shares.texts} == {"imbalance", "outer_race", "inner_race, active"}
    assert (
        shares.get_ylabel() == "share of windows"
        and shares.get_xlabel() == "time, 2027-01-14 to 2027-01-15, CET (UTC+01:00)"
    )
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert {"healthy", "outer_race", "NO_VERDICT", "velocity, mm/s RMS", "not measured"} < set(legend)
    assert HEALTHY_COLOUR in {to_hex(bar.get_facecolor()) for bar in shares.patches}


def test_the_axis_ends_now_and_gaps_are_hatched(drawn: Figure) -> None:
    shares = drawn.axes[0]
    assert shares.get_xlim() == pytest.approx((day_of(NOW - 20 * HOUR), day_of(NOW)))
    gaps = [patch for patch in shares.patches if patch.get_hatch()]
    assert len(gaps) == 2  # of four hours in the middle, and from the last measurement to now


def test_the_velocity_does_not_cross_gaps_and_standstills(drawn: Figure) -> None:
    lines = [np.asarray(line.get_xydata()) for line in drawn.axes[1].lines]
    assert [len(line) for line in lines if len(line)] == [3, 1, 1]
    assert {speed for line in lines for speed in line[:, 1]} == {2.0}


def test_two_weeks_are_drawn_by_the_hour() -> None:
    assert _fitting_span_s(13.9 * 24 * HOUR) == HOUR and _fitting_span_s(15 * 24 * HOUR) == 24 * HOUR


def test_minutes_are_drawn_as_far_as_a_monitor_ran() -> None:
    minutes = tuple(TimeSpan(NOW + at, 10, 0, RUNNING, None, None) for at in (0.0, 60.0, 120.0))
    history = History("pump", (), (), minutes, 60.0, runs=((NOW + 50, NOW + 90), (NOW + 100, math.inf)))
    assert measured_times(history, NOW + 130) == [(NOW + 50, NOW + 60), (NOW + 60, NOW + 120), (NOW + 120, NOW + 130)]
    unknown = measured_times(History("pump", (), (), minutes, 60.0), NOW + 130)
    assert unknown == [(NOW, NOW + 60), (NOW + 60, NOW + 120), (NOW + 120, NOW + 130)]


def test_a_file_says_when_its_runs_began_and_ended(tmp_path: Path) -> None:
    at_s = [NOW + 10]
    sink = HistorySink(tmp_path / "history", "pump", now_s=lambda: at_s[0])
    sink.take(WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 0.9}, None, 0))
    sink.flush()
    at_s[0] += 25
    assert read_history(tmp_path / "history", 0, 1e12)[0].runs == ((NOW + 10, math.inf),)
    sink.take(Summary(0, 0, 1, {}, {}, None))
    sink.close()
    ((began_s, ended_s),) = read_history(tmp_path / "history", 0, 1e12)[0].runs
    assert (began_s, ended_s) == pytest.approx((NOW + 10, NOW + 35), abs=0.01)
