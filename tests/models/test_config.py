from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from refusals import refused

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
    ("changes", "problem", "facts"),
    [
        ({"block": "rsbu"}, "unknown_choice", {"choices": ("rsbu-cw", "rsbu-cs", "se", "residual", "plain")}),
        ({"stages": ()}, "no_stage", {}),
        ({"window": 0}, "out_of_range", {"setting": "window"}),
        ({"n_axes": 0}, "out_of_range", {"setting": "n_axes"}),
        ({"stem_channels": 0}, "out_of_range", {"setting": "stem_channels"}),
        ({"stem_kernel": 0}, "out_of_range", {"setting": "stem_kernel"}),
        ({"stem_stride": 0}, "out_of_range", {"setting": "stem_stride"}),
        ({"kernel": -3}, "out_of_range", {"setting": "kernel", "got": -3}),
        ({"n_classes": 1}, "too_few_classes", {"got": 1}),
        ({"stages": (Stage(4, 0, 2),)}, "out_of_range", {"setting": "blocks of each stage"}),
        ({"stages": (Stage(0, 1, 2),)}, "out_of_range", {"setting": "channels of each stage"}),
        ({"stages": (Stage(4, 1, 0),)}, "out_of_range", {"setting": "stride of each stage"}),
        ({"window": 7}, "window_too_short", {"least": 8, "got": 7}),
        ({"stages": (Stage(8, 1, 2), Stage(6, 1, 2))}, "falling_widths", {"got": [4, 8, 6]}),
        ({"stem_channels": 5}, "falling_widths", {"got": [5, 4, 6]}),
        ({"hidden_ratio": 0.0}, "out_of_range", {"setting": "hidden_ratio"}),
        ({"pooling": "max"}, "unknown_choice", {"setting": "pooling", "choices": ("average", "none")}),
        ({"dropout": 1.0}, "out_of_range", {"setting": "dropout", "got": 1.0}),
        ({"branches": (1, 1)}, "branch_channels", {"expected": 1, "got": (1, 1)}),
        ({"branches": (1,), "weights": (0.0,)}, "branch_weights", {"branches": 1, "got": (0.0,)}),
        ({"branches": (1,), "weights": (1.0, 1.0)}, "branch_weights", {"branches": 1, "got": (1.0, 1.0)}),
        ({"weights": (1.0,)}, "branch_weights", {"branches": 0, "got": (1.0,)}),
    ],
)
def test_impossible_networks_are_refused(changes: dict[str, Any], problem: str, facts: dict[str, Any]) -> None:
    with refused(TrainingError, problem, **facts):
        replace(TINY, **changes)


def test_the_shortest_window_is_one_step_of_the_last_stage() -> None:
    assert replace(TINY, window=8).window == 8


def test_unknown_presets_are_refused() -> None:
    choices = ("nano", "small", "paper", "spectral", "spectral-dense", "base")
    with refused(TrainingError, "unknown_choice", setting="network", got="tiny", choices=choices):
        preset("tiny", window=1024, n_axes=1, n_classes=2)
