"""What the view of a terminal shows of a sensor."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drsn_edge.monitor.stages.results import Decision, Severity, WindowResult
from drsn_edge.support.palette import colours_of
from drsn_edge.verdicts import HEALTHY_COLOUR, Verdict
from firmware_bridge.wire.stream import StreamCounters

rich_console = pytest.importorskip("rich.console", reason="the view needs the extra `view`")

from drsn_edge.monitor.keys import Keys  # noqa: E402
from drsn_edge.monitor.snapshot import Snapshot  # noqa: E402
from drsn_edge.monitor.view import View, bar, names_of, panel, sparkline, table  # noqa: E402

SCORES = {"healthy": 0.1, "outer_race": 0.85, "imbalance": 0.05}
WINDOW = WindowResult(0, 1.0, Verdict.CLASS, "outer_race", SCORES, None, 0, 0.5, 0.1)
TONE = np.sin(2 * np.pi * 0.25 * np.arange(512))[:, None].astype(np.float32)
SHOWN = Snapshot(
    "pump 3", WINDOW, Decision(WINDOW, 1.0), 1000.0, Severity(0, 0.0, 3.1, 0.1, 0.4, 4.0, 3.0, "B", "g"),
    ("outer_race",), TONE, 3200.0, 3201.5, StreamCounters(samples_received=5000, samples_lost=3),
)  # fmt: skip


def drawn(shown: Snapshot) -> str:
    console = rich_console.Console(file=io.StringIO(), width=60, force_terminal=False)
    console.print(panel(shown, lambda: 1600.0))
    text: str = console.file.getvalue()
    return text


def test_a_panel_says_it_all() -> None:
    text = drawn(SHOWN)
    for words in ("pump 3", "outer_race (85%)", "for 10 min", "ALARM outer_race", "zone B, 3.10 mm/s", "healthy",
                  "29 ms", "0 to 1600 Hz", "5000 samples, 3 lost", "3201.5 Hz"):  # fmt: skip
        assert words in text, text
    assert "behind" not in text
    failing = drawn(replace(SHOWN, failing=("The disk is full.",)))
    assert "output    The disk is full." in failing and "output" not in text
    assert "behind    4.0 s, 7 windows skipped" in drawn(replace(SHOWN, lag_s=4.0, skipped=7))


def test_without_probabilities_a_panel_shows_the_novelty() -> None:
    text = drawn(replace(SHOWN, window=replace(WINDOW, scores=None, novelty=0.5)))
    (line,) = (line for line in text.splitlines() if "novelty" in line)
    assert line.split()[1:-1] == ["novelty", "████", "0.50", "(limit", "1)"], text


def test_a_fault_is_not_green_and_a_healthy_machine_is() -> None:
    calm = replace(SHOWN, alarms=())
    assert panel(calm).border_style == colours_of(["outer_race"])["outer_race"]
    healthy = replace(WINDOW, label="healthy", scores={"healthy": 1.0})
    assert panel(replace(calm, decision=Decision(healthy, 1.0))).border_style == HEALTHY_COLOUR
    unknown = replace(WINDOW, verdict=Verdict.UNKNOWN, label=None)
    assert panel(replace(calm, decision=Decision(unknown, 1.0))).border_style == "yellow"
    assert panel(SHOWN).border_style == "red"


def test_what_is_unsure_names_two_classes_and_coverage_that_is_off_is_said() -> None:
    unsure = WindowResult.unsure(0, 1.0, {"healthy": 0.42, "outer_race": 0.55, "imbalance": 0.03}, 0.5, 0.1)
    shown = replace(SHOWN, window=unsure, decision=Decision(unsure, 1.0), alarms=())
    text = drawn(shown)
    assert "UNSURE: outer_race or healthy" in text and "coverage off" not in text
    assert panel(shown).border_style == "yellow"
    assert "coverage off" in drawn(replace(shown, coverage_off=True))
    console = rich_console.Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(table([replace(shown, coverage_off=True)], "pump 3", 120, 0))
    row = console.file.getvalue()
    assert "UNSURE: outer_race or healthy" in row and "coverage off" in row


def test_a_spectrum_has_its_line_where_the_tone_is() -> None:
    rows = drawn(SHOWN).splitlines()
    line = rows[next(number for number, row in enumerate(rows) if "spectrum" in row) + 1]
    assert 0.45 < (line.index("█") - 2) / 46 < 0.56


def test_what_is_not_there_is_said() -> None:
    assert "no decision yet" in drawn(Snapshot("fan")) and "no data yet" in drawn(Snapshot("fan"))
    assert "unplugged" in drawn(replace(SHOWN, trouble="unplugged"))
    lost = WindowResult(0, 1.0, Verdict.NO_VERDICT, None, None, "LINK LOST", 0)
    assert "NO_VERDICT: LINK LOST" in drawn(replace(SHOWN, window=lost, decision=Decision(lost, 1.0)))


def test_several_stand_side_by_side_and_follow_what_changes() -> None:
    console = rich_console.Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    shown = [Snapshot("pump 3"), Snapshot("fan")]
    with View(shown, console) as view:
        view.show()
        shown[1].trouble = "the cable is out"
    text = console.file.getvalue()
    assert any("pump 3" in row and "fan" in row for row in text.splitlines()) and "the cable is out" in text


@pytest.mark.parametrize(
    ("share", "drawn_bar"), [(0.0, "    "), (1.0, "████"), (0.5, "██  "), (0.28, "█▏  "), (2.0, "████")]
)
def test_bars(share: float, drawn_bar: str) -> None:
    assert bar(share, 4) == drawn_bar


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 4, 8], 5) == " ▁▂▄█"
    assert sparkline(np.zeros(100), 10) == " " * 10
    assert sparkline(np.arange(8), 4, most=8.0) == "▁▃▅▇"


def many(count: int) -> list[Snapshot]:
    healthy = WindowResult(0, 1.0, Verdict.CLASS, "healthy", {"healthy": 0.98, "outer_race": 0.02}, None, 0, 0.5, 0.1)
    calm = replace(SHOWN, window=healthy, decision=Decision(healthy, 1.0), alarms=())
    rows = [replace(calm, machine=f"pump {number}") for number in range(count)]
    rows[count - 1] = replace(SHOWN, machine="mill")
    rows[count - 2] = replace(calm, machine="fan", trouble="the cable is out")
    return rows


def screen(view: View, console: Any) -> list[str]:
    console.file.seek(0)
    console.file.truncate()
    console.print(view._drawn())
    text: str = console.file.getvalue()
    return text.splitlines()


@pytest.mark.parametrize("count", [6, 40])
def test_many_stand_in_rows_with_alarms_first_and_a_panel_where_there_is_room(count: int) -> None:
    console = rich_console.Console(file=io.StringIO(), width=80, height=24, color_system=None)
    view = View(many(count), console)
    lines = screen(view, console)
    assert len(lines) < 24 and all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("> mill") and "outer_race 85%" in lines[1] and "the cable is out" in lines[2]
    if count == 6:
        assert all(any(f"pump {number}" in line for line in lines) for number in range(4))
        assert any("waveform" in line for line in lines)
    else:
        assert any("more" in line for line in lines)


def test_keys_reach_every_sensor_and_open_it() -> None:
    console = rich_console.Console(file=io.StringIO(), width=80, height=24, color_system=None)
    view = View(many(40), console)
    seen = set()
    for _ in range(40):
        seen.add(view.chosen.machine)
        assert any(line.startswith(f"> {view.chosen.machine}") for line in screen(view, console))
        view.key("down")
    assert len(seen) == 40 and view.chosen.machine == "pump 37"
    view.key("up")
    view.key("enter")
    opened = screen(view, console)
    assert "pump 36" in opened[0] and any("spectrum" in line for line in opened)
    view.key("enter")
    assert any("machine" in line for line in screen(view, console))


def test_the_choice_stays_with_its_machine_when_the_order_changes() -> None:
    stations = many(6)
    view = View(stations, rich_console.Console(file=io.StringIO(), width=80, height=24, color_system=None))
    for _ in range(3):
        view.key("down")
    chosen = view.chosen.machine
    stations[0].alarms = ("outer_race",)
    assert view.chosen.machine == chosen


def test_a_state_that_no_window_bears_out_any_more_says_how_old_it_is() -> None:
    fresh = replace(SHOWN, measured_s=1599.0, stale_after_s=2.5)
    assert "last measured" not in drawn(fresh) and "last measured" not in drawn(SHOWN)
    assert "last measured 12 s ago" in drawn(replace(fresh, measured_s=1588.0))
    assert "last measured 26 min ago" in drawn(replace(fresh, measured_s=50.0, trouble="unplugged"))


def test_the_key_is_named_where_it_is_taken_and_something_is_raised() -> None:
    class Pressed(Keys):
        are_taken = True

        def pressed(self) -> str:
            return "qa"

    told: list[int] = []
    console = rich_console.Console(file=io.StringIO(), width=80, force_terminal=True)
    with View([SHOWN], console, lambda: told.append(1), Pressed(-1)):
        pass
    assert told == [1] and "a  acknowledge the alarms" in console.file.getvalue()
    console = rich_console.Console(file=io.StringIO(), width=80, force_terminal=True)
    with View([replace(SHOWN, alarms=())], console, keys=Pressed(-1)):
        pass
    assert "acknowledge" not in console.file.getvalue()


def test_arrows_and_letters_are_told_apart() -> None:
    assert names_of("\x1b[Ba\x1bOA\nj\x1b") == ["down", "a", "up", "\n", "j"]


def test_a_row_says_how_old_its_state_is() -> None:
    console = rich_console.Console(file=io.StringIO(), width=80, height=24, color_system=None)
    rows = [replace(each, measured_s=1500.0, now_s=lambda: 1520.0) for each in many(6)]
    assert any("measured 20 s ago" in line for line in screen(View(rows, console), console))
