"""What `drsn-edge train` says of a split whose sides share more than they should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from drsn_edge.errors import SplitError

QUICK = ("--inputs", "waveform", "--network", "nano", "--window", 256, "--epochs", 1)


@pytest.fixture
def data(tmp_path: Path, save_recording: Any) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, label in enumerate(("calm", "worn")):
        noise = np.random.default_rng(seed).normal(size=(2, 8000))
        save_recording(folder / f"{label}.npz", x=noise, label=label)
    return folder


def test_random_windows_that_overlap_are_trained_on_if_asked_and_said(run: Any, data: Path) -> None:
    arguments = ("train", "--data", data, "--hold-out", "windows=0.3", "--out", data.parent / "run", *QUICK)
    refused = run(*arguments)
    assert refused.code == 1 and type(refused.why) is SplitError and "--allow-leaks" in refused.err
    done = run(*arguments, "--allow-leaks")
    assert done.code == 0, done.err
    [said] = [line for line in done.out.splitlines() if "held-out spans share samples with training spans" in line]
    for name in ("config.json", "metrics.json"):
        assert json.loads((data.parent / "run" / name).read_text())["leak"] == said


def test_random_windows_of_the_same_recordings_are_said(run: Any, data: Path) -> None:
    rule = ("--hold-out", "windows=0.3", "--hop", 256)
    done = run("train", "--data", data, "--out", data.parent / "run", *rule, *QUICK)
    assert done.code == 0, done.err
    assert "\nRandom windows of the same recordings are on both sides" in done.out
