from __future__ import annotations

import json
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_folds import folds_archive
from refusals import refused

from drsn_edge.errors import OutputError, TrainingError
from drsn_edge.training import run_folder as run_folder_module
from drsn_edge.training.fit import predict_logits
from drsn_edge.training.run_folder import is_run_folder, load_run, save_run

NEEDED = ("config.json", "metrics.json", "model.keras", "calibration.npz", "golden.npz", "held_out.npz")
EXTRA = ("novelty.npz", "config.toml", "log.csv", "learning_curve.png")
OF_A_SEARCH = {"search.json": b"{}\n", "inner_folds.npz": folds_archive()}


@pytest.fixture(scope="session")
def saved(training: Any, metrics: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "run"
    save_run(training, metrics, folder, OF_A_SEARCH)
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    """Return a copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "run"))


def test_a_run_folder_holds_what_its_docstring_lists(saved: Path) -> None:
    documented = {line.split()[0] for line in (run_folder_module.__doc__ or "").splitlines()[2:]}
    assert {path.name for path in saved.iterdir()} == documented == {*NEEDED, *EXTRA, *OF_A_SEARCH}
    assert {name: (saved / name).read_bytes() for name in OF_A_SEARCH} == OF_A_SEARCH
    assert (saved / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert is_run_folder(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["run"]


def test_what_was_saved_is_loaded(training: Any, metrics: dict[str, Any], saved: Path) -> None:
    loaded = load_run(saved)
    assert loaded.name == "run"
    assert loaded.contract == training.contract
    assert loaded.labels == training.labels
    assert loaded.metrics == json.loads(json.dumps(metrics))
    for name in ("calibration", "golden", "held_out"):
        for key in ("windows", "labels", "recordings", "first_samples", "speeds_hz"):
            expected = getattr(getattr(training, name), key)
            np.testing.assert_array_equal(getattr(getattr(loaded, name), key), expected)
    windows, contract = training.held_out, training.contract
    np.testing.assert_array_equal(
        predict_logits(loaded.model, windows, contract), predict_logits(training.model, windows, contract)
    )


def test_the_config_says_what_was_on_each_side(training: Any, saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    assert config["split"]["train"][0] == ["healthy-01", 0, 3808]
    assert config["split"]["validation"][0] == ["healthy-01", 3808, 4480]
    assert config["split"]["held_out"][0] == ["healthy-01", 4480, 6400]
    assert {len(spans) for spans in config["split"].values()} == {6}
    assert config["settings"]["seed"] == 0
    assert config["leak"] == ""
    assert config["macs"] > 0 and config["parameters"] == training.model.count_params()


# Damage.


def test_no_folder_is_no_run_folder(tmp_path: Path) -> None:
    with refused(TrainingError, "not_a_run_folder", path=tmp_path / "nothing"):
        load_run(tmp_path / "nothing")
    with refused(TrainingError, "not_a_run_folder", path=tmp_path):
        load_run(tmp_path)


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_file_is_reported(run: Path, name: str) -> None:
    (run / name).unlink()
    problem = "not_a_run_folder" if name in ("config.json", "model.keras") else "damaged"
    with refused(TrainingError, problem, path=run):
        load_run(run)


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.98])
@pytest.mark.parametrize("name", NEEDED)
def test_a_truncated_file_is_reported(run: Path, name: str, keep: float) -> None:
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[: int(len(data) * keep)])
    with refused(TrainingError, "damaged", path=run):
        load_run(run)


@pytest.mark.parametrize("name", NEEDED)
def test_flipped_bytes_raise_training_errors_or_nothing(run: Path, name: str) -> None:
    rng = random.Random(0)
    data = (run / name).read_bytes()
    for _ in range(5):
        damaged = bytearray(data)
        for _ in range(5):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (run / name).write_bytes(damaged)
        with suppress(TrainingError):
            load_run(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.pop("schema"),
        lambda config: config.pop("labels"),
        lambda config: config.pop("contract"),
        lambda config: config.update(schema="1"),
        lambda config: config.update(labels=3),
        lambda config: config["contract"].update(window=-1),
        lambda config: config["contract"].pop("unit"),
    ],
)
def test_a_config_without_what_is_needed_is_reported(run: Path, change: Any) -> None:
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))
    with refused(TrainingError, "damaged", path=run):
        load_run(run)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"x"'])
def test_a_config_of_another_kind_is_reported(run: Path, text: str) -> None:
    (run / "config.json").write_text(text)
    with pytest.raises(TrainingError):
        load_run(run)


def test_a_run_of_a_newer_version_is_refused(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "schema": 2, "version": "9.9"}))
    with refused(TrainingError, "newer_version", path=run, version="9.9"):
        load_run(run)


# Saving.


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_save_leaves_the_old_folder(
    training: Any, metrics: dict[str, Any], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run.parent)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with refused(OutputError, "cannot_write", path=run, reason="No space left on device"):
        save_run(training, metrics, run)
    assert contents(run.parent) == before
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_a_save_stopped_by_the_user_leaves_the_old_folder(
    training: Any, metrics: dict[str, Any], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run.parent)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder_module, "save_learning_curve", stop)
    with pytest.raises(KeyboardInterrupt):
        save_run(training, metrics, run)
    assert contents(run.parent) == before
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_saving_replaces_a_folder_whole(training: Any, metrics: dict[str, Any], run: Path) -> None:
    (run / "stray.txt").write_text("of the old run")
    save_run(training, {**metrics, "again": 1}, run)
    assert load_run(run).metrics["again"] == 1
    assert not (run / "stray.txt").exists()
    assert [path.name for path in run.parent.iterdir()] == ["run"]
