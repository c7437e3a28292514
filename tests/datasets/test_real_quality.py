"""No real recording is refused, and docs/explanation/recording-quality.md explains each warning about one."""

from __future__ import annotations

from pathlib import Path

import pytest

from drsn_edge.datasets.damage import check_damage
from drsn_edge.datasets.doubts import doubts_about
from drsn_edge.datasets.profile import profile_of
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.verdicts import CLIPPED

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("folder", "window", "every", "damaged", "doubts"),
    [
        ("cwru", 1024, 1, {"OR014_load3": {CLIPPED: 2}}, ["steps"]),
        ("adi_mfs_mems", 1024, 1, {"ball_heavy_1200rpm_load00lb": {CLIPPED: 1}}, []),
        ("fan_mems_ceiling", 128, 16, {}, []),
    ],
)
def test_the_warnings_about_real_recordings_are_known(
    shared_data: Path, folder: str, window: int, every: int, damaged: dict[str, dict[str, int]], doubts: list[str]
) -> None:
    recordings = load_recordings(shared_data / folder)[::every]
    found = check_damage(recordings, window, window // 2, 0.05)
    assert {each.recording: dict(each.reasons) for each in found if each.damaged} == damaged
    assert [doubt.kind for doubt in doubts_about([profile_of(each) for each in recordings])] == doubts
