"""--latency of the monitor, and its key of a sensors file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import expect, failure_of

from drsn_edge.errors import SettingsError
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


def test_a_slice_that_the_queue_cannot_hold_is_refused_with_the_figure(run: Run, tmp_path: Path) -> None:
    done = run("monitor", "--port", "/dev/p", "--model", "m.drsn", "--latency", "3s")
    assert done.code == 2 and "--latency" in done.err and "20000" in done.err and "2.9 s" in done.err, done
    file = tmp_path / "sensors.toml"
    file.write_text(FILE.format(latency="3"))
    expect(
        failure_of("monitor", "--sensors", file), SettingsError, "slice_too_long", got=3.0, limit=LONGEST_LATENCY_S
    )  # fmt: skip


@pytest.mark.parametrize("value", ['"soon"', '"-1s"', "true", '["1s"]', "-0.1", "nan", "inf"])
def test_what_is_no_duration_is_refused(value: str, tmp_path: Path) -> None:
    file = tmp_path / "sensors.toml"
    file.write_text(FILE.format(latency=value))
    expect(failure_of("monitor", "--sensors", file), SettingsError, "wrong_type", key="latency")
