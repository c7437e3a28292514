"""`tune-alarms` from recordings to the file that `monitor` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from refusals import expect

from drsn_edge.errors import RecordingError, SettingsError
from drsn_edge.monitor.stages.settings import read_settings

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of simulated machines like those that `trained_bundle` knows."""
    pytest.importorskip("scipy", reason="the simulator needs the extra `train`")
    from drsn_edge.simulation.simulator import simulate_dataset

    folder = tmp_path_factory.mktemp("tune-alarms")
    for each in simulate_dataset(("healthy", "imbalance"), n_machines=3, duration_s=4.0, seed=5):
        save(folder / f"{each.name}.npz", each)
    return folder


def save(path: Path, recording: Any, **changes: Any) -> None:
    values = {"x": recording.samples.T, "sample_rate_hz": recording.sample_rate_hz, "axes": np.array(recording.axes),
              "unit": recording.unit, "label": recording.label, "group": recording.group, **changes}  # fmt: skip
    np.savez(path, **{name: value for name, value in values.items() if value is not None})


def test_what_is_chosen_is_written_and_taken_by_the_monitor(
    run: Run, recordings: Path, trained_bundle: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "monitor.toml", tmp_path / "tradeoff.png"
    given = (recordings, "--model", trained_bundle, "--false-alarms", 100_000)
    done = run("tune-alarms", *given, "--out", out, "--picture", picture)
    assert done.code == 0, done
    assert "false alarms" in done.out and "chosen" in done.out
    settings = read_settings(out, ("healthy", "imbalance"))
    assert settings.alarms is not None and settings.alarms.normal == ("healthy",)
    assert picture.read_bytes().startswith(b"\x89PNG")
    values = json.loads(run("tune-alarms", *given, "--json").out)
    chosen = values["chosen"]
    assert (chosen["windows"], chosen["on"]) == (settings.alarms.windows, settings.alarms.limits.on)
    assert chosen in values["points"] and chosen["missed"] == 0
    low, high = chosen["false_alarms_per_day_95"]
    assert low <= chosen["false_alarms_per_day"] <= high
    said = run("classify", recordings, "--model", trained_bundle, "--settings", out)
    assert said.code == 0 and said.out.count("ALARM") >= 3


def test_a_promise_that_cannot_be_kept_writes_nothing(
    run: Run, recordings: Path, trained_bundle: Path, tmp_path: Path
) -> None:
    """Faults that are called normal are false alarms at every setting."""
    folder = tmp_path / "swapped"
    folder.mkdir()
    for path in recordings.iterdir():
        with np.load(path) as file:
            values = dict(file)
        values["label"] = "imbalance" if str(values["label"]) == "healthy" else "healthy"
        np.savez(folder / path.name, **values)
    out = tmp_path / "monitor.toml"
    done = run("tune-alarms", folder, "--model", trained_bundle, "--out", out)
    assert done.code == 1 and type(done.why) is SettingsError and "0.1" in done.err and not out.exists()


def test_what_is_missing_is_said(run: Run, recordings: Path, trained_bundle: Path, tmp_path: Path) -> None:
    model = ("--model", trained_bundle)
    one = run("tune-alarms", recordings / "healthy-01.npz", *model)
    assert one.code == 1 and type(one.why) is SettingsError and re.search(r"\b1\b.*\b0\b", one.err)
    wrong = run("tune-alarms", recordings, *model, "--normal", "helthy")
    assert wrong.code == 2 and isinstance(wrong.why, click.BadParameter) and wrong.why.param_hint == "--normal"
    assert "helthy" in wrong.err and "healthy, imbalance" in wrong.err
    with np.load(recordings / "healthy-01.npz") as file:
        np.savez(tmp_path / "a.npz", **{name: value for name, value in file.items() if name != "label"})
    none = run("tune-alarms", tmp_path / "a.npz", *model)
    assert none.code == 1 and 'file = "a.*"' in none.err
    expect(none.why, RecordingError, "no_label", count=1, first="a")
