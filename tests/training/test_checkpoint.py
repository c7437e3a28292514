from __future__ import annotations

import json
import os
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import DivergedError, OutputError, TrainingError
from drsn_edge.training import fit as fit_module
from drsn_edge.training.checkpoint import (
    FILE,
    Checkpoint,
    NetworkState,
    check_same,
    check_work_folder,
    fingerprint,
    load_checkpoint,
    remove_work_folder,
    save_checkpoint,
    work_folder,
)
from drsn_edge.training.epochs import EpochReport
from drsn_edge.training.settings import TrainSettings
from drsn_edge.training.train import train

STATE = NetworkState((np.ones((2, 3), np.float32), np.zeros(1)), (np.array(7),), (np.full((2, 3), 2.0), np.ones(1)))
HISTORY = (EpochReport(1, 9, 4, 4, 0.1 + 0.2, 0.75, 0.5, 1 / 3, 1e-3, 0.1, 0.2, 0.4),)
SETTINGS = TrainSettings("time=0.3", noise=("pink",), patience=2)
SAVED = Checkpoint(STATE, HISTORY, SETTINGS, (("a", "00"), ("b", "11")))


def same_arrays(ours: Any, theirs: Any) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def stop_in(epoch: int) -> Any:
    """Return a progress that stops a training at the first report of an epoch."""

    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps cost nothing: what is tested is around them."""
    monkeypatch.setattr(fit_module, "_step", lambda loop, inputs, labels: (0.5, 0.75))


# Going on.


def test_a_stopped_training_goes_on_to_the_same_result(
    simulated: Any, settings: TrainSettings, training: Any, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(simulated, settings, progress=stop_in(4), checkpoints=tmp_path / "work")
    stopped = load_checkpoint(tmp_path / "work")
    assert stopped.history == training.history[:3]
    reports: list[EpochReport] = []
    resumed = train(simulated, settings, reports.append, checkpoints=tmp_path / "work", resume=True)
    assert min(report.epoch for report in reports) == 4
    assert resumed.history == training.history
    same_arrays(resumed.model.get_weights(), training.model.get_weights())
    for name in ("calibration", "golden", "held_out"):
        np.testing.assert_array_equal(getattr(resumed, name).windows, getattr(training, name).windows)
    finished = load_checkpoint(tmp_path / "work")
    same_arrays(finished.state.weights, training.model.get_weights())
    assert finished.history == training.history


def test_a_training_that_was_over_is_not_trained_again(
    simulated: Any, settings: TrainSettings, no_network: None, tmp_path: Path
) -> None:
    short = replace(settings, epochs=2)
    done = train(simulated, short, checkpoints=tmp_path / "work")
    again = train(simulated, short, stop_in(1), checkpoints=tmp_path / "work", resume=True)
    assert again.history == done.history
    same_arrays(again.model.get_weights(), done.model.get_weights())


def test_without_resume_what_is_left_is_forgotten(
    simulated: Any, settings: TrainSettings, no_network: None, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "work", SAVED)
    with pytest.raises(KeyboardInterrupt):
        train(simulated, settings, progress=stop_in(2), checkpoints=tmp_path / "work")
    left = load_checkpoint(tmp_path / "work")
    assert left.settings == settings and len(left.history) == 1
    assert left.data == fingerprint(simulated)


def test_a_network_of_another_shape_is_refused(
    simulated: Any, settings: TrainSettings, no_network: None, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "work", Checkpoint(STATE, HISTORY, settings, fingerprint(simulated)))
    with refused(TrainingError, "other_network"):
        train(simulated, settings, checkpoints=tmp_path / "work", resume=True)


def test_after_a_loss_that_is_no_number_a_smaller_learning_rate_goes_on(
    simulated: Any, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, steps = tmp_path / "work", 21
    losses = iter([0.5] * (2 * steps + 3) + [float("nan")])
    monkeypatch.setattr(fit_module, "_step", lambda loop, inputs, labels: (next(losses), 0.5))
    with refused(DivergedError, "loss", got="nan", epoch=3, step=4, checkpoint=work):
        train(simulated, settings, checkpoints=work)
    kept = load_checkpoint(work)
    assert len(kept.history) == 2 and kept.history[0].steps == steps
    monkeypatch.setattr(fit_module, "_step", lambda loop, inputs, labels: (0.25, 0.5))
    slower = replace(settings, learning_rate=1e-4)
    done = train(simulated, slower, checkpoints=work, resume=True)
    assert [report.loss for report in done.history] == [0.5] * 2 + [0.25] * 4
    assert done.history[1].learning_rate == kept.history[1].learning_rate
    assert done.history[2].learning_rate < 1e-4


def test_a_weight_that_is_no_number_is_never_kept(
    simulated: Any, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of an epoch can spoil the weights while its loss, taken before, is still a number."""

    def spoil(loop: Any, inputs: Any, labels: Any) -> tuple[float, float]:
        model = loop.learner.model
        model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
        return 0.5, 0.5

    monkeypatch.setattr(fit_module, "_step", spoil)
    with refused(DivergedError, "weight", epoch=1, checkpoint=None):
        train(simulated, settings, checkpoints=tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


# Other settings, other data.


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"epochs": 9}, {"setting": "epochs", "expected": 24, "got": 9}),
        ({"seed": 1, "window": 32}, {"setting": "window", "expected": 1024}),
        ({"noise": ("pink", "gaussian")}, {"setting": "noise"}),
        ({"hold_out": "time=0.2"}, {"setting": "hold_out", "expected": "time=0.3"}),
        ({"network": "nano"}, {"setting": "network", "expected": "small", "got": "nano"}),
    ],
)
def test_other_settings_are_refused(changes: dict[str, Any], facts: dict[str, Any]) -> None:
    with refused(TrainingError, "other_setting", **facts):
        check_same(SAVED, replace(SETTINGS, **changes), SAVED.data)


