from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drsn_edge.errors import TrainingError
from drsn_edge.models.config import PRESETS, DrsnConfig, Stage, count_macs, preset

TINY = DrsnConfig(64, 1, 3, 4, 5, 2, (Stage(4, 1, 2), Stage(6, 2, 2)), 3)


@pytest.mark.parametrize(("name", "least", "most"), [("nano", 0, 150e3), ("small", 0.9e6, 1.2e6), ("base", 5e6, 7e6)])
def test_presets_cost_what_they_promise_at_window_1024_and_one_axis(name: str, least: float, most: float) -> None:
    assert least < count_macs(preset(name, window=1024, n_axes=1, n_classes=10)) <= most


def test_macs_by_hand() -> None:
    stem = 32 * 5 * 1 * 4
    first = 16 * 3 * 4 * 4 + 16 * 3 * 4 * 4 + 4 * 4 + 4 * 4
    second = 8 * 3 * 4 * 6 + 8 * 3 * 6 * 6 + 6 * 6 + 6 * 6
    third = 8 * 3 * 6 * 6 + 8 * 3 * 6 * 6 + 6 * 6 + 6 * 6
    assert count_macs(TINY) == stem + first + second + third + 6 * 3
    assert count_macs(replace(TINY, block="rsbu-cs")) == count_macs(TINY) - (4 * 3 + 6 * 5 + 6 * 5)


def test_total_stride() -> None:
    assert TINY.total_stride == 8
    assert PRESETS["nano"].total_stride == 64


def test_presets_fit_the_data_set() -> None:
    config = preset("nano", window=200, n_axes=3, n_classes=2, block="rsbu-cs")
    assert (config.window, config.n_axes, config.n_classes, config.block) == (200, 3, 2, "rsbu-cs")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"block": "rsbu"}, "rsbu-cw, rsbu-cs, se, residual, plain"),
        ({"stages": ()}, "at least one stage"),
        ({"window": 0}, "at least 1"),
        ({"n_axes": 0}, "at least 1"),
        ({"stem_channels": 0}, "at least 1"),
        ({"stem_kernel": 0}, "at least 1"),
        ({"stem_stride": 0}, "at least 1"),
        ({"kernel": -3}, "at least 1"),
        ({"n_classes": 1}, "at least 2 classes"),
        ({"stages": (Stage(4, 0, 2),)}, "at least 1"),
        ({"stages": (Stage(0, 1, 2),)}, "at least 1"),
        ({"stages": (Stage(4, 1, 0),)}, "at least 1"),
        ({"window": 7}, "at least 8 samples for this network, got 7"),
        ({"stages": (Stage(8, 1, 2), Stage(6, 1, 2))}, r"never shrink.*\[4, 8, 6\]"),
        ({"stem_channels": 5}, r"\[5, 4, 6\]"),
        ({"hidden_ratio": 0.0}, "hidden_ratio above 0"),
        ({"pooling": "max"}, "average, none"),
        ({"dropout": 1.0}, "dropout from 0 to below 1"),
        ({"branches": (1, 1)}, r"branches of 1 channels in all, got \(1, 1\)"),
        ({"branches": (1,), "weights": (0.0,)}, "weight above 0 for each"),
        ({"branches": (1,), "weights": (1.0, 1.0)}, "weight above 0 for each"),
        ({"weights": (1.0,)}, "weight above 0 for each"),
    ],
)
def test_impossible_networks_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        replace(TINY, **changes)


def test_the_shortest_window_is_one_step_of_the_last_stage() -> None:
    assert replace(TINY, window=8).window == 8


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(TrainingError, match="nano, small, paper, spectral, spectral-dense, base, got 'tiny'"):
        preset("tiny", window=1024, n_axes=1, n_classes=2)
