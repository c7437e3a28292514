"""What comes out: JSON lines as the interface says, and plain lines for people."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import OutputError
from drsn_edge.monitor.result_clock import ResultClock
from drsn_edge.monitor.sinks import json_lines as json_lines_module
from drsn_edge.monitor.sinks.console import ConsoleSink
from drsn_edge.monitor.sinks.json_lines import JsonFilesSink, JsonLinesSink
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Result, Summary, WindowResult
from drsn_edge.support.wall_time import iso_time
from drsn_edge.verdicts import Verdict
from firmware_bridge.sources.arrivals import Arrival
from firmware_bridge.wire.events import Idle

WINDOW = WindowResult(96, 0.0240000001, Verdict.CLASS, "worn", {"calm": 0.1234567, "worn": 0.8765433}, None, 0)
DAMAGED = WindowResult(128, 0.032, Verdict.NO_VERDICT, None, None, "lost samples", 5)
SUMMARY = Summary(
    4000, 5, 3, {"CLASS": 2, "UNKNOWN": 0, "NO_VERDICT": 1}, {"calm": 0, "worn": 2}, 3999.98765, {"crc_errors": 2}, 1
)
WINDOW_KEYS = {
    "schema", "type", "first_sample", "device_time_s", "verdict", "label", "scores", "reason", "lost_samples",
    "novelty", "level_rms", "between",
}  # fmt: skip


class Terminal(io.StringIO):
    """Counts flushes."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def json_lines(*results: Result) -> list[dict[str, Any]]:
    stream = Terminal()
    sink = JsonLinesSink(stream)
    for result in results:
        sink.take(result)
    assert stream.flushes == 0 and not stream.getvalue()
    sink.flush()
    sink.flush()
    assert stream.flushes == 1
    assert stream.getvalue().endswith("\n")
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_window_in_json() -> None:
    (line,) = json_lines(WINDOW)
    assert line == {
        "schema": 1, "type": "window", "first_sample": 96, "device_time_s": 0.024, "verdict": "CLASS", "label": "worn",
        "scores": {"calm": 0.123457, "worn": 0.876543}, "reason": None, "lost_samples": 0, "novelty": None,
        "level_rms": None, "between": None,
    }  # fmt: skip
    assert json_lines(DAMAGED)[0] == {
        "schema": 1, "type": "window", "first_sample": 128, "device_time_s": 0.032, "verdict": "NO_VERDICT",
        "label": None, "scores": None, "reason": "lost samples", "lost_samples": 5, "novelty": None,
        "level_rms": None, "between": None,
    }  # fmt: skip


def test_a_decision_in_json_is_a_window_with_since() -> None:
    window, decision = json_lines(WINDOW, Decision(WINDOW, 0.0120000004))
    assert decision == {**window, "type": "decision", "since": 0.012, "differences": [], "resembles": None}
    assert set(window) == WINDOW_KEYS


def test_the_summary_in_json() -> None:
    (line,) = json_lines(SUMMARY)
    assert line == {
        "schema": 1, "type": "summary", "samples_received": 4000, "samples_lost": 5, "windows": 3,
        "verdicts": {"CLASS": 2, "UNKNOWN": 0, "NO_VERDICT": 1}, "labels": {"calm": 0, "worn": 2},
        "sample_rate_hz": 3999.98765, "link": {"crc_errors": 2}, "link_losses": 1, "windows_skipped": 0,
    }  # fmt: skip


@pytest.mark.parametrize("label", ['say "hi"', "größer", "a\u2028b", "\\"])
def test_any_label_stays_one_line(label: str) -> None:
    result = WindowResult(0, 0.0, Verdict.CLASS, label, {label: 1.0}, None, 0)
    assert json_lines(result)[0]["label"] == label


def console(*results: Result, status: Terminal | None = None) -> list[str]:
    stream = Terminal()
    sink = ConsoleSink(stream, status)
    for result in results:
        sink.take(result)
    return stream.getvalue().splitlines()