def test_the_learning_rate_may_be_another() -> None:
    check_same(SAVED, SETTINGS, SAVED.data)
    check_same(SAVED, replace(SETTINGS, learning_rate=1e-5), SAVED.data)


@pytest.mark.parametrize(
    ("data", "problem", "facts"),
    [
        ((("a", "00"),), "other_recording", {"expected": "b", "got": "none"}),
        ((("a", "00"), ("b", "11"), ("c", "22")), "other_recording", {"expected": "none", "got": "c"}),
        ((("b", "11"), ("a", "00")), "other_recording", {"expected": "a", "got": "b"}),
        ((("a", "00"), ("b", "12")), "changed_recording", {"recording": "b"}),
    ],
)
def test_other_recordings_are_refused(data: Any, problem: str, facts: dict[str, Any]) -> None:
    with refused(TrainingError, problem, **facts):
        check_same(SAVED, SETTINGS, data)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "worn"},
        {"sample_rate_hz": 1001.0},
        {"axes": ("y",)},
        {"unit": "V"},
        {"group": "g"},
        {"fields": {"rpm": 3}},
        {"samples": np.zeros((1000, 1), np.float32)},
        {"samples": np.zeros((500, 2), np.float32)},
    ],
)
def test_the_fingerprint_notices_samples_and_metadata(make_recording: Any, changes: dict[str, Any]) -> None:
    assert fingerprint([make_recording()]) == fingerprint([make_recording()])
    assert fingerprint([make_recording()]) != fingerprint([replace(make_recording(), **changes)])


# On the disk.


@pytest.mark.parametrize("best", [None, STATE.best])
def test_what_was_saved_is_loaded(tmp_path: Path, best: Any) -> None:
    for history in (HISTORY, HISTORY * 2):
        save_checkpoint(tmp_path, replace(SAVED, state=replace(STATE, best=best), history=history))
    loaded = load_checkpoint(tmp_path)
    assert (loaded.settings, loaded.data, loaded.history) == (SETTINGS, SAVED.data, HISTORY * 2)
    assert vars(loaded.history[0]) == vars(HISTORY[0])
    same_arrays(loaded.state.weights, STATE.weights)
    same_arrays(loaded.state.optimizer, STATE.optimizer)
    assert (loaded.state.best is None) == (best is None)
    same_arrays(loaded.state.best or (), best or ())
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, SAVED)

    def full(path: Path, **_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with refused(OutputError, "cannot_write", path=tmp_path / FILE, reason="No space left on device"):
        save_checkpoint(tmp_path, replace(SAVED, history=HISTORY * 2))
    assert load_checkpoint(tmp_path).history == HISTORY
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.98])
def test_a_truncated_checkpoint_is_reported(tmp_path: Path, keep: float) -> None:
    save_checkpoint(tmp_path, SAVED)
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: int(len(data) * keep)])
    with refused(TrainingError, "damaged", path=tmp_path):
        load_checkpoint(tmp_path)


def test_flipped_bytes_raise_training_errors_or_nothing(tmp_path: Path) -> None:
    rng = random.Random(0)
    save_checkpoint(tmp_path, SAVED)
    data = (tmp_path / FILE).read_bytes()
    for _ in range(100):
        damaged = bytearray(data)
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (tmp_path / FILE).write_bytes(damaged)
        with suppress(TrainingError):
            load_checkpoint(tmp_path)


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, SAVED)
    with np.load(tmp_path / FILE) as file:
        arrays = dict(file)
    about = {**json.loads(str(arrays["about"])), "schema": 2, "version": "9.9"}
    np.savez(tmp_path / FILE, **{**arrays, "about": np.array(json.dumps(about))})
    with refused(TrainingError, "newer_version", path=tmp_path, version="9.9"):
        load_checkpoint(tmp_path)


def test_the_work_folder_lies_beside_the_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert work_folder(tmp_path / "run") == tmp_path / "run.training"
    assert work_folder(Path("run/")) == tmp_path / "here" / "run.training"
    assert work_folder(Path()) == tmp_path / "here.training"


def test_what_is_left_must_be_dealt_with(tmp_path: Path) -> None:
    work = tmp_path / "run.training"
    check_work_folder(work, resume=False, force=False)
    with refused(TrainingError, "nothing_to_resume", path=work):
        check_work_folder(work, resume=True, force=False)
    save_checkpoint(work, SAVED)
    with refused(TrainingError, "stopped_training", path=work):
        check_work_folder(work, resume=False, force=False)
    for answer in ({"resume": True, "force": False}, {"resume": False, "force": True}, {"resume": True, "force": True}):
        check_work_folder(work, **answer)


def test_what_a_kill_leaves_is_removed_and_nothing_else(tmp_path: Path) -> None:
    work = tmp_path / "run.training"
    save_checkpoint(work, SAVED)
    (work / f".{FILE}.abc.npz").write_bytes(b"half")
    assert load_checkpoint(work).history == HISTORY
    remove_work_folder(work)
    assert not work.exists()
    remove_work_folder(work)
    work.mkdir()
    (work / "thesis.tex").write_text("")
    remove_work_folder(work)
    assert (work / "thesis.tex").exists()
    for place in (work, work / "thesis.tex"):
        with refused(OutputError, "holds_something_else", path=place):
            check_work_folder(place, resume=False, force=True)


def test_a_checkpoint_is_synced_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    save_checkpoint(tmp_path, SAVED)
    assert synced
