from __future__ import annotations

from pathlib import Path

import pytest
from refusals import refused

from drsn_edge.errors import SettingsError
from drsn_edge.monitor.stages.severity_limits import Limits, SeverityConfig, read_limits


def test_zones(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[zones]\nvelocity_mm_s = [1, 2.5, 4.5]\n")
    config = read_limits(path)
    assert config == SeverityConfig(Limits((1.0, 2.5, 4.5)))
    limits = config.limits
    assert limits is not None
    assert [limits.zone(velocity) for velocity in (0, 0.99, 1, 2.6, 4.4, 4.5, 99)] == list("AABCCDD")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "wrong_tables"),
        ("nonsense", "not_toml"),
        ("[zones]", "invalid_zones"),
        ("[zones]\nvelocity_mm_s = [1, 2]", "invalid_zones"),
        ("[zones]\nvelocity_mm_s = [3, 2, 1]", "invalid_zones"),
        ("[zones]\nvelocity_mm_s = [0, 1, 2]", "invalid_zones"),
        ("[zones]\nvelocity_mm_s = [true, 2, 3]", "invalid_zones"),
        ("[zones]\nvelocity_mm_s = [1, 2, inf]", "invalid_zones"),
        ("[zones]\nvelocity_mm_s = [1, 2, 3]\nspeed = 1", "invalid_zones"),
        ("zones = 3", "invalid_zones"),
        ("bearing = 3", "not_a_table"),
        ("[bearing]\nn_balls = 9", "invalid_bearing"),
        ("[bearing]\nn_balls = 9\nball_diameter_mm = 80.0\npitch_diameter_mm = 39.0", "invalid_bearing"),
        (
            "[bearing]\nn_balls = 9\nball_diameter_mm = 8.0\npitch_diameter_mm = 39.0\nclasses = {a = 'BPF'}",
            "invalid_bearing",
        ),
    ],
)
def test_limits_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with refused(SettingsError, problem, path=path):
        read_limits(path)


def test_a_file_of_limits_that_is_missing_is_named(tmp_path: Path) -> None:
    with refused(SettingsError, "missing", path=tmp_path / "absent.toml") as absent:
        read_limits(tmp_path / "absent.toml")
    assert "Errno" not in str(absent.value) and "Check the path" in str(absent.value)


def test_zones_in_a_wrong_order_are_told_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[zones]\nvelocity_mm_s = [4.5, 2.8, 1.4]")
    with refused(SettingsError, "invalid_zones", got="velocity_mm_s = [4.5, 2.8, 1.4]"):
        read_limits(path)
    path.write_text("[zone]\nvelocity_mm_s = [1.4, 2.8, 4.5]")
    with refused(SettingsError, "wrong_tables", got="zone"):
        read_limits(path)
