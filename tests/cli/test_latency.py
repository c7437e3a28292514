"""--latency of the monitor, and its key of a sensors file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import expect, failure_of, refused

from drsn_edge.errors import SettingsError
from drsn_edge.monitor.sensor_config import SensorConfig
from firmware_bridge.sources.names import LONGEST_LATENCY_S

Run = Callable[..., Any]
Planned = Callable[..., list[float | None]]
FILE = """model = "m.drsn"
[[sensor]]
machine = "a"
port = "/dev/a"
[[sensor]]
machine = "b"
port = "/dev/b"
latency = {latency}
"""


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, run: Run) -> Planned:
    """Return what runs a monitor up to its plan; the result is the latency of each sensor."""
    plans: list[Any] = []
    monkeypatch.setattr("drsn_edge.cli.monitor._run", plans.append)

    def call(*arguments: Any) -> list[float | None]:
        done = run("monitor", *arguments)
        assert done.code == 0, done
        return [each.latency for each in plans.pop().plan.sensors]

    return call


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("0", 0.0), ("1.5", 1.5), ("2.9s", LONGEST_LATENCY_S)])
def test_a_latency_is_a_duration_that_may_be_zero(planned: Planned, text: str, seconds: float) -> None:
    assert planned("--port", "/dev/p", "--model", "m.drsn", "--latency", text) == [seconds]


def test_the_latency_of_a_sensor_of_the_file_goes_before_the_typed_one(planned: Planned, tmp_path: Path) -> None:
    file = tmp_path / "sensors.toml"
    for value, seconds in (('"20 ms"', 0.02), ("0.02", 0.02), ("0", 0.0)):
        file.write_text(FILE.format(latency=value))
        assert planned("--sensors", file) == [None, seconds]
    assert planned("--sensors", file, "--latency", "1s") == [1.0, 0.0]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("3s", ["--latency 3s is too long: at most 2.9 s", "20,000 frames", "The default is 200ms.\n"]),
        ("200", ["--latency 200 is too long", "A number without a unit is in seconds; did you mean 200ms?\n"]),
        ("1e3", ["'1e3' is not a duration"]),
        ("9000", ["--latency 9000 is too long", "The default is 200ms.\n"]),
        ("-1", ["--latency -1 is out of range: it must be at least 0 s"]),
        ("-20ms", ["--latency -20ms is out of range: it must be at least 0 s"]),
        ("soon", ["--latency", "'soon' is not a duration"]),
        ("", ["--latency", "'' is not a duration"]),
    ],
)
def test_a_latency_out_of_range_is_refused_with_what_to_type(run: Run, typed: str, said: list[str]) -> None:
    done = run("monitor", "--port", "/dev/p", "--model", "m.drsn", "--latency", typed)
    assert done.code == 2 and all(words in done.err for words in said), done


@pytest.mark.parametrize(
    ("value", "meant"), [("3", "0.003"), ("200", "0.2"), ('"200"', "200ms"), ('"3s"', None), ("9000", None)]
)
def test_a_latency_out_of_range_in_a_file_is_refused_with_its_line(
    value: str, meant: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "sensors.toml"
    for text, line in ((FILE.format(latency=value), 8), (f"latency = {value}\n{FILE.format(latency=0)}", 1)):
        file.write_text(text)
        failure = failure_of("monitor", "--sensors", file)
        expect(failure, SettingsError, "invalid_latency", place=f"{file}, line {line}", limit=LONGEST_LATENCY_S)
        assert str(failure).startswith(f"{file}, line {line}: latency ")
        assert str(failure).endswith("200ms." if meant is None else f"did you mean {meant}?")


@pytest.mark.parametrize("value", [3.0, 100.0, -1, float("nan"), float("inf"), "500ms", True])
def test_the_library_refuses_such_a_latency_too(value: Any) -> None:
    with refused(SettingsError, "invalid_latency", limit=LONGEST_LATENCY_S):
        SensorConfig(port="/dev/p", latency=value)


@pytest.mark.parametrize("value", [None, 0, 0.2, LONGEST_LATENCY_S])
def test_the_library_takes_a_latency_in_seconds(value: Any) -> None:
    assert SensorConfig(latency=value).latency_s == (0.2 if value is None else value)


@pytest.mark.parametrize("value", ['"soon"', '"-1s"', "true", '["1s"]', "-0.1", "nan", "inf"])
def test_what_is_no_duration_is_refused(value: str, tmp_path: Path) -> None:
    file = tmp_path / "sensors.toml"
    file.write_text(FILE.format(latency=value))
    expect(failure_of("monitor", "--sensors", file), SettingsError, "wrong_type", key="latency")