def test_the_console_shows_decisions_and_the_summary_only() -> None:
    lines = console(WINDOW, DAMAGED, Decision(WINDOW, 0.012), Decision(DAMAGED, 0.02), SUMMARY)
    assert lines == [
        "     0.02 s  worn (88%), since 0.01 s",
        "     0.03 s  NO_VERDICT (lost samples), since 0.02 s",
        "samples   4000 received, 5 lost; rate by the sensor's clock 3999.99 Hz",
        "windows   3 judged, 1 without a verdict, 0 unknown; classes: worn 2",
        "link      1 times lost, 2 damaged frames",
    ]


def test_windows_pass_by_on_the_status_line_which_is_cleared_for_results() -> None:
    stream, status = Terminal(), Terminal()
    sink = ConsoleSink(stream, status)
    for slice_of_time in ((DAMAGED, WINDOW), (Decision(WINDOW, 0.0),), ()):
        for result in slice_of_time:
            sink.take(result)
        sink.flush()
    assert stream.getvalue().count("\n") == 1
    assert status.getvalue() == "\r\x1b[K     0.02 s  worn (88%)\r\x1b[K"
    assert status.flushes == 2


def test_a_summary_without_anything() -> None:
    empty = Summary(0, 0, 0, {verdict.value: 0 for verdict in Verdict}, {}, None)
    assert console(empty) == [
        "samples   0 received, 0 lost; rate by the sensor's clock not measured",
        "windows   0 judged, 0 without a verdict, 0 unknown; classes: none",
        "link      0 times lost, 0 damaged frames",
    ]


def test_what_the_monitor_says_is_what_the_interface_says(
    bench: Any, sensor: Any, windows_of: Callable[..., Any]
) -> None:
    results = bench.take(sensor.hello(), sensor.blocks("calm", 8))
    sensor.lose(3)
    results += bench.take(sensor.blocks("worn", 20))
    for line, result in zip(json_lines(*results), results, strict=True):
        more = {"since", "differences", "resembles"} if isinstance(result, Decision) else set()
        assert set(line) == WINDOW_KEYS | more
        assert line["verdict"] in {verdict.value for verdict in Verdict}
        assert (line["label"] is None) == (line["scores"] is None) == (line["verdict"] != "CLASS")
        assert (line["reason"] is None) == (line["verdict"] == "CLASS")
    assert {line["type"] for line in json_lines(*results)} == {"window", "decision"}


def test_unknown_in_words_names_how_far_off_it_is_and_what_is_nearest() -> None:
    unknown = WindowResult(0, 0.0, Verdict.UNKNOWN, None, {"calm": 0.2, "worn": 0.8}, None, 0, 3.14)
    stream = io.StringIO()
    ConsoleSink(stream).take(Decision(unknown, 0.0))
    assert "UNKNOWN (3.1 times the novelty limit; nearest worn)" in stream.getvalue()
    assert json_lines(unknown)[0]["novelty"] == 3.14


def test_unsure_in_words_names_the_two_best_classes() -> None:
    unsure = WindowResult.unsure(0, 0.0, {"calm": 0.1, "loud": 0.4, "worn": 0.5}, 0.3)
    assert console(Decision(unsure, 0.0)) == ["     0.00 s  UNSURE (worn 50%, or loud), since 0.00 s"]
    (line,) = json_lines(unsure)
    assert (line["label"], line["reason"], line["between"]) == (None, None, ["worn", "loud"])
    summary = replace(SUMMARY, verdicts={"CLASS": 2, "UNKNOWN": 0, "UNSURE": 1, "NO_VERDICT": 1})
    assert "windows   3 judged, 1 without a verdict, 1 unsure, 0 unknown; classes: worn 2" in console(summary)


RAISED = Alarm("worn", AlarmState.RAISED, 96, 0.024, 0.0120000004, 0.8765432198, "alarm-1.drsnlog")


def test_an_alarm_in_json_and_for_people() -> None:
    (line,) = json_lines(RAISED)
    assert line == {
        "schema": 1, "type": "alarm", "name": "worn", "state": "RAISED", "first_sample": 96, "device_time_s": 0.024,
        "since": 0.012, "evidence": 0.876543, "capture": "alarm-1.drsnlog",
    }  # fmt: skip
    stream = io.StringIO()
    ConsoleSink(stream).take(RAISED)
    assert stream.getvalue() == "     0.02 s  ALARM worn raised, since 0.01 s, signal in alarm-1.drsnlog\n"


