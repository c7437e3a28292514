"""Bad input: exit code 1 and one line that says what to do, or 2 and the usage; never a traceback, nothing left."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import dropwhile
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from refusals import OwnError, expect

from drsn_edge.bundle.bundle import MODEL, Bundle, read_bundle, sha256, write_bundle
from drsn_edge.errors import (
    BundleDamagedError,
    BundleError,
    ContractError,
    DrsnEdgeError,
    OutputError,
    RecordingError,
    RuntimeUnavailableError,
    SplitError,
    TrainingError,
)
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.support.toml_file import parse_toml
from firmware_bridge.errors import PortAbsentError, PortError, VirtualDeviceError
from quantize.errors import ModelFileError

Run = Callable[..., Any]


def failed(done: Any) -> str:
    """Check for a clean failure and return what it said after the notes on what was read."""
    assert done.code == 1, done
    assert done.out == ""
    assert done.err.endswith("\n"), done.err
    said, *to_write = dropwhile(lambda line: line.startswith("Note: "), done.err.splitlines())
    assert said.startswith("Error: "), done.err
    assert not to_write or (said.endswith(":") and parse_toml("\n".join(to_write))), done.err
    assert "Traceback" not in done.err
    return "\n".join([said.removeprefix("Error: "), *to_write])


def misused(done: Any) -> str:
    """Check for a usage error and return what it said."""
    assert done.code == 2 and isinstance(done.why, click.UsageError), done
    assert done.out == ""
    assert "Traceback" not in done.err
    *_, last = done.err.splitlines()
    assert last.startswith("Error: ")
    return last


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path.relative_to(folder)), path.lstat().st_size) for path in folder.rglob("*"))


@pytest.fixture
def place(tmp_path: Path, save_recording: Any, tiny_bundle_path: Path) -> Path:
    """A folder with good and bad input of all kinds."""
    (tmp_path / "garbage").write_bytes(b"\x00garbage" * 50)
    (tmp_path / "empty").mkdir()
    (tmp_path / "good.drsn").write_bytes(tiny_bundle_path.read_bytes())
    (tmp_path / "cut.drsn").write_bytes(tiny_bundle_path.read_bytes()[:-40])
    (tmp_path / "cut.tflite").write_bytes(read_bundle(tiny_bundle_path).network[:900])
    save_recording(tmp_path / "good.npz")
    save_recording(tmp_path / "no_rate.npz", fs=0)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:3000])
    for name, value in RESEARCH.items():
        (tmp_path / f"{name}.toml").write_text(f"[research]\n{name} = {value}\n")
    data = tmp_path / "data"
    data.mkdir()
    for number, label in enumerate(("calm", "worn")):
        save_recording(data / f"{label}.npz", label=label, load=number)
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "config.json").write_text("{}")
    (run_folder / "model.keras").write_bytes(b"no model")
    return tmp_path


MONITOR = ["monitor", "--port", "{}/port", "--model", "{}/good.drsn"]
SIMULATE = ["simulate", "--link", "{}/sensor", "--recording"]
EVALUATE = ["evaluate", "{}/good.drsn", "--data", "{}/data"]
RESEARCH = {
    "block": '"planar"',
    "batch_size": "0",
    "clean_share": "2",
    "speed_range": "-1",
    "axis_dropout": "nan",
    "scaling": '"peak"',
    "gain_range_db": 'inf\nscaling = "fixed"',
}

TRAIN = ["train", "--data", "{}/data", "--hold-out", "time=0.3", "--inputs", "waveform", "--out", "{}/new"]

HELD_OUT = ["train", "--data", "{}/data", "--inputs", "waveform", "--hold-out"]
UNKNOWN = {"scaling": "unknown_choice"}

FAILURES = [
    (
        ["monitor", "--port", "p", "--model", "{}/missing.drsn"],
        BundleError,
        "unreadable",
        "missing.drsn.*drsn-edge convert",
    ),
    (["monitor", "--port", "p", "--model", "{}/garbage"], BundleDamagedError, "not_a_zip", "garbage"),
    (["monitor", "--port", "p", "--model", "{}/cut.drsn"], BundleDamagedError, "not_a_zip", "cut.drsn"),
    (["monitor", "--port", "p", "--model", "{}/empty"], BundleError, "unreadable", "empty"),
    (["monitor", "--port", "p", "--model", ""], BundleError, "unreadable", "drsn-edge convert"),
    (MONITOR, PortAbsentError, "no_device", "/port"),
    (["monitor", "--port", "{}/garbage", "--model", "{}/good.drsn"], PortError, "cannot_open", "garbage"),
    (["monitor", "--port", "{}/empty", "--model", "{}/good.drsn"], PortError, "cannot_open", "empty"),
    (["agent", "--socket", "{}/garbage"], OutputError, "cannot_listen", "garbage"),
    (["agent", "--socket", "{}/missing/socket"], OutputError, "cannot_listen", "missing/socket"),
    (["inspect", "{}/good.drsn", "--out", "{}/garbage/report"], OutputError, "parent_not_a_folder", "garbage/report"),
    (["monitor", "--port", "nonsense://here", "--model", "{}/good.drsn"], PortError, "cannot_open", "nonsense"),
    (["monitor", "--port", "socket://127.0.0.1:1", "--model", "{}/good.drsn"], PortError, "cannot_open", "127.0.0.1"),
    ([*SIMULATE, "{}/missing.npz"], RecordingError, "missing", "missing.npz"),
    ([*SIMULATE, "{}/garbage"], RecordingError, "not_text", "garbage"),
    ([*SIMULATE, "{}/cut.npz"], RecordingError, "damaged", "cut.npz"),
    ([*SIMULATE, "{}/no_rate.npz"], RecordingError, "wrong_value", "no_rate.npz"),
    ([*SIMULATE, "{}/good.npz#3"], RecordingError, "no_such_capture", "good.npz"),
    ([*SIMULATE, "{}/good.npz", "--speed", "-1"], VirtualDeviceError, "speed", "speed"),
    ([*SIMULATE, "{}/good.npz", "--speed", "nan"], VirtualDeviceError, "speed", "speed"),
    *[
        ([*SIMULATE, "{}/good.npz", "--snr-db", snr_db], RecordingError, "snr_out_of_range", snr_db)
        for snr_db in ("nan", "inf", "-inf", "300")
    ],
    ([*SIMULATE, "{}/good.npz", "--link", "{}/missing/sensor"], VirtualDeviceError, "no_link", "missing/sensor"),
    ([*SIMULATE, "{}/good.npz", "--link", "{}/garbage"], VirtualDeviceError, "link_in_use", "garbage"),
    ([*SIMULATE, "{}/good.npz", "--link", "{}/empty"], VirtualDeviceError, "link_in_use", "empty"),
    ([*SIMULATE, "{}/good.npz", "--catalogue", "{}/garbage"], RecordingError, "not_toml", "garbage"),
    (
        ["train", "--data", "{}/missing", "--hold-out", "time=0.3", "--out", "{}/new"],
        RecordingError,
        "unreadable",
        "missing",
    ),
    (
        ["train", "--data", "{}/empty", "--hold-out", "time=0.3", "--out", "{}/new"],
        RecordingError,
        "no_recordings",
        "empty",
    ),
    ([*HELD_OUT, "time=0.3", "--out", "{}/missing/new"], OutputError, "parent_missing", "missing"),
    ([*HELD_OUT, "time=0.3", "--out", "{}/empty/.."], OutputError, "holds_something_else", "--out"),
    ([*HELD_OUT, "time=0.3", "--out", "{}/garbage"], OutputError, "holds_something_else", "garbage.*--out"),
    ([*HELD_OUT, "time=0.3", "--out", "{}/run"], OutputError, "exists", "run.*--out.*--force"),
    ([*HELD_OUT, "nonsense", "--out", "{}/new"], SplitError, "bad_hold_out", "nonsense"),
    ([*HELD_OUT, "time=2", "--out", "{}/new"], SplitError, "bad_share", "2"),
    ([*HELD_OUT, "load=7", "--out", "{}/new"], SplitError, "no_match", "load"),
    ([*HELD_OUT, "load=1", "--out", "{}/new"], SplitError, "unseen_class", "worn"),
    ([*TRAIN, "--label-field", "fault"], RecordingError, "no_field", "fault.*--label-field"),
    ([*HELD_OUT, "fold=1/9", "--out", "{}/new"], SplitError, "wrong_folds", "9.*2"),
    ([*HELD_OUT, "fold=1", "--out", "{}/new"], SplitError, "bad_fold", "fold=K/N"),
    (
        [*TRAIN, "--network", "huge"],
        TrainingError,
        "unknown_choice",
        "nano, small, paper, spectral, spectral-dense, base",
    ),
    ([*TRAIN, "--config", "{}/block.toml"], TrainingError, "unknown_choice", "rsbu-cw, .*planar"),
    ([*TRAIN, "--noise", "brown"], TrainingError, "unknown_choice", "gaussian, laplacian, pink, impulsive"),
    ([*TRAIN, "--window", "0"], TrainingError, "out_of_range", "window"),
    ([*TRAIN, "--window", "100000"], SplitError, "too_short", "100000"),
    ([*TRAIN, "--hop", "-1"], TrainingError, "out_of_range", "hop"),
    ([*TRAIN, "--epochs", "0"], TrainingError, "out_of_range", "epochs"),
    ([*TRAIN, "--learning-rate", "nan"], TrainingError, "out_of_range", "learning"),
    ([*TRAIN, "--patience", "-1"], TrainingError, "out_of_range", "patience"),
    *(
        (
            [*TRAIN, "--config", f"{{}}/{name}.toml"],
            TrainingError,
            UNKNOWN.get(name, "out_of_range"),
            rf"{name}.toml, \[research\].*{name}",
        )
        for name in RESEARCH
        if name != "block"
    ),
    ([*TRAIN, "--resume"], TrainingError, "nothing_to_resume", "new.training.*--resume"),
    ([*TRAIN, "--config", "{}/garbage"], TrainingError, "not_toml", "garbage"),
    ([*TRAIN, "--config", "{}/missing.toml"], TrainingError, "missing", "missing.toml"),
    ([*TRAIN, "--snr-db", "nan", "0"], TrainingError, "snr_range", "nan"),
    ([*TRAIN, "--snr-db", "9", "-9"], TrainingError, "snr_range", "9.*-9"),
    (["convert", "{}/missing", "--out", "{}/m.drsn"], TrainingError, "not_a_run_folder", "missing.*drsn-edge train"),
    (["convert", "{}/garbage", "--out", "{}/m.drsn"], TrainingError, "not_a_run_folder", "garbage.*drsn-edge train"),
    (["convert", "{}/run", "--out", "{}/m.drsn"], TrainingError, "damaged", "/run"),
    # Before the run is read: a conversion takes a minute.
    (["convert", "{}/missing", "--out", "{}/data"], OutputError, "not_a_regular_file", "data"),
    (["convert", "{}/missing", "--out", "{}/missing/m.drsn"], OutputError, "parent_missing", "missing"),
    (["evaluate", "{}/missing"], BundleError, "missing", "missing.*drsn-edge train"),
    (["evaluate", "{}/empty"], TrainingError, "not_a_run_folder", "empty.*drsn-edge train"),
    (["evaluate", "{}/run"], TrainingError, "damaged", "/run"),
    (["evaluate", "{}/garbage", "--data", "{}/data"], BundleDamagedError, "not_a_zip", "garbage"),
    (["evaluate", "{}/good.drsn", "--run", "{}/missing"], TrainingError, "not_a_run_folder", "missing"),
    (["evaluate", "{}/good.drsn", "--run", "{}/run"], TrainingError, "damaged", "/run"),
    (["evaluate", "{}/good.drsn", "--data", "{}/missing"], RecordingError, "unreadable", "missing"),
    (["evaluate", "{}/good.drsn", "--data", "{}/empty"], RecordingError, "no_recordings", "empty"),
    ([*EVALUATE, "--only", "load=7"], RecordingError, "no_match", "load=7.*0, 1"),
    ([*EVALUATE, "--only", "nonsense"], RecordingError, "bad_only", "--only.*nonsense"),
    ([*EVALUATE, "--only", "rpm=7"], SplitError, "no_field", "rpm"),
    ([*EVALUATE, "--catalogue", "{}/garbage"], RecordingError, "not_toml", "garbage"),
    ([*EVALUATE, "--out", "{}/data"], OutputError, "holds_something_else", "/data.*--out"),
    ([*EVALUATE, "--out", "{}/run", "--force"], OutputError, "holds_something_else", "/run.*--out"),
    ([*EVALUATE, "--out", "{}/missing/report"], OutputError, "parent_missing", "missing"),
    *[
        ([*EVALUATE, "--snr-db", snr_db], DrsnEdgeError, "snr_out_of_range", snr_db)
        for snr_db in ("nan", "inf", "-inf", "300")
    ],
    (["inspect", "{}/missing.tflite"], BundleError, "missing", "missing.tflite"),
    (["inspect", "{}/garbage"], BundleError, "not_a_model", "garbage"),
    (["inspect", "{}/empty"], BundleError, "unreadable", "empty"),
    (["inspect", "{}/cut.drsn"], BundleDamagedError, "not_a_zip", "cut.drsn"),
    (["inspect", "{}/cut.tflite", "--target", "cpu"], ModelFileError, "damaged", ""),
    (["inspect", "{}/good.drsn", "--run", "{}/missing"], TrainingError, "not_a_run_folder", "missing"),
    (["inspect", "{}/good.drsn", "--run", "{}/run"], TrainingError, "damaged", "/run"),
    (["inspect", "{}/good.drsn", "--out", "{}/data"], OutputError, "holds_something_else", "/data.*--out"),
    (["inspect", "{}/good.drsn", "--out", "{}/missing/report"], OutputError, "parent_missing", "missing"),
    (["demo", "--out", "{}/garbage"], OutputError, "cannot_make_folder", "garbage"),
    (["demo", "--out", "{}/garbage/below"], OutputError, "cannot_make_folder", "garbage"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "problem", "shown"),
    FAILURES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], error: type[OwnError], problem: str, shown: str, run: Run, place: Path
) -> None:
    if arguments[0] in ("train", "convert", "evaluate"):
        pytest.importorskip("tensorflow")
    before = tree(place)
    done = run(*[argument.replace("{}", str(place)) for argument in arguments])
    said = failed(done)
    expect(done.why, error, problem)
    assert re.search(shown, said), said
    assert tree(place) == before


def test_lines_to_write_are_lines_that_a_catalogue_takes(run: Run, place: Path) -> None:
    (place / "bare").mkdir()
    (place / "bare" / "a.csv").write_text("x\n" + "0.1\n" * 100)
    said, *to_write = failed(run("classify", place / "bare", "--model", place / "good.drsn")).splitlines()
    assert "write into" in said and to_write[0].startswith("recordings = [")
    assert parse_toml("\n".join(to_write))["recordings"][0]["file"] == "a.csv"


def test_a_bearing_without_the_speed_of_its_shaft_is_refused(run: Run, place: Path) -> None:
    text = "[bearing]\nn_balls = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\n"
    (place / "limits.toml").write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        arguments = ["monitor", "--port", port, "--model", place / "good.drsn", "--limits", place / "limits.toml"]
        said = run(*arguments)
    assert said.code == 1 and "[bearing]" in said.err and "--rpm" in said.err


BAD_VOTES = ("", "4", "4/", "/5", "4/5/6", "2/4", "6/5", "0/0", "a/b", "4.0/5", "-1/-1", "nan/5")

USAGE = [
    (["monitor", "--model", "{}/good.drsn"], "--port"),
    *[([*MONITOR, "--votes", votes], "'--votes'") for votes in BAD_VOTES],
    ([*MONITOR, "--runtime", "onnx"], "auto"),
    ([*MONITOR, "--duration", "-1"], "--duration"),
    ([*MONITOR, "--duration", "soon"], "--duration"),
    ([*MONITOR, "--duration", "nan"], "--duration"),
    ([*MONITOR, "--duration", "inf"], "--duration"),
    ([*MONITOR, "--threads", "0"], "--threads"),
    ([*MONITOR, "--baud", "fast"], "--baud"),
    ([*MONITOR, "--mqtt", "nowhere"], "'--mqtt'"),
    ([*MONITOR, "--mqtt", "mqtt://anna:secret@broker"], "'--mqtt'"),
    ([*MONITOR, "--metrics", "nowhere"], "'--metrics'"),
    ([*SIMULATE, "r", "--listen", "nowhere"], "'--listen'"),
    ([*MONITOR, "extra"], "extra"),
    (["simulate", "--recording", "r"], "--link"),
    (["simulate", "--link", "l"], "--recording"),
    ([*SIMULATE, "r", "--speed", "fast"], "--speed"),
    (["train", "--hold-out", "time=0.3", "--out", "o"], "--data"),
    ([*TRAIN, "--inputs", "peak"], "waveform"),
    ([*TRAIN, "--snr-db", "1"], "--snr-db"),
    ([*TRAIN, "--class-weights", "equal"], "balanced"),
    (["convert", "--out", "o"], "RUN"),
    (["convert", "r"], "--out"),
    (["inspect"], "FILE"),
    (["inspect", "{}/good.drsn", "--target", "gpu"], "--target"),
    (["inspect", "{}/good.drsn", "--windows", "0"], "--windows"),
    (["evaluate"], "MODEL"),
    (["evaluate", "{}/good.drsn"], "--data"),
    (["evaluate", "{}/run", "--run", "{}/run"], "--run"),
    (["evaluate", "{}/run", "--only", "load=0"], "--only"),
    (["evaluate", "{}/run", "--catalogue", "c"], "--catalogue"),
    ([*EVALUATE, "--run", "{}/run"], "--data"),
    ([*EVALUATE, "--snr-db", "loud"], "--snr-db"),
    ([*EVALUATE, "--seed", "-1"], "--seed"),
    (["nonsense"], "nonsense"),
    (["monitor", "--nonsense"], "--nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_misuse_shows_the_usage_and_names_what_is_wrong(
    arguments: list[str], named: str, run: Run, place: Path
) -> None:
    before = tree(place)
    assert named in misused(run(*[argument.replace("{}", str(place)) for argument in arguments]))
    assert tree(place) == before


def test_a_runtime_that_is_not_installed_is_named(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    done = run("monitor", "--port", "p", "--model", place / "good.drsn", "--runtime", "tflite-runtime")
    assert "tflite-runtime" in failed(done) and type(done.why) is RuntimeUnavailableError


def test_a_bundle_whose_model_is_garbage(run: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    model = b"garbage" * 100
    manifest = replace(tiny_bundle.manifest, parts={MODEL: sha256(model)})
    write_bundle(Bundle(manifest, model), tmp_path / "m.drsn")
    done = run("monitor", "--port", "p", "--model", tmp_path / "m.drsn")
    assert failed(done) and type(done.why) is RuntimeUnavailableError


def test_a_bundle_whose_manifest_describes_another_model(run: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    manifest = tiny_bundle.manifest
    contract = replace(manifest.contract, window=128)
    other = replace(manifest, contract=contract, input=TensorSpec("window", (1, 1, 128, 2), 0.1, 0))
    write_bundle(Bundle(other, tiny_bundle.model), tmp_path / "m.drsn")
    done = run("monitor", "--port", "p", "--model", tmp_path / "m.drsn")
    assert failed(done) and type(done.why) is BundleError


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"axes": ("DE",)}, r"\bx,y\b.*\bDE\b"),
        ({"rate_hz": 12_000.0}, r"4000 Hz.*12000 Hz \(\+200\.0 ?%\)"),
        ({"unit": "V"}, r"\bg\b.*\bV\b"),
    ],
)
def test_a_sensor_that_does_not_fit_the_bundle(
    run: Run, playing: Any, tiny_bundle_path: Path, changes: dict[str, Any], shown: str
) -> None:
    with playing(**changes) as (port, _):
        done = run("monitor", "--port", port, "--model", tiny_bundle_path)
    assert re.search(shown, failed(done)) and type(done.why) is ContractError


def test_nan_in_a_recording_is_found(run: Run, tmp_path: Path, save_recording: Any) -> None:
    recording = save_recording(tmp_path / "r.npz", x=np.full((2, 100), np.nan))
    before = tree(tmp_path)
    failed(run("simulate", "--recording", recording, "--link", tmp_path / "sensor"))
    assert tree(tmp_path) == before


def test_errors_of_json_commands_are_no_json(run: Run, tmp_path: Path) -> None:
    said = failed(run("monitor", "--json", "--port", "p", "--model", tmp_path / "missing.drsn"))
    with pytest.raises(json.JSONDecodeError):
        json.loads(said)


def test_a_closed_standard_output_is_one_line() -> None:
    command = f"{sys.executable} -m drsn_edge.cli.main models >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "standard output" in done.stderr
