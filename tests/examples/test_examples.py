from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

EXAMPLES = Path(__file__).parents[2] / "examples"
RESULTS = Path(__file__).parents[2] / "docs" / "results" / "examples.json"
PROGRAMS = ("noisy_digits", "noisy_images", "shared_or_channel_wise")


def invoke(program: str, *arguments: Any) -> Result:
    return CliRunner().invoke(import_module(program).main, [str(argument) for argument in arguments])


# The programs, on digits that are made up.


@pytest.mark.parametrize(
    ("program", "networks", "differences"),
    [
        ("noisy_digits", {"DRSN", "ResNet"}, [("DRSN", "ResNet")]),
        ("noisy_images", {"DRSN", "ResNet"}, [("DRSN", "ResNet")]),
        ("shared_or_channel_wise", {"CW", "CS", "ResNet"}, [("CS", "ResNet"), ("CW", "ResNet"), ("CW", "CS")]),
    ],
)
def test_a_program_compares_its_networks(
    digits_folder: Path, program: str, networks: set[str], differences: list[tuple[str, str]]
) -> None:
    pytest.importorskip("keras", reason="training needs the extra `train`")
    result = invoke(program, "--data", digits_folder, "--smoke", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["command"] == f"python examples/{program}.py --smoke"
    assert (found["train_images"], found["test_images"], found["seeds"], found["epochs"]) == (120, 30, [0], 1)
    assert set(found["accuracies"]) == networks
    assert all(0 <= value <= 1 for values in found["accuracies"].values() for value in values)
    assert [(d["one"], d["other"]) for d in found["differences"]] == differences
    for one in found["differences"]:
        assert one["mean"] == found["accuracies"][one["one"]][0] - found["accuracies"][one["other"]][0]
        assert one["low"] is None


def test_training_learns_and_repeats() -> None:
    pytest.importorskip("keras", reason="training needs the extra `train`")
    digits, training, config = map(import_module, ("digits", "training", "drsn_edge.models.config"))
    network = config.DrsnConfig(8, 10, 10, 8, 3, 1, (config.Stage(8, 1, 2),), 3, "residual", height=8)
    labels = np.arange(200) % 10
    pixels = np.broadcast_to(np.eye(10, dtype=np.float32)[labels][:, None, None], (200, 8, 8, 10))
    split = digits.Split(digits.Images(pixels, labels), digits.Images(pixels, labels))
    epochs: list[int] = []
    first = training.test_accuracy(network, split, 3, 40, lambda: epochs.append(1))
    assert len(epochs) == 40
    assert first > 0.5  # chance is 0.1
    assert training.test_accuracy(network, split, 3, 40, lambda: None) == first


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_starts_without_what_takes_seconds(program: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import {program}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "numpy", "scipy", "sklearn", "rich"} & set(loaded)
    assert "python examples/" in invoke(program, "--help").output


def test_bad_input_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "noisy_digits.py"), "--data", str(tmp_path / "nowhere")]
    path = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {tmp_path / 'nowhere'}")
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRSN_EDGE_TEST_DATA", raising=False)
    result = invoke("noisy_digits")
    assert result.exit_code == 1
    assert "Name it with --data, or set DRSN_EDGE_TEST_DATA" in result.stderr


def test_the_folder_of_the_test_data_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRSN_EDGE_TEST_DATA", str(tmp_path))
    result = invoke("noisy_digits")
    assert result.exit_code == 1
    assert str(tmp_path / "mnist_t10k" / "t10k-images-idx3-ubyte.gz") in result.stderr


# CIFAR-10, without its 170 MB.


def refuse() -> Any:
    print("Downloading data")
    raise Exception("URL fetch failure")


def made_up() -> Any:
    random = np.random.default_rng(0)
    return tuple(
        (random.integers(0, 256, (n, 32, 32, 3), np.uint8), random.integers(0, 10, (n, 1), np.uint8)) for n in (120, 30)
    )


def use_cifar10(monkeypatch: pytest.MonkeyPatch, load_data: Callable[[], Any]) -> None:
    datasets = pytest.importorskip("keras.datasets", reason="loading CIFAR-10 needs the extra `train`")
    monkeypatch.setattr(datasets.cifar10, "load_data", load_data)


def test_cifar10_keeps_its_own_split(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cifar10(monkeypatch, made_up)
    program = import_module("noisy_images")
    split, network = program.read_cifar10(), program.CIFAR10.network
    (pixels, labels), _ = made_up()
    np.testing.assert_allclose(split.train.pixels * 255, pixels, rtol=1e-6)
    np.testing.assert_array_equal(split.train.labels, labels.ravel())
    assert split.test.pixels.shape == (30, network.height, network.window, network.n_axes)


def test_cifar10_that_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cifar10(monkeypatch, refuse)
    result = invoke("noisy_images", "--cifar10")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: Could not load CIFAR-10: URL fetch failure." in result.stderr


# The figures.


def test_the_difference_is_paired_by_seed() -> None:
    comparison = import_module("comparison")
    found = comparison.compare({"a": [0.90, 0.80], "b": [0.88, 0.80]}, "a", "b")
    reach = 12.7062 * 0.01  # Student's t of one degree of freedom; 0.02 and 0 deviate by 0.01 from their mean
    assert (found.mean, found.low, found.high) == (
        pytest.approx(0.01),
        pytest.approx(0.01 - reach, abs=1e-5),
        pytest.approx(0.01 + reach, abs=1e-5),
    )


@pytest.mark.parametrize(
    ("mean", "low", "high", "expected"),
    [
        (-0.004, -0.005, -0.003, True),
        (-0.006, -0.007, -0.005, False),
        (-0.02, -0.05, 0.01, True),
        (-0.006, math.nan, math.nan, False),
        (0.03, 0.01, 0.05, True),
    ],
)
def test_the_bar(mean: float, low: float, high: float, expected: bool) -> None:
    statistics = import_module("drsn_edge.reproduce.statistics")
    assert import_module("comparison").is_no_loss(statistics.Difference(mean, low, high, 3), 0.5) is expected


def test_the_table_by_hand() -> None:
    comparison, experiment = import_module("comparison"), import_module("noisy_digits").EXPERIMENT
    rows = comparison.as_text(experiment, {"DRSN": [0.9, 0.8], "ResNet": [0.88, 0.8]}).splitlines()
    assert rows[1].split() == ["DRSN", "rsbu-cw", "85.00", "+-", "7.07", "90.00", "80.00"]
    assert rows[3].split(maxsplit=3)[3] == "+1.00 points, 95 % interval -11.71 to +13.71 (2 seeds)"
    assert rows[4].endswith("yes")
    assert "no interval from one seed" in comparison.as_text(experiment, {"DRSN": [0.9], "ResNet": [0.88]})


def test_the_kept_results_follow_from_their_accuracies() -> None:
    comparison = import_module("comparison")
    runs = json.loads(RESULTS.read_text())
    assert {run["program"].partition(".")[0] for run in runs} == set(PROGRAMS)
    for run in runs:
        for kept in run["differences"]:
            found = comparison.compare(run["accuracies"], kept["one"], kept["other"])
            assert (kept["mean"], kept["low"], kept["high"]) == pytest.approx((found.mean, found.low, found.high))