# --- files of lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 7, 100])
def test_full_files_take_turns(tmp_path: Path, together: int) -> None:
    sink = JsonFilesSink(tmp_path / "lines.jsonl", "fan", lambda: 12.3456, rotate_bytes=700, kept_files=2)
    for number in range(20):
        sink.take(replace(WINDOW, first_sample=number))
        if number % together == 0:
            sink.flush()
    sink.close()
    sink.close()
    files = [tmp_path / name for name in ("lines.jsonl.2", "lines.jsonl.1", "lines.jsonl")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    numbers = [line["first_sample"] for line in lines]
    assert numbers == list(range(numbers[0], 20)) and len(numbers) > 4
    sizes = [len(path.read_text().splitlines()) for path in files]
    assert sizes[:2] == [3, 3] and all(700 <= path.stat().st_size < 1000 for path in files[:2])
    assert (lines[0]["machine"], lines[0]["time_s"]) == ("fan", 12.346)


def test_a_line_that_a_kill_cut_ends_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"schema": 1, "ty')
    sink = JsonFilesSink(path, "fan", lambda: 1.0)
    sink.take(WINDOW)
    sink.close()
    assert json.loads(path.read_text().splitlines()[1])["label"] == "worn"


def test_on_a_disk_that_is_full_lines_wait_and_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.symlink_to("/dev/full")
    sink = JsonFilesSink(path, "fan", lambda: 1.0)
    for number in range(3):
        sink.take(replace(WINDOW, first_sample=number))
        with refused(OutputError, "cannot_write", path=path, reason="No space left on device"):
            sink.flush()
    path.unlink()
    sink.take(replace(WINDOW, first_sample=3))  # it works again
    sink.close()
    assert [json.loads(line)["first_sample"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]
    with refused(OutputError, "cannot_open", path=tmp_path / "nowhere" / "lines.jsonl"):
        JsonFilesSink(tmp_path / "nowhere" / "lines.jsonl", "fan", lambda: 1.0)


def test_lines_that_were_never_written_are_said_to_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines_module, "MOST_WAITING", 5)
    (tmp_path / "lines.jsonl").symlink_to("/dev/full")
    sink = JsonFilesSink(tmp_path / "lines.jsonl", "fan", lambda: 1.0)
    for _ in range(7):
        sink.take(WINDOW)
        with pytest.raises(OutputError):
            sink.flush()
    with refused(OutputError, "lost", lines=7):
        sink.close()
    sink.close()


def test_two_sensors_that_write_one_file_lose_no_line_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    sinks = [JsonFilesSink(path, name, lambda: 1.0, rotate_bytes=1000, kept_files=50) for name in ("fan", "pump")]
    for number in range(40):
        for sink in sinks:
            sink.take(replace(WINDOW, first_sample=number))
            if number % 3:
                sink.flush()
    for sink in sinks:
        sink.close()
    files = list(tmp_path.iterdir())
    lines = [json.loads(line) for each in files for line in each.read_text().splitlines()]
    assert sorted((line["machine"], line["first_sample"]) for line in lines) == [
        (name, number) for name in ("fan", "pump") for number in range(40)
    ]
    assert all(each.stat().st_size >= 1000 for each in files if each != path)  # none was begun before it was full


def test_each_line_has_the_time_of_day_with_its_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    stream = io.StringIO()
    summer_s = 1_782_000_000.0125
    sink, file = JsonLinesSink(stream, None, lambda: summer_s), JsonFilesSink(tmp_path / "lines", "fan", lambda: 1.0)
    for result in (WINDOW, Decision(WINDOW, 0.0), RAISED, SUMMARY):
        sink.take(result)
        file.take(result)
    sink.flush()
    file.close()
    monkeypatch.delenv("TZ")
    time.tzset()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["time"] for line in lines} == {"2026-06-21T02:00:00.012+02:00"} and len(lines) == 4
    kept = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert {(line["time_s"], line["time"]) for line in kept} == {(1.0, "1970-01-01T01:00:01.000+01:00")}
    assert iso_time(1e300) is None and iso_time(float("nan")) is None


