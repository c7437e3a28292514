"""`drsn-edge train`: settings from a file, going on after a kill, and what is said."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from refusals import after_notes, expect, failure_of

pytest.importorskip("tensorflow")

from drsn_edge.cli import train as train_module
from drsn_edge.cli.main import cli
from drsn_edge.cli.searching import fixed_values
from drsn_edge.errors import SplitError, TrainingError
from drsn_edge.training.checkpoint import FILE, check_work_folder, load_checkpoint, work_folder
from drsn_edge.training.config_file import read_config
from drsn_edge.training.run_folder import load_run
from drsn_edge.training.settings import RESEARCH, ResearchSettings, TrainSettings, settings_from

Run = Callable[..., Any]

CONFIG = """
hold_out = "time=0.3"
inputs = "waveform"
window = 64
epochs = 4
seed = 3
polarity = true

[network]
stem_channels = 4
stem_kernel = 5
stem_stride = 4
stages = [[4, 1, 2]]
kernel = 3

[research]
batch_size = 8
axis_dropout = 0.1
"""

KILLED_IN_A_STEP = """
from drsn_edge.training import fit

step, done = fit._step, 0

def stop_in_epoch_3(*arguments):
    global done
    done += 1
    if done == 2 * STEPS + 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*arguments)

fit._step = stop_in_epoch_3
"""

KILLED_WHILE_WRITING = """
import numpy as np

savez, done = np.savez, 0

def half_of_the_third(path, **arrays):
    global done
    done += 1
    savez(path, **arrays)
    if done == 3:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

