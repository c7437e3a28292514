"""--at-most-wrong of the monitor, its key of a sensors file, and what a bundle that cannot promise it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from refusals import expect, failure_of, refused

from drsn_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.errors import SettingsError
from drsn_edge.monitor.judging import is_fault_of_bundle, open_judging
from drsn_edge.monitor.sensor_config import SensorConfig, read_sensors

Run = Callable[..., Any]
FILE = """model = "m.drsn"
[[sensor]]
port = "/dev/a"
at_most_wrong = {percent}
[[sensor]]
port = "/dev/b"
"""


@pytest.fixture
def able(tiny_bundle_path: Path, tmp_path: Path) -> Path:
    """Return a bundle that can promise 2 %."""
    bundle, path = read_bundle(tiny_bundle_path), tmp_path / "able.drsn"
    promise = Promise(1.0, "another rpm of these machines", 3, 900, (RiskPoint(0.7, 0.02, 0.5, 0.9),))
    write_bundle(Bundle(replace(bundle.manifest, promise=promise), bundle.model, bundle.extras), path)
    return path


def test_it_is_typed_in_percent_for_all_sensors_or_one(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    plans: list[Any] = []
    monkeypatch.setattr("drsn_edge.cli.monitor._run", plans.append)
    file = tmp_path / "sensors.toml"
    file.write_text(FILE.format(percent=2))
    for typed in ("5", "5%", "5 %"):
        assert run("monitor", "--port", "/dev/a", "--model", "m.drsn", "--at-most-wrong", typed).code == 0
        assert [each.at_most_wrong for each in plans.pop().plan.sensors] == [0.05]
        assert run("monitor", "--sensors", file, "--at-most-wrong", typed).code == 0
        assert [each.at_most_wrong for each in plans.pop().plan.sensors] == [0.02, 0.05]
    assert [each.at_most_wrong for each in read_sensors(file)] == [0.02, None]


@pytest.mark.parametrize("percent", ["0", "0.001", "100", "-2", '"2%"', "true", "nan"])
def test_what_is_no_percent_is_refused_with_its_line(percent: str, tmp_path: Path) -> None:
    file = tmp_path / "sensors.toml"
    file.write_text(FILE.format(percent=percent))
    failure = failure_of("monitor", "--sensors", file)
    expect(failure, SettingsError, "wrong_type", key="at_most_wrong", place=f"{file}, line 4")


@pytest.mark.parametrize("typed", ["0", "100", "-2", "few"])
def test_what_is_no_percent_is_refused_before_anything_is_opened(run: Run, typed: str) -> None:
    done = run("monitor", "--port", "/dev/p", "--model", "m.drsn", "--at-most-wrong", typed)
    assert done.code == 2 and "--at-most-wrong" in done.err


def test_a_bundle_without_the_promise_is_refused_before_the_port_is_opened(
    tiny_bundle_path: Path, able: Path, tmp_path: Path
) -> None:
    ask = ("monitor", "--port", tmp_path / "none", "--at-most-wrong")
    expect(failure_of(*ask, 2, "--model", tiny_bundle_path), SettingsError, "no_promise", bundle="tiny 1.0.0")
    expect(failure_of(*ask, 1.9, "--model", able), SettingsError, "cannot_be_promised", least=0.02)
    settings = tmp_path / "monitor.toml"
    settings.write_text("[decision]\nat_most_wrong = 1")
    classify = ("classify", tmp_path, "--model", able, "--settings", settings)
    expect(failure_of(*classify), SettingsError, "cannot_be_promised", asked=0.01)
    tune = ("tune-alarms", tmp_path, "--model", able, "--settings", settings)
    expect(failure_of(*tune), SettingsError, "cannot_be_promised", asked=0.01)


@pytest.mark.parametrize("percent", [2, 1.0, 0.0, float("nan")])
def test_a_program_gives_a_share_and_not_a_percent(percent: float, able: Path) -> None:
    with refused(SettingsError, "invalid_share"):
        open_judging(SensorConfig(at_most_wrong=percent), able, print)  # type: ignore[arg-type]


def test_a_bundle_that_can_no_longer_keep_the_promise_is_at_fault_and_not_the_settings(
    tiny_bundle_path: Path, able: Path
) -> None:
    config = SensorConfig(at_most_wrong=0.02)  # type: ignore[arg-type]
    before = open_judging(config, able, print)
    with pytest.raises(SettingsError) as caught:
        open_judging(config, tiny_bundle_path, print)
    assert is_fault_of_bundle(caught.value, config, before)
    plain = SimpleNamespace(manifest=read_bundle(tiny_bundle_path).manifest)
    assert not is_fault_of_bundle(caught.value, config, plain)  # type: ignore[arg-type]
