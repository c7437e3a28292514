from __future__ import annotations

from pathlib import Path

import pytest

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
    "text",
    [
        "", "[zones]", "[zones]\nvelocity_mm_s = [1, 2]", "[zones]\nvelocity_mm_s = [3, 2, 1]", "nonsense",
        "[bearing]\nn_balls = 9",
        "[bearing]\nn_balls = 9\nball_diameter_mm = 80.0\npitch_diameter_mm = 39.0", "bearing = 3",
        "[bearing]\nn_balls = 9\nball_diameter_mm = 8.0\npitch_diameter_mm = 39.0\nclasses = {a = 'BPF'}",
        "[zones]\nvelocity_mm_s = [0, 1, 2]", "[zones]\nvelocity_mm_s = [true, 2, 3]", "zones = 3",
        "[zones]\nvelocity_mm_s = [1, 2, inf]", "[zones]\nvelocity_mm_s = [1, 2, 3]\nspeed = 1",
    ],
)  # fmt: skip
def test_limits_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="Expected"):
        read_limits(path)
    with pytest.raises(SettingsError, match="could not read") as absent:
        read_limits(tmp_path / "absent.toml")
    assert "Errno" not in str(absent.value) and "Check the path" in str(absent.value)


def test_zones_in_a_wrong_order_are_told_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[zones]\nvelocity_mm_s = [4.5, 2.8, 1.4]")
    with pytest.raises(SettingsError, match=r"got velocity_mm_s = \[4\.5, 2\.8, 1\.4\]\.$"):
        read_limits(path)
    path.write_text("[zone]\nvelocity_mm_s = [1.4, 2.8, 4.5]")
    with pytest.raises(SettingsError, match=r"got zone\.$"):
        read_limits(path)
