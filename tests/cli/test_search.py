"""`drsn-edge search`, and `train` with the inputs that a search chooses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from refusals import expect, failure_of

pytest.importorskip("tensorflow")

from drsn_edge.cli import train as train_module
from drsn_edge.cli.progress import load_keras
from drsn_edge.errors import JobsError, OutputError, SplitError, TrainingError
from drsn_edge.search import runner as runner_module
from drsn_edge.training.config_file import read_config
from drsn_edge.training.run_folder import load_run

Run = Callable[..., Any]

CONFIG = """
hold_out = "machine=3"
window = 1024
hop = 512
epochs = 2

[network]
stem_channels = 4
stem_kernel = 128
stem_stride = 128
stages = [[4, 1, 1]]
kernel = 1
pooling = "none"

[research]
batch_size = 8
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, save_recording: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    for machine in range(4):
        for label, step in (("calm", 0.3), ("worn", 0.9)):
            noise = np.random.default_rng([machine, round(10 * step)]).normal(size=(2, 3000))
            tone = np.sin(np.arange(3000) * step) + 0.5 * noise
            name = f"{label}-{machine}.npz"
            save_recording(folder / name, x=tone, label=label, machine=machine, rpm=600 + machine, group=name)
    (folder / "search.toml").write_text(CONFIG)
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run jobs in this process; return the number of jobs of each call."""
    calls: list[int] = []

    def run_jobs(function: Any, arguments: Sequence[Any], **more: Any) -> Iterator[tuple[int, Any]]:
        calls.append(len(arguments))
        yield from ((n, function(each, *more.get("shared", ()))) for n, each in enumerate(arguments))

    monkeypatch.setattr(runner_module, "run_jobs", run_jobs)
    return calls


def arguments(command: str, data: Path, out: Path, *more: str) -> list[str]:
    return [command, "--data", str(data), "--config", str(data / "search.toml"), "--out", str(out), *more]


def _stop(*arguments: Any, **more: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.integration
def test_train_searches_trains_the_choice_and_repeats_it_without_a_search(
    run: Run, data: Path, tmp_path: Path, here: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "load_keras", _stop)
    assert run(*arguments("train", data, tmp_path / "run")).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.search"]
    monkeypatch.setattr(train_module, "load_keras", load_keras)
    refused = run(*arguments("train", data, tmp_path / "run"))
    expect(refused.why, TrainingError, "stopped_search", path=tmp_path / "run.search")

    here.clear()
    done = run(*arguments("train", data, tmp_path / "run", "--resume"))
    assert done.code == 0, done
    assert here == [], "the search was complete"
    assert "chosen: " in done.err and "Expected balanced accuracy with another machine" in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    first = load_run(tmp_path / "run")
    assert first.config["settings"]["inputs"] in ("bands", "spectra")
    assert first.metrics["expected"]["clean"]["over"] == "folds"

    again = run("train", "--data", data, "--config", tmp_path / "run" / "config.toml", "--out", tmp_path / "again")
    assert again.code == 0 and here == [], again
    for name in ("search.json", "inner_folds.npz", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    for one, other in zip(first.model.get_weights(), load_run(tmp_path / "again").model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.integration
def test_search_writes_settings_that_a_training_takes(run: Run, data: Path, tmp_path: Path, here: list[int]) -> None:
    done = run(*arguments("search", data, tmp_path / "found", "--json"))
    assert done.code == 0, done
    values = json.loads(done.out)
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        "config.toml",
        "search.json",
        "inner_folds.npz",
        "search.png",
    }
    assert (tmp_path / "found" / "search.png").read_bytes().startswith(b"\x89PNG")
    settings = read_config(tmp_path / "found" / "config.toml")
    assert settings["hold_out"] == "machine=3" and settings["inputs"] == values["choice"]["settings"]["inputs"]
    assert [path.name for path in tmp_path.iterdir()] == ["found"]
    refused = run(*arguments("search", data, tmp_path / "found"))
    expect(refused.why, OutputError, "exists")
    assert run(*arguments("search", data, tmp_path / "found", "--force")).code == 0


def test_ctrl_c_says_how_to_continue(
    run: Run, data: Path, tmp_path: Path, here: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "run_fold_job", _stop)
    done = run(*arguments("search", data, tmp_path / "found"))
    expect(done.why, TrainingError, "stopped", path=tmp_path / "found.search")
    assert done.code == 1 and "--resume" in done.err


def test_a_cluster_that_went_away_loses_nothing_and_says_how_to_continue(
    run: Run, data: Path, tmp_path: Path, here: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: Any) -> None:
        raise JobsError("The cluster went away.", "cluster_gone", address="tcp://a:1")

    monkeypatch.setattr(runner_module, "run_fold_job", gone)
    done = run(*arguments("search", data, tmp_path / "found"))
    expect(done.why, JobsError, "cluster_gone", address="tcp://a:1")
    assert "--resume" in done.err and (tmp_path / "found.search").is_dir()


@pytest.mark.integration
def test_a_training_that_was_chosen_continues_with_what_was_chosen(
    run: Run, data: Path, tmp_path: Path, here: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from drsn_edge.training import fit

    step, steps = fit._step, [0]

    def stop_in_epoch_2(loop: Any, inputs: Any, labels: Any) -> tuple[float, float]:
        steps[0] += 1
        if steps[0] > loop_steps:
            raise KeyboardInterrupt
        return step(loop, inputs, labels)

    loop_steps = 3  # 24 windows in batches of 8
    monkeypatch.setattr(fit, "_step", stop_in_epoch_2)
    stopped = run(*arguments("train", data, tmp_path / "run"))
    expect(stopped.why, TrainingError, "stopped", kept=True)
    monkeypatch.setattr(fit, "_step", step)
    here.clear()
    other = run(*arguments("train", data, tmp_path / "run", "--resume", "--epochs", "3"))
    expect(other.why, TrainingError, "other_setting", setting="epochs")
    done = run(*arguments("train", data, tmp_path / "run", "--resume", "--learning-rate", "0.001"))
    assert done.code == 0 and here == [], done
    assert load_run(tmp_path / "run").config["settings"]["learning_rate"] == 0.001
    assert (tmp_path / "run" / "inner_folds.npz").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_cannot_be_searched_is_refused_before_anything_is_trained(
    run: Run, data: Path, tmp_path: Path, save_recording: Any, here: list[int]
) -> None:
    found = failure_of("search", "--data", data, "--out", tmp_path / "found")
    assert isinstance(found, click.UsageError) and "--hold-out" in str(found)
    more = ("--data", data, "--hold-out", "machine=3", "--out", tmp_path / "found")
    expect(failure_of("search", *more, "--window", "2"), TrainingError, "out_of_range", setting="window")
    assert isinstance(failure_of("train", *more, "--inputs", "bands", "--for", "sensor"), click.UsageError)
    assert isinstance(failure_of("train", *more, "--inputs", "bands", "--without-speed"), click.UsageError)
    alone = tmp_path / "alone"
    alone.mkdir()
    for label in ("calm", "worn"):
        for machine in (1, 2):
            noise = np.random.default_rng([machine, ord(label[0])]).normal(size=(2, 1100))
            save_recording(alone / f"{label}{machine}.npz", x=noise, label=label, machine=machine)
    only = ("--data", alone, "--hold-out", "machine=2", "--out", tmp_path / "found")
    expect(failure_of("search", *only), SplitError, "no_inner_folds", rule="machine=2")
    assert here == [] and not (tmp_path / "found").exists()
