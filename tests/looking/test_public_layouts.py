"""`look --write-catalogue`, one edit by hand, then training: on small folders in the layouts of public data sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from public_layouts import LAYOUTS, MORE

from drsn_edge.cli.main import cli
from drsn_edge.recordings.loading.load import open_recordings

ALL = {**LAYOUTS, **MORE}
LIFE = ("early_life", "mid_life", "late_life")
LABELS: dict[str, dict[str, int]] = {
    "cwru": {"normal": 2, "IR007": 2, "B007": 1, "OR007": 1},
    "paderborn": {"healthy": 4, "outer_race": 2, "inner_race": 2},
    "mfpt": {"healthy": 2, "outer_race": 4, "inner_race": 2},
    "xjtu": dict.fromkeys(LIFE, 12),
    "ims": dict.fromkeys(LIFE, 4),
    "femto": dict.fromkeys(LIFE, 6),
    "seu": {"ball": 1, "healthy": 1, "inner": 1, "outer": 1},
    "mafaulda": {"normal": 2, "imbalance": 2, "ball_fault": 2},
    "hust": {"normal": 1, "inner": 1, "outer": 1, "ball": 1},
    "uored": {"healthy": 1, "inner": 1, "outer": 1, "ball": 1},
    "kaist": {"normal": 1, "bpfi": 1, "bpfo": 1},
}
RATES = {
    "cwru": {12000, 48000},
    "paderborn": {64000},
    "mfpt": {97656, 48828},
    "xjtu": {25600},
    "ims": {20000},
    "femto": {25600},
    "mafaulda": {50000},
    "hust": {51200},
    "uored": {42000},
    "kaist": {25600},
}
UNITS = {"cwru": "g", "mfpt": "g", "xjtu": "g", "ims": "g", "femto": "g"}
BY_HAND = {
    "seu": {"# sample_rate_hz = 0": "sample_rate_hz = 5120", '# unit = "g"': 'unit = "g"'},
}
"""Edits besides the confirmation: what no file and no publisher states."""


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


def looked_at(name: str, folder: Path) -> Path:
    """Make the folder of a layout, let `look` write its catalogue, and confirm it as a person would."""
    data = folder / name
    data.mkdir()
    ALL[name](data)
    run("look", data, "--write-catalogue")
    catalogue = data / "catalogue.toml"
    text = catalogue.read_text()
    for old, new in {"confirmed = false": "confirmed = true", **BY_HAND.get(name, {})}.items():
        assert text.count(old) == 1, text
        text = text.replace(old, new)
    assert "FILL IN" not in text or name in BY_HAND
    catalogue.write_text(text)
    return data


@pytest.mark.parametrize("name", ALL)
def test_the_proposed_catalogue_gives_what_the_publisher_says(name: str, tmp_path: Path) -> None:
    found = list(open_recordings([looked_at(name, tmp_path)]))
    assert Counter(each.label for each in found) == LABELS[name]
    assert {each.sample_rate_hz for each in found} == RATES.get(name, {5120})
    assert len({each.axes for each in found}) == 1
    if name in UNITS:
        assert {each.unit for each in found} == {UNITS[name]}


@pytest.mark.parametrize(
    ("name", "groups", "fields"),
    [
        ("paderborn", {"K001", "K002", "KA01", "KI01"}, {"rpm": 900, "torque_nm": 0.7, "force_n": 1000}),
        ("xjtu", {"Bearing1_1", "Bearing1_2", "Bearing2_1"}, {"rpm": 2100, "load_kn": 12}),
        ("femto", {"Bearing1_1", "Bearing1_2"}, {"rpm": 1800, "load_n": 4000}),
    ],
)
def test_groups_and_operating_points_are_proposed(
    name: str, groups: set[str], fields: dict[str, Any], tmp_path: Path
) -> None:
    found = list(open_recordings([looked_at(name, tmp_path)]))
    assert {each.group for each in found} == groups
    assert {key: found[0].fields[key] for key in fields} == fields


@pytest.mark.integration
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_confirmed_catalogue_is_trained_on(name: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    data = looked_at(name, tmp_path)
    settings = ("--inputs", "waveform", "--network", "nano", "--window", 512, "--epochs", 1)
    run("train", "--data", data, "--hold-out", "time=0.3", "--out", tmp_path / "run", *settings)
    assert (tmp_path / "run" / "metrics.json").is_file()
