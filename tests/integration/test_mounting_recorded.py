"""A motor's recordings at a speed that was left out: axes as they were are never withheld, inverted ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drsn_edge.datasets.span import Span
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.windows import FloatArray, centre
from drsn_edge.training.fit_mounting import fit_mounting, with_mounting_limit

pytestmark = pytest.mark.integration

WINDOW = 1024


@pytest.fixture(scope="module")
def by_rpm(shared_data: Path) -> dict[int, list[Recording]]:
    found: dict[int, list[Recording]] = {}
    for each in load_recordings(shared_data / "adi_mfs_mems"):
        found.setdefault(int(str(each.fields["rpm"])), []).append(each)
    return found


def cut(recordings: list[Recording]) -> WindowSet:
    labels = sorted({str(each.label) for each in recordings})
    return cut_spans([Span(each, 0, len(each.samples)) for each in recordings], labels, WINDOW, WINDOW)


@pytest.mark.parametrize(("held_out", "new"), [(600, 1800), (1800, 600), (600, 3000)])
def test_an_inverted_axis_is_told_at_a_speed_that_was_never_trained(
    by_rpm: dict[int, list[Recording]], held_out: int, new: int
) -> None:
    trained = [each for rpm, some in by_rpm.items() if rpm not in (held_out, new) for each in some]
    fitted = fit_mounting(cut(trained), {each.name: each.group for each in trained})
    known = with_mounting_limit(fitted, cut(by_rpm[held_out]).windows)
    assert known is not None
    windows = cut(by_rpm[new]).windows

    def turned(some: FloatArray) -> float:
        return float(np.concatenate([known.is_turned(centre(some[at : at + 256])) for at in range(0, len(some), 256)])
                     .mean())  # fmt: skip

    assert turned(windows) <= 0.005
    noise = np.random.default_rng(0).normal(size=windows.shape) * windows.std(axis=(1, 2), keepdims=True)
    assert turned((windows + 10 ** (4 / 20) * noise).astype(np.float32)) <= 0.005  # -4 dB
    inverted = [
        turned((windows * np.array(signs, np.float32)).astype(np.float32))
        for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1])
    ]
    assert min(inverted) > 0.7 and np.mean(inverted) > 0.9
