from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.monitor.sinks.clock_watch import ClockWatch, Jump
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_file import open_history
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Severity, WindowResult
from drsn_edge.verdicts import Verdict

Run = Callable[..., Any]


@contextmanager
def sink_of(path: Path, at_s: float) -> Iterator[HistorySink]:
    """A sink of another day."""
    sink = HistorySink(path, "pump", now_s=lambda: at_s)
    yield sink
    sink.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    clock = [time.time() - 3 * 3600]
    sink = HistorySink(tmp_path / "pump.sqlite", "pump 3", now_s=lambda: clock[0])
    for number in range(3 * 3600):
        worn = number >= 2 * 3600
        label = "worn" if worn else "calm"
        result = WindowResult(number, 0.0, Verdict.CLASS, label, {label: 0.9}, None, 0)
        if number in (0, 2 * 3600):
            sink.take(Decision(result, 0.0))
        sink.take(result)
        clock[0] += 1
    sink.take(WindowResult(0, 0.0, Verdict.NO_VERDICT, None, None, "lost samples", 5))
    sink.close()
    return tmp_path / "pump.sqlite"


def test_it_shows_shares_and_decisions(run: Run, file: Path) -> None:
    done = run("history", file, "--since", "1d", "--every", "1h")
    assert done.code == 0, done.err
    text = done.out
    assert text.startswith("pump 3\n") and "10801 windows, 5 samples lost" in text
    assert "calm" in text and "66.7%" in text and "33.3%" in text and "1 h each" in text
    assert text.count("calm (90%)") == text.count("worn (90%)") == 1
    calm, worn, none = text.splitlines()[1:4]
    assert "█" in calm and {"█", "▇"} & set(worn) and "NO_VERDICT" in none and "▁" in none


def test_json_and_a_machine_of_many(run: Run, file: Path) -> None:
    (found,) = json.loads(run("history", file, "--json", "--machine", "pump 3").out)["machines"]
    assert sum(span["windows"] for span in found["spans"]) == 10_801 and len(found["decisions"]) == 2


def test_a_machine_that_is_not_in_the_file_is_an_error_with_the_names(run: Run, file: Path) -> None:
    for more in ([], ["--json"]):
        done = run("history", file, "--machine", "fan", *more)
        assert done.code == 1 and done.out == "" and "pump 3" in done.err and "'fan'" in done.err
    done = run("history", file, "--machine", "pump 3", "--since", "1s")
    assert done.code == 0 and done.out.startswith("no result in that time")


def test_gaps_jumps_and_when_it_was_last_measured_are_shown(run: Run, tmp_path: Path) -> None:
    path, hour_s = tmp_path / "pump.sqlite", 3600.0
    wall_s, steady_s = [time.time() // hour_s * hour_s - 40 * hour_s], [0.0]
    sink = HistorySink(path, "pump", now_s=lambda: wall_s[0], steady_s=lambda: steady_s[0], boot="one")
    for hour in range(12):
        if hour not in (4, 5, 6):
            result = WindowResult(hour, 0.0, Verdict.CLASS, "calm", {"calm": 0.9}, None, 0)
            sink.take(result)
            sink.take(Decision(result, 0.0))
        if hour == 8:
            sink.take(WindowResult(hour, 0.0, Verdict.NO_VERDICT, None, None, "lost samples", 5))
            wall_s[0] -= 5 * hour_s
        wall_s[0] += hour_s
        steady_s[0] += hour_s
    sink.take(WindowResult(0, 0.0, Verdict.NO_VERDICT, None, None, "lost samples", 5))
    sink.close()
    text = run("history", path, "--since", "4d").out
    bars = next(line for line in text.splitlines() if line.startswith("  calm"))
    assert "████···█▄███ " in bars
    assert "· no samples" in text and text.count("set back by 5 h") == 1
    assert time.strftime("%z") in text and re.search(r"last measured .* 3[45] h ago", text)
    (found,) = json.loads(run("history", path, "--since", "4d", "--json").out)["machines"]
    for each in (*found["decisions"], *found["jumps"], *found["spans"]):
        assert datetime.fromisoformat(each["time"]).timestamp() == each.get("time_s", each.get("start_s"))
    assert datetime.fromisoformat(found["measured"]).timestamp() == found["measured_s"]
    nothing = run("history", path, "--since", "1h")
    assert nothing.code == 0 and nothing.out.startswith("no result in that time\npump: last measured ")


def test_what_a_wrong_clock_filed_under_times_to_come_is_not_hidden(run: Run, file: Path) -> None:
    sink = HistorySink(file, "pump 3", now_s=lambda: time.time() + 9e7)
    sink.take(WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0))
    sink.close()
    shown = run("history", file).out
    assert "1 window with times in the future" in shown and "in the future by the clock of this machine" in shown


