"""The command on a run and on a bundle: the same figures, on standard output, as JSON, and as a report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import after_notes

from drsn_edge.errors import ContractError
from drsn_edge.evaluation.data import SHARED_SAMPLES, UNKNOWN_RUN, UNKNOWN_TRAINING
from drsn_edge.simulation.simulator import simulate_dataset

Run = Callable[..., Any]

WITHOUT_TENSORFLOW = """
import sys

sys.modules["tensorflow"] = sys.modules["keras"] = None
from drsn_edge.cli.main import main

main()
"""


def json_of(done: Any) -> dict[str, Any]:
    assert (done.code, after_notes(done.err)) == (0, ""), done
    values: dict[str, Any] = json.loads(done.out)
    return values


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of recordings of two machines that the run never saw."""
    folder: Path = tmp_path_factory.mktemp("machines")
    for recording in simulate_dataset(("healthy", "imbalance"), n_machines=2, duration_s=1.0, seed=9):
        values: dict[str, Any] = {
            "label": recording.label,
            "unit": recording.unit,
            "axes": recording.axes,
            **recording.fields,
        }
        np.savez(folder / f"{recording.name}.npz", x=recording.samples.T, fs=recording.sample_rate_hz, **values)
    return folder


def test_a_run_folder_in_words(run: Run, trained_run: Path) -> None:
    done = run("evaluate", trained_run, "--snr-db", 0, "--snr-db", 12)
    assert (done.code, after_notes(done.err)) == (0, "")
    first, second, *lines = done.out.splitlines()
    assert first == "pump (run folder, float32), 2 classes"
    assert second == f"42 windows from {trained_run}, time=0.3"
    said = {line[:17].rstrip(): line[17:].split() for line in lines}
    assert said["accuracy with"] == ["0", "dB", "12", "dB"]
    assert [len(said[kind]) for kind in ("gaussian", "laplacian", "pink", "impulsive")] == [2] * 4
    assert len(said["mean tau"]) == 2 * len(said["healthy"]) == 2 * len(said["imbalance"]) == 6
    assert "Warning" not in done.out


def test_a_run_and_its_bundle_as_json(run: Run, trained_run: Path, trained_bundle: Path) -> None:
    ours = json_of(run("evaluate", trained_run, "--snr-db", 0, "--json"))
    theirs = json_of(run("evaluate", trained_bundle, "--run", trained_run, "--snr-db", 0, "--json"))
    assert set(ours) == set(theirs)
    assert (ours["data"]["windows"], ours["data"]["rule"]) == (theirs["data"]["windows"], theirs["data"]["rule"])
    assert abs(ours["clean"]["accuracy"] - theirs["clean"]["accuracy"]) <= 2 / 42
    assert (theirs["model"]["kind"], theirs["model"]["version"]) == ("bundle, int8", "1.2.3")
    assert ours["thresholds"] and not ours["no_thresholds"]
    assert theirs["no_thresholds"] and not theirs["thresholds"]
    assert ours["data"]["warnings"] == [] and theirs["data"]["warnings"] == [UNKNOWN_RUN]
    assert [each["snr_db"] for each in ours["noise"]] == [0.0] * 4


def test_both_on_recordings_of_other_machines(
    run: Run, trained_run: Path, trained_bundle: Path, machines: Path
) -> None:
    options = ("--data", machines, "--only", "machine=1", "--snr-db", 0, "--json")
    for target in (trained_run, trained_bundle):
        values = json_of(run("evaluate", target, *options))
        assert (values["data"]["recordings"], values["data"]["rule"]) == (2, "machine=1")
        assert values["data"]["windows"] == 2 * (3200 // 256)
        assert values["data"]["warnings"][0] == UNKNOWN_TRAINING
        assert np.sum(values["clean"]["confusion"]) == 2 * (3200 // 256)


def test_without_snr_there_are_six(run: Run, trained_bundle: Path, machines: Path) -> None:
    values = json_of(run("evaluate", trained_bundle, "--data", machines, "--json"))
    assert sorted({each["snr_db"] for each in values["noise"]}) == [-8, -4, 0, 4, 8, 12]
    assert len(values["noise"]) == 24


def test_a_report_is_written_and_replaced_only_with_force(
    run: Run, trained_bundle: Path, machines: Path, tmp_path: Path
) -> None:
    command = ("evaluate", trained_bundle, "--data", machines, "--snr-db", 0, "--out", tmp_path / "report")
    done = run(*command)
    assert (done.code, after_notes(done.err)) == (0, "") and done.out.endswith(f"wrote {tmp_path / 'report'}\n")
    page = (tmp_path / "report" / "report.html").read_text()
    assert UNKNOWN_TRAINING in page
    (tmp_path / "report" / "old.txt").write_text("old")
    done = run(*command)
    assert done.code == 1 and "--force" in done.err and done.out == ""
    assert json_of(run(*command, "--force", "--json"))["noise_seed"] == 0
    assert not (tmp_path / "report" / "old.txt").exists()


def test_the_report_of_a_split_that_shares_samples_warns(run: Run, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["settings"]["allow_leaks"] = True
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    done = run("evaluate", tmp_path / "run", "--snr-db", 0, "--out", tmp_path / "report")
    assert f"Warning: {SHARED_SAMPLES}" in done.out
    page = (tmp_path / "report" / "report.html").read_text()
    assert f'<p class="warning">{SHARED_SAMPLES}' in page
    assert "the network was trained" not in page


def test_a_bundle_of_another_kind_than_the_run_is_refused(run: Run, tiny_bundle_path: Path, trained_run: Path) -> None:
    done = run("evaluate", tiny_bundle_path, "--run", trained_run)
    assert done.code == 1 and after_notes(done.err).count("\n") == 1
    assert type(done.why) is ContractError and str(trained_run) in done.err


def test_recordings_that_do_not_fit_are_refused(run: Run, tiny_bundle_path: Path, machines: Path) -> None:
    done = run("evaluate", tiny_bundle_path, "--data", machines)
    assert done.code == 1 and after_notes(done.err).count("\n") == 1
    assert type(done.why) is ContractError and "calm, worn, loud" in done.err


def test_a_bundle_is_judged_without_tensorflow(tiny_bundle_path: Path, tmp_path: Path, save_recording: Any) -> None:
    (tmp_path / "data").mkdir()
    save_recording(tmp_path / "data" / "calm.npz", n=200, label="calm")
    arguments = ["evaluate", tiny_bundle_path, "--data", tmp_path / "data", "--out", tmp_path / "report", "--json"]
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, after_notes(done.stderr)) == (0, "")
    values = json.loads(done.stdout)
    assert (values["data"]["windows"], values["clean"]["auroc"]) == (3, None)