def test_of_several_machines_each_line_names_its_own() -> None:
    stream = io.StringIO()
    ConsoleSink(stream, machine="pump 3").take(SUMMARY)
    assert all(line.startswith("pump 3: ") for line in stream.getvalue().splitlines())
    stream = io.StringIO()
    sink = JsonLinesSink(stream, "pump 3")
    sink.take(SUMMARY)
    sink.close()
    assert json.loads(stream.getvalue())["machine"] == "pump 3"


def test_lines_go_to_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with refused(OutputError, "pipe", path=tmp_path / "pipe"):
        JsonFilesSink(tmp_path / "pipe", "fan", lambda: 1.0)


def test_a_pipe_that_takes_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    sink = JsonFilesSink(path, "fan", lambda: 1.0)
    path.unlink()
    os.mkfifo(path)
    sink.take(WINDOW)
    with refused(OutputError, "cannot_write", path=path, reason="it is a pipe"):
        sink.flush()
    path.unlink()
    sink.take(WINDOW)
    sink.flush()
    assert path.read_text().count("\n") == 2


class Counted(FileIO):
    """A file that counts its writes, and takes at most `room` bytes."""

    writes, room = 0, 10**9

    def write(self, data: Any) -> int:
        Counted.writes += 1
        taken = min(len(data), Counted.room)
        Counted.room -= taken
        return super().write(data[:taken])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    monkeypatch.setattr(json_lines_module, "FileIO", Counted)
    monkeypatch.setattr(Counted, "writes", 0)
    monkeypatch.setattr(Counted, "room", 10**9)
    return Counted


def test_the_lines_of_a_slice_are_written_together(tmp_path: Path, counted: type[Counted]) -> None:
    path = tmp_path / "lines.jsonl"
    sink = JsonFilesSink(path, "fan", lambda: 1.0)
    for number in range(30):
        sink.take(replace(WINDOW, first_sample=number))
        if number % 10 == 9:
            sink.flush()
    assert counted.writes == 3 and len(path.read_text().splitlines()) == 30
    sink.flush()
    assert counted.writes == 3


@given(room=st.integers(0, 3000))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_disk_that_fills_within_a_slice_doubles_and_loses_no_line(
    room: int, tmp_path_factory: pytest.TempPathFactory, counted: type[Counted]
) -> None:
    path = tmp_path_factory.mktemp("full") / "lines.jsonl"
    sink = JsonFilesSink(path, "fan", lambda: 1.0)
    counted.room = room
    for number in range(10):
        sink.take(replace(WINDOW, first_sample=number))
    if room < 2500:
        with refused(OutputError, "cannot_write", path=path):
            sink.flush()
    counted.room = 10**9
    sink.flush()
    sink.close()
    whole = [json.loads(line)["first_sample"] for line in path.read_text().splitlines() if line.endswith("}")]
    assert whole == list(range(10)) and len(path.read_text().splitlines()) <= 11


def test_very_many_lines_of_one_slice_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines_module, "_MOST_TOGETHER", 4)
    monkeypatch.setattr(json_lines_module, "MOST_WAITING", 6)
    stream = io.StringIO()
    printed, sink = JsonLinesSink(stream), JsonFilesSink(tmp_path / "lines", "fan", lambda: 1.0)
    for _ in range(30):
        printed.take(WINDOW)
        sink.take(WINDOW)
    assert stream.getvalue().count("\n") == 28 and (tmp_path / "lines").read_text().count("\n") == 28
    sink.close()
    assert (tmp_path / "lines").read_text().count("\n") == 30 and sink.lost == 0


def test_each_line_of_a_slice_has_the_time_of_its_samples(tmp_path: Path) -> None:
    clock, stream = ResultClock(lambda: 2000.0), io.StringIO()
    sinks = JsonLinesSink(stream, None, clock.time_s), JsonFilesSink(tmp_path / "lines", "fan", clock.time_s)
    times = [1000.25, 1000.5, 1000.999, 1001.0]
    for time_s in times:
        clock.at = Arrival(Idle(), 0.0, time_s)
        for sink in sinks:
            sink.take(WINDOW)
    clock.at = None
    for sink in sinks:
        sink.take(SUMMARY)
        sink.flush()
    for text in (stream.getvalue(), (tmp_path / "lines").read_text()):
        found = [datetime.fromisoformat(json.loads(line)["time"]).timestamp() for line in text.splitlines()]
        assert found == [*times, 2000.0]