def test_the_picture(run: Run, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    sink = HistorySink(file, "fan")
    sink.take(Severity(0, 0.0, 3.1, 0.5, 2.0, 4.0, 3.0, "B", "g"))
    sink.take(Alarm("worn", AlarmState.RAISED, 0, 0.0, 0.0, 0.9))
    sink.take(WindowResult(0, 0.0, Verdict.UNKNOWN, None, None, None, 0, 2.0))
    sink.close()
    picture = tmp_path / "trend.png"
    assert run("history", file, "--json", "--picture", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run("history", file, "--picture", tmp_path / "no" / "t.png").code == 1


def test_bad_input(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("history", file, "--since", "soon").code == 2
    missing = run("history", tmp_path / "absent")
    assert missing.code == 1 and "monitor --history" in missing.err


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE minutes SET detail = char(27) || '[2J' || char(7)", 0),
        ("UPDATE minutes SET windows = 'many'", 0),
        ("UPDATE minutes SET windows = 0", 0),
        ("UPDATE minutes SET machine = x'00'", 1),
        ("UPDATE minutes SET detail = x'ff'", 1),
        ("INSERT INTO clock_jumps VALUES (1, 'x', 0, 0)", 1),
        ("INSERT INTO clock_jumps VALUES (1, 0.0, 9e999, -9e999)", 0),
        ("UPDATE decisions SET time_s = 'noon'", 0),
        ("UPDATE decisions SET score = 'high', label = x'41'", 0),
        ("UPDATE severities SET velocity_mm_s = 'fast'", 0),
        ("UPDATE minutes SET minute = 9e15", 0),
        ("UPDATE runs SET steady_s = 'x', boot = 'y'", 0),
        ("DROP TABLE runs", 1),
    ],
)
def test_a_file_from_elsewhere_with_anything_in_it(run: Run, tmp_path: Path, change: str, code: int) -> None:
    path = tmp_path / "pump.sqlite"
    sink = HistorySink(path, "pump")
    result = WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0)
    for each in (result, Decision(result, 0.0), Severity(0, 0.0, 3.1, 0.5, 2.0, 4.0, 3.0, "B", "g")):
        sink.take(each)
    sink.close()
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    for more in ((), ("--json",)):
        done = run("history", path, *more)
        assert done.code == code and "Traceback" not in done.err and done.err.count("\n") <= 1, done.err
        assert all(character.isprintable() or character == "\n" for character in done.out)


def test_a_monitor_writes_one(run: Run, playing: Any, tiny_bundle_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    with playing() as (port, _):
        done = run("monitor", "--port", port, "--model", tiny_bundle_path, "--history", path, "--machine", "fan")
    assert (done.code, done.err) == (0, "")
    (found,) = json.loads(run("history", path, "--json").out)["machines"]
    assert found["machine"] == "fan" and sum(span["windows"] for span in found["spans"]) == 124


def test_a_monitor_whose_clock_leaps_says_so_and_keeps_its_history(
    run: Run, playing: Any, tiny_bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, true_time, looks = tmp_path / "h.sqlite", time.time, [0]
    with sink_of(path, true_time() - 300 * 86_400.0) as old:
        old.take(WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0))

    def leaping() -> float:
        return true_time() + (500 * 86_400.0 if looks[0] == 2 else 0.0)

    def look(watch: ClockWatch) -> Jump | None:
        looks[0] += 1
        return plain_look(watch)

    plain_look = ClockWatch.look
    monkeypatch.setattr(time, "time", leaping)
    monkeypatch.setattr(ClockWatch, "look", look)
    with playing() as (port, _):
        done = run("monitor", "--port", port, "--model", tiny_bundle_path, "--history", path, "--machine", "fan")
    monkeypatch.undo()
    assert done.code == 0 and looks[0] > 2
    assert [way in done.err for way in ("set forward by 500 d", "set back by 500 d")] == [True, True]
    found = {
        each["machine"]: each for each in json.loads(run("history", path, "--since", "400d", "--json").out)["machines"]
    }
    assert sum(span["windows"] for span in found["fan"]["spans"]) == 124 and len(found["pump"]["spans"]) == 1
    assert len(found["fan"]["jumps"]) == 2 and found["fan"]["measured_s"] < true_time()


def test_a_file_without_rows_says_that_nothing_was_written_yet(run: Run, tmp_path: Path) -> None:
    open_history(tmp_path / "pump.sqlite").close()
    done = run("history", tmp_path / "pump.sqlite")
    assert done.code == 0 and "no result was written yet" in done.out