np.savez = half_of_the_third
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, save_recording: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    time_s = np.arange(3000) / 4000
    for label, line_hz in (("calm", 100.0), ("worn", 600.0)):
        tone = np.sin(2 * np.pi * line_hz * time_s) + np.random.default_rng(1).normal(size=(2, 3000))
        save_recording(folder / f"{label}.npz", x=tone, label=label)
    (folder / "train.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a training that nothing disturbed."""
    out: Path = tmp_path_factory.mktemp("whole") / "run"
    cli.main(arguments(data, out), prog_name="drsn-edge", standalone_mode=False)
    return out


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    return ["train", "--data", str(data), "--config", str(data / "train.toml"), "--out", str(out), *more]


def check_same_training(ours: Path, theirs: Path) -> None:
    one, other = load_run(ours), load_run(theirs)
    for weights, expected in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(one.calibration.windows, other.calibration.windows)
    assert {**one.metrics, "step_share": 0} == {**other.metrics, "step_share": 0}


# The run folder.


def test_the_recorded_configuration_repeats_the_training(run: Run, data: Path, whole: Path, tmp_path: Path) -> None:
    recorded = read_config(whole / "config.toml")
    assert recorded.keys() == {each.name for each in fields(TrainSettings)}
    assert TrainSettings(**recorded) == TrainSettings(**read_config(data / "train.toml"))
    done = run("train", "--data", data, "--config", whole / "config.toml", "--out", tmp_path / "again")
    assert done.code == 0, done
    check_same_training(tmp_path / "again", whole)
    assert (tmp_path / "again" / "config.toml").read_text() == (whole / "config.toml").read_text()
    busy = json.loads((tmp_path / "again" / "metrics.json").read_text())["step_share"]
    assert f"training steps took {busy:.0%} of the training time" in done.out


def test_a_run_leaves_its_log_and_no_work_folder(whole: Path) -> None:
    rows = list(csv.DictReader((whole / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert all(0 < float(row["step_share"]) < 1 and float(row["validation_accuracy"]) >= 0 for row in rows)
    assert [path.name for path in whole.parent.iterdir()] == ["run"]


# Stopped and gone on with.


@pytest.mark.parametrize("kill", [KILLED_IN_A_STEP, KILLED_WHILE_WRITING], ids=["in a step", "while writing"])
def test_a_killed_training_goes_on_to_the_same_weights(
    run: Run, data: Path, whole: Path, tmp_path: Path, kill: str
) -> None:
    steps = json.loads((whole / "metrics.json").read_text())["epochs"][0]["steps"]
    script = f"import os, signal, sys\nSTEPS = {steps}\n{kill}\nfrom drsn_edge.cli.main import main\nmain()"
    command = [sys.executable, "-c", script, *arguments(data, tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (-9, ""), done
    assert [path.name for path in tmp_path.iterdir()] == ["run.training"]
    assert len(load_checkpoint(work_folder(tmp_path / "run")).history) == 2
    resumed = run(*arguments(data, tmp_path / "run", "--resume"))
    assert resumed.code == 0, resumed
    check_same_training(tmp_path / "run", whole)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(("epoch", "kept"), [(1, False), (3, True)])
def test_ctrl_c_says_how_to_go_on(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, kept: bool
) -> None:
    from drsn_edge.training import fit

    @contextmanager
    def impatient() -> Any:
        def stop(report: Any) -> None:
            if report.epoch == epoch:
                raise KeyboardInterrupt

        yield stop

    monkeypatch.setattr(train_module, "training_bar", impatient)
    monkeypatch.setattr(fit, "_step", lambda loop, inputs, labels: (0.5, 0.75))
    done = run(*arguments(data, tmp_path / "run"))
    assert done.code == 1 and ("--resume" in done.err.splitlines()[-1]) == kept
    expect(done.why, TrainingError, "stopped", path=tmp_path / "run.training", kept=kept)
    assert os.listdir(tmp_path) == (["run.training"] if epoch > 1 else [])


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The work folder of a training that was stopped, and damaged as well."""
    folder = tmp_path / "run.training"
    folder.mkdir()
    (folder / FILE).write_bytes(b"garbage")
    return folder


def test_a_training_that_was_stopped_is_not_lost_by_a_new_one(run: Run, data: Path, left: Path) -> None:
    done = run(*arguments(data, left.parent / "run"))
    assert done.code == 1 and "--resume" in done.err and "--force" in done.err
    assert (left / FILE).read_bytes() == b"garbage"
    check_work_folder(left, resume=False, force=True)


def test_what_cannot_be_resumed_is_said(run: Run, data: Path, left: Path) -> None:
    done = run(*arguments(data, left.parent / "run", "--resume"))
    last = done.err.splitlines()[-1]
    assert done.code == 1 and last.startswith("Error: ") and type(done.why) is TrainingError and "--force" in last
    found = failure_of(*arguments(data, left.parent / "other", "--resume"))
    expect(found, TrainingError, "nothing_to_resume", path=left.parent / "other.training")
    assert [path.name for path in left.parent.iterdir()] == ["run.training"]


# The classes.


def test_classes_are_shown_before_the_training_and_in_json(
    run: Run, data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = load_run(whole).metrics["classes"]
    assert [each["label"] for each in classes] == ["calm", "worn"]
    assert all(each["recordings"] == each["groups"] == 1 and each["train"] and each["held_out"] for each in classes)
    monkeypatch.setattr(train_module, "load_keras", _stop)
    done = run(*arguments(data, tmp_path / "run"))
    table = after_notes(done.err).splitlines()
    assert "train" in table[0] and "recordings" in table[0] and "groups" in table[0]
    assert [row.split()[0] for row in table[1:3]] == ["calm", "worn"]


def _stop() -> None:
    raise TrainingError("stopped here")


def saved(folder: Path, save_recording: Any, labels: dict[str, str | None]) -> Path:
    folder.mkdir()
    for name, label in labels.items():
        noise = np.random.default_rng(len(name)).normal(size=(2, 3000))
        save_recording(folder / f"{name}.npz", x=noise, **({} if label is None else {"label": label}))
    return folder


def test_labels_that_differ_by_case_are_refused_unless_they_are_kept(
    run: Run, data: Path, tmp_path: Path, save_recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "load_keras", _stop)
    folder = saved(tmp_path / "data", save_recording, {"a": "healthy", "bb": "Healthy", "ccc": "worn"})
    (folder / "train.toml").write_text(CONFIG)
    done = run(*arguments(folder, tmp_path / "run"))
    assert done.code == 1 and "--keep-labels" in done.err and "'healthy'" in done.err and "stopped here" not in done.err
    done = run(*arguments(folder, tmp_path / "run", "--keep-labels"))
    assert "stopped here" in done.err
    (folder / "train.toml").write_text(f"keep_labels = true\n{CONFIG}")
    assert "stopped here" in run(*arguments(folder, tmp_path / "run")).err


@pytest.mark.parametrize("label", ["B014 ", "UNKNOWN"])
def test_a_label_that_no_bundle_may_have_is_refused_before_the_training(
    run: Run, tmp_path: Path, save_recording: Any, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    monkeypatch.setattr(train_module, "load_keras", _stop)
    folder = saved(tmp_path / "data", save_recording, {"a": "healthy", "bb": label})
    (folder / "train.toml").write_text(CONFIG)
    done = run(*arguments(folder, tmp_path / "run", "--keep-labels"))
    assert done.code == 1 and repr(label) in done.err and "stopped here" not in done.err


def test_a_slip_is_warned_of_before_the_training(
    run: Run, tmp_path: Path, save_recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "load_keras", _stop)
    labels: dict[str, str | None] = {
        "a": "healthy",
        "bb": "healthy",
        "ccc": "healthy",
        "dddd": "helthy",
        "eeeee": "worn",
    }
    folder = saved(tmp_path / "data", save_recording, labels)
    (folder / "train.toml").write_text(CONFIG)
    done = run(*arguments(folder, tmp_path / "run"))
    warnings = [line for line in done.err.splitlines() if line.startswith("Warning: ") and "letter" in line]
    assert len(warnings) == 1 and "helthy" in warnings[0] and "healthy" in warnings[0]


def test_a_missing_label_is_said_before_tensorflow_loads_with_the_lines_to_write(
    run: Run, tmp_path: Path, save_recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "load_keras", _stop)
    folder = saved(tmp_path / "data", save_recording, {"a": "worn", "fan": None})
    (folder / "train.toml").write_text(CONFIG)
    done = run(*arguments(folder, tmp_path / "run"))
    assert done.code == 1 and "stopped here" not in done.err
    assert "catalogue.toml" in done.err and 'file = "fan.*"' in done.err and 'label = ""' in done.err


# Settings.


def parsed(*words: str) -> TrainSettings:
    command = cli.commands["train"]
    context = command.make_context("train", ["--data", "d", "--out", "o", *words])
    names = {each.name for each in fields(TrainSettings)}
    options = {name: value for name, value in context.params.items() if name in names}
    return settings_from(fixed_values(context, context.params["config"], options))


def test_options_win_over_the_file_and_the_file_over_the_defaults(data: Path) -> None:
    config = ("--config", str(data / "train.toml"))
    settings = parsed(*config, "--epochs", "24", "--network", "nano", "--noise", "pink")
    assert (settings.epochs, settings.network, settings.polarity, settings.noise) == (24, "nano", True, ("pink",))
    assert settings.research == ResearchSettings(batch_size=8, axis_dropout=0.1)
    assert (settings.window, settings.seed, settings.learning_rate) == (64, 3, 3e-3)
    assert parsed(*config) == TrainSettings(**read_config(data / "train.toml"))


def test_the_defaults_that_the_help_shows_are_those_of_the_settings() -> None:
    assert parsed("--hold-out", "time=0.3") == TrainSettings("time=0.3")
    options = {option.name: option for option in cli.commands["train"].params if isinstance(option, click.Option)}
    for each in fields(TrainSettings):
        if each.name == "research":
            continue
        assert each.name in options
        if options[each.name].show_default and each.name != "inputs":
            assert options[each.name].default == each.default, each.name


def test_every_setting_can_be_typed() -> None:
    settings = parsed(
        *("--hold-out", "rpm=3", "--network", "base", "--window", "2048", "--hop", "9", "--inputs", "spectra"),
        *("--epochs", "5", "--learning-rate", "0.5", "--patience", "4", "--class-weights", "balanced"),
        *("--noise", "pink", "--snr-db", "-1", "1", "--polarity", "--seed", "8"),
        *("--label-field", "fault", "--allow-leaks", "--keep-labels", "--most-damaged", "2.5%", "--rate", "12000"),
    )
    expected: Any = (
        *("rpm=3", "base", 2048, 9, "spectra", 5, 0.5, 4, "balanced", ("pink",), (-1.0, 1.0), True, 8),
        *("fault", True, True, 0.025, 12000.0),
    )
    assert settings == TrainSettings(*expected)
    assert len(expected) == len(fields(TrainSettings)) - 1, "all but the table [research]"


MOVED = {
    ("--block", "se"): 'block = "se"',
    ("--scaling", "fixed"): 'scaling = "fixed"',
    ("--no-validation",): "validation = false",
    ("--validation",): "validation = true",
    ("--batch-size", "7"): "batch_size = 7",
    ("--clean-share", ".5"): "clean_share = 0.5",
    ("--speed-range", "0.1"): "speed_range = 0.1",
    ("--gain-range-db", "6"): "gain_range_db = 6",
    ("--axis-dropout", "0.2"): "axis_dropout = 0.2",
    ("--lines", "64"): "spectrum_lines = 64",
    ("--highest-order", "8"): "highest_order = 8",
    ("--view-weights", "4", "1", "1"): "view_weights = ...",
    ("--view-weights", "4,1,1"): "view_weights = ...",
    ("--block",): "block = ...",
    ("--style-mix", "0.5"): "style_mix = 0.5",
    ("--discriminants", "0.1"): "discriminants = 0.1",
    ("--redraw-every", "3"): "redraw_every = 3",
}


@pytest.mark.parametrize("words", MOVED)
def test_an_option_that_moved_is_answered_with_its_new_place(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run("train", *words, "--epochs", "3")
    assert done.code == 2 and f"{MOVED[words]} into the table [research]" in done.err and words[0] in done.err, done
    if MOVED[words].endswith("..."):
        return  # nothing was typed, or not all of it
    (tmp_path / "c.toml").write_text(f"[research]\n{MOVED[words]}\n")
    config = ["--config", str(tmp_path / "c.toml")]
    fitting = ["--hold-out", "a=1", "--inputs", "spectra"]
    if "gain_range_db" in MOVED[words]:
        (tmp_path / "c.toml").write_text(f'[research]\nscaling = "fixed"\n{MOVED[words]}\n')
    parsed(*config, *fitting)


def test_every_research_setting_that_was_an_option_answers_it() -> None:
    never_options = {"absolute_bands", "speed_trend", "subclass_field", "stream_hop"}
    assert {text.partition(" =")[0] for text in MOVED.values()} == set(RESEARCH) - never_options


def test_a_class_whose_sensor_died_is_refused(run: Run, tmp_path: Path, save_recording: Any) -> None:
    folder = saved(tmp_path / "data", save_recording, {"a": "calm", "bb": "calm", "ccc": "worn", "dddd": "worn"})
    with np.load(folder / "ccc.npz") as file:
        dead = dict(file)
    dead["x"][:, 800:] = 0
    np.savez(folder / "ccc.npz", **dead)
    (folder / "train.toml").write_text(CONFIG)
    caught = failure_of(*arguments(folder, tmp_path / "run"))
    expect(caught, SplitError, "damaged", label="worn", most_share=0.05)
    assert "flat line" in str(caught) and not (tmp_path / "run").exists()


def test_the_help_fits_on_a_screen_of_40_lines(run: Run) -> None:
    done = run("train", "--help")
    assert done.code == 0 and len(done.out.splitlines()) <= 40


def test_a_rule_to_hold_out_is_needed_from_somewhere(run: Run, data: Path, tmp_path: Path) -> None:
    done = run("train", "--data", data, "--out", tmp_path / "run")
    assert done.code == 2 and "--hold-out" in done.err and "--config" in done.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [("epochs = 0", "out_of_range"), ("epoch = 3", "unknown_key"), ("epochs =", "not_toml")],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(run: Run, tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "train.toml").write_text(f'hold_out = "time=0.3"\n{text}\n')
    done = run(*arguments(tmp_path, tmp_path / "run"))
    assert done.code == 1 and done.err.startswith("Error: ") and done.err.count("\n") == 1
    assert done.why is not None
    expect(done.why, TrainingError, problem)
    assert [path.name for path in tmp_path.iterdir()] == ["train.toml"]
    done = run("train", "--data", tmp_path, "--config", tmp_path / "missing.toml", "--out", tmp_path / "run")
    assert done.code == 1 and "missing.toml" in done.err


def test_a_single_axis_cannot_be_dropped(tmp_path: Path, save_recording: Any) -> None:
    for label in ("calm", "worn"):
        save_recording(tmp_path / f"{label}.npz", axes=("x",), label=label)
    (tmp_path / "c.toml").write_text("[research]\naxis_dropout = 0.1\n")
    more = ("--hold-out", "time=0.3", "--inputs", "waveform", "--network", "nano", "--window", "64")
    config = ("--config", tmp_path / "c.toml")
    found = failure_of("train", "--data", tmp_path, "--out", tmp_path / "run", *more, *config)
    expect(found, TrainingError, "one_axis", axis="x")


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_what_is_no_sampling_rate_is_a_usage_error(run: Run, tmp_path: Path, rate: str) -> None:
    told = run("train", "--data", tmp_path, "--hold-out", "time=0.3", "--out", tmp_path / "run", "--rate", rate)
    assert told.code == 2 and "--rate" in told.err
