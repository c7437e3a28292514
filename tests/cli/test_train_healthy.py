"""Healthy recordings alone: `train` learns them without a network, `convert` and `evaluate` go on without one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from refusals import after_notes, expect, failure_of, refused

pytest.importorskip("scipy")
pytest.importorskip("sklearn")

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.cli.main import cli
from drsn_edge.errors import ContractError, SettingsError, SplitError, TrainingError
from drsn_edge.evaluation import early, early_detection
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.machine import Condition, Machine
from drsn_edge.simulation.simulator import simulate_recording
from drsn_edge.training.config_file import read_config
from drsn_edge.training.run_folder import load_run

Run = Callable[..., Any]

WITHOUT_TENSORFLOW = """
import sys

sys.modules["tensorflow"] = sys.modules["keras"] = None
from drsn_edge.cli.main import main

main()
"""


def save(folder: Path, name: str, recording: Recording, label: str) -> None:
    samples, rate_hz = recording.samples.T, recording.sample_rate_hz
    values: dict[str, Any] = {"unit": recording.unit, "axes": recording.axes, "label": label}
    np.savez(folder / f"{name}.npz", x=samples, fs=rate_hz, rpm=recording.fields["rpm"], **values)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two recordings of a healthy machine, 20 s each."""
    folder: Path = tmp_path_factory.mktemp("healthy")
    for seed in (1, 2):
        save(folder, f"day-{seed}", simulate_recording(Machine(), Condition(), 20.0, seed=seed), "healthy")
    return folder


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of a recording of the healthy machine, and one of it with imbalance, 5 s each."""
    folder: Path = tmp_path_factory.mktemp("judged")
    save(folder, "fine", simulate_recording(Machine(), Condition(), 5.0, seed=3), "healthy")
    save(folder, "imbalance", simulate_recording(Machine(), Condition("imbalance", 0.5), 5.0, seed=4), "imbalance")
    return folder


@pytest.fixture(scope="module")
def learned(healthy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of these recordings."""
    out: Path = tmp_path_factory.mktemp("learned") / "run"
    cli.main(["train", "--data", str(healthy), "--out", str(out), "--json"], standalone_mode=False)
    return out


@pytest.fixture(scope="module")
def pump(learned: Path) -> Path:
    """Return the bundle of this run."""
    bundle = learned.parent / "pump.drsn"
    cli.main(["convert", str(learned), "--out", str(bundle), "--name", "pump"], standalone_mode=False)
    return bundle


def values_of(done: Any) -> dict[str, Any]:
    assert (done.code, after_notes(done.err)) == (0, ""), done
    values: dict[str, Any] = json.loads(done.out)
    return values


def of_label(values: dict[str, Any], label: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (found,) = (each for each in values["labels"] if each["name"] == label)
    return found["windows"], found["seconds"]


def test_from_recordings_to_a_verdict_without_tensorflow(healthy: Path, judged: Path, tmp_path: Path) -> None:
    def do(*words: object) -> str:
        program = [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, words)]
        return subprocess.run(program, check=True, capture_output=True, text=True).stdout

    run, bundle = tmp_path / "run", tmp_path / "pump.drsn"
    said = do("train", "--data", healthy, "--out", run)
    assert "no network" in said and "not which fault" in said and "1 operating point" in said
    assert "95 % interval" in do("convert", run, "--out", bundle, "--model-version", "2.0.0")
    assert "imbalance" in do("evaluate", bundle, "--data", judged)
    verdicts = json.loads(do("classify", judged / "imbalance.npz", "--model", bundle, "--json"))["recordings"][0]
    assert set(verdicts["verdicts"]) == {"UNKNOWN"}


def test_the_run_folder_says_what_was_learned(learned: Path) -> None:
    names = {path.name for path in learned.iterdir()}
    windows = {"golden.npz", "held_out.npz", "heard.npz"}
    assert names == {"config.json", "config.toml", "metrics.json", "novelty.npz", *windows}
    metrics = json.loads((learned / "metrics.json").read_text())
    assert (metrics["labels"], metrics["split"], metrics["operating_points"]) == (["healthy"], "time=0.3", 1)
    found = metrics["held_out"]["windows"]
    low, high = found["interval_95"]
    assert low <= 0.01 <= high and found["count"] == metrics["held_out_windows"] == 36
    assert metrics["held_out"]["seconds"]["count"] == 8 and len(metrics["in_words"]) == 3


BEARING = "[bearing]\nn_balls = 9\nball_diameter_mm = 7.94\npitch_diameter_mm = 39.04\n"


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    """Return a limits file with the bearing of the simulated machine."""
    (tmp_path / "limits.toml").write_text(BEARING)
    return tmp_path / "limits.toml"


def test_geometry_gives_names_to_changes(
    run: Run, healthy: Path, limits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (early, early_detection):
        monkeypatch.setattr(module, "SEVERITIES_DB", (-20.0, 10.0))
    out, bundle = tmp_path / "run", tmp_path / "named.drsn"
    done = run("train", "--data", healthy, "--simulate-faults", limits, "--out", out)
    assert done.code == 0 and "simulated fault" in done.out and "monitor --rpm" in done.out, done
    metrics = json.loads((out / "metrics.json").read_text())["early"]
    by_fault = {each["fault"]: each for each in metrics["faults"]}
    assert by_fault["outer_race"]["announced_db"] == by_fault["outer_race"]["named_db"] == 10
    assert metrics["false_alarms"]["events"] == 0 and by_fault["ball"]["announced"][0] == 0
    values = values_of(run("convert", out, "--out", bundle, "--json"))
    assert values["early"] == metrics == json.loads(read_bundle(bundle).extras["early.json"])

    later = tmp_path / "later"
    later.mkdir()
    save(later, "worn", simulate_recording(Machine(), Condition("outer_race", 0.5), 8.0, seed=5), "outer_race")
    at = ("--rpm", Machine().rpm, "--json")
    (found,) = values_of(run("classify", later / "worn.npz", "--model", bundle, *at))["recordings"]
    said = [(each["verdict"], each["label"], each["resembles"]) for each in found["decisions"]]
    assert said == [("UNKNOWN", None, "not located"), ("CLASS", "like outer_race", "like outer_race")]
    (fine,) = values_of(run("classify", healthy / "day-1.npz", "--model", bundle, *at))["recordings"]
    assert set(fine["verdicts"]) == {"healthy"}
    assert "like a fault" in run("bundle", "show", bundle).out
    seen = run("inspect", bundle, "--out", tmp_path / "page")
    assert seen.code == 0 and "like misalignment" in seen.out and "wrongly named" in seen.out, seen
    page = (tmp_path / "page" / "report.html").read_text()
    assert "How early, and how often wrongly" in page and page.count("<img") == 1
    for model in (out, bundle):
        judged = {each["name"]: each for each in values_of(run("evaluate", model, "--data", later, "--json"))["labels"]}
        assert judged["outer_race"]["resembles"] == {"like outer_race": 8}, judged


def test_names_need_a_bearing_a_speed_a_second_and_healthy_recordings_alone(
    healthy: Path, judged: Path, limits: Path, tmp_path: Path
) -> None:
    def why(data: Path, file: Path = limits) -> Exception:
        options = ("--window", 512, "--simulate-faults", file, "--out", tmp_path / "run")
        found: Exception = failure_of("train", "--data", data, *options)
        return found

    (tmp_path / "zones.toml").write_text("[zones]\nvelocity_mm_s = [1.4, 2.8, 4.5]\n")
    expect(why(healthy, tmp_path / "zones.toml"), SettingsError, "no_bearing", path=tmp_path / "zones.toml")
    expect(why(judged), SettingsError, "needs_healthy_alone", labels=("healthy", "imbalance"))
    (tmp_path / "many.toml").write_text(BEARING.replace("n_balls = 9", "n_balls = 1000000000"))
    expect(why(healthy, tmp_path / "many.toml"), TrainingError, "beyond_the_rate", limit=1600.0)
    short, still = tmp_path / "short", tmp_path / "still"
    for folder in (short, still):
        folder.mkdir()
    whole = simulate_recording(Machine(), Condition(), 40.0, seed=1)
    parts = np.array_split(whole.samples, 30)
    for number, part in enumerate(parts):
        save(short, f"part-{number:02}", replace(whole, samples=part), "healthy")
    expect(why(short), TrainingError, "too_short")
    save(still, "day", replace(whole, fields={"rpm": 0}), "healthy")
    expect(why(still), TrainingError, "no_speed", recording="day")
    assert not (tmp_path / "run").exists()


def test_the_recorded_configuration_repeats_it(run: Run, healthy: Path, learned: Path, tmp_path: Path) -> None:
    assert "network" not in read_config(learned / "config.toml")
    done = run("train", "--data", healthy, "--config", learned / "config.toml", "--out", tmp_path / "again")
    assert done.code == 0, done
    for name in ("novelty.npz", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (learned / name).read_bytes()


def test_the_bundle_is_made_as_asked(run: Run, learned: Path, pump: Path, tmp_path: Path) -> None:
    manifest = read_bundle(pump).manifest
    assert (manifest.name, manifest.labels, manifest.has_network) == ("pump", ("healthy",), False)
    assert manifest.unknown_share == 0.01 and manifest.budget is not None and manifest.noise_limit is not None
    options = ("--false-unknown", "10", "--votes", "3/4", "--latency", "20ms", "--json")
    values = values_of(run("convert", learned, "--out", tmp_path / "other.drsn", *options))
    other = read_bundle(tmp_path / "other.drsn").manifest
    assert (other.name, other.unknown_share, other.votes) == ("run", 0.1, "3/4")
    assert other.budget is not None and other.budget.latency_ms == 20
    first = json.loads((learned / "metrics.json").read_text())["held_out"]["windows"]
    assert values["held_out"]["windows"]["unknown"] > first["unknown"]


def test_a_fault_is_told_from_healthy_by_run_and_bundle(run: Run, learned: Path, pump: Path, judged: Path) -> None:
    of_run, of_bundle = (
        values_of(run("evaluate", model, "--data", judged, "--json"))["labels"] for model in (learned, pump)
    )
    assert of_run == of_bundle
    windows, seconds = of_label({"labels": of_run}, "imbalance")
    assert (windows["unknown"], windows["auroc"], seconds["unknown"], seconds["auroc"]) == (1.0, 1.0, 1.0, 1.0)
    windows, seconds = of_label({"labels": of_run}, "healthy")
    assert windows["unknown"] < 0.2 and windows["auroc"] is None and seconds["count"] == 3


def test_without_healthy_recordings_the_hold_out_set_stands_in(
    run: Run, learned: Path, pump: Path, judged: Path
) -> None:
    only = ("--data", judged, "--only", "name=imbalance", "--json")
    values = values_of(run("evaluate", learned, *only))
    assert [each["name"] for each in values["labels"]] == ["hold-out set", "imbalance"]
    assert of_label(values, "imbalance")[0]["auroc"] == 1.0
    windows, _ = of_label(values_of(run("evaluate", pump, *only)), "imbalance")
    assert (windows["unknown"], windows["auroc"]) == (1.0, None)


def test_a_bundle_is_evaluated_on_the_hold_out_set_of_its_run(
    run: Run, learned: Path, pump: Path, tmp_path: Path, healthy: Path
) -> None:
    own = json.loads((learned / "metrics.json").read_text())["held_out"]
    assert values_of(run("evaluate", pump, "--run", learned, "--json"))["labels"] == [own]
    assert "36 windows" in run("evaluate", learned).out
    done = run("train", "--data", healthy, "--out", tmp_path / "run", "--window", "512")
    assert done.code == 0, done
    expect(failure_of("evaluate", pump, "--run", tmp_path / "run"), ContractError, "other_run")


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (("--epochs", "3"), "--epochs"),
        (("--network", "nano"), "--network"),
        (("--inputs", "bands"), "--inputs"),
        (("--snr-db", "0", "3"), "--snr-db"),
        (("--for", "sensor"), "--for"),
        (("--without-speed",), "--without-speed"),
    ],
)
def test_train_refuses_what_is_about_a_network(
    healthy: Path, tmp_path: Path, words: tuple[str, ...], setting: str
) -> None:
    found = failure_of("train", "--data", healthy, "--out", tmp_path / "run", *words)
    expect(found, SettingsError, "needs_network", settings=(setting,))
    assert setting in str(found) and not (tmp_path / "run").exists()


def test_a_file_may_not_name_it_either(healthy: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("epochs = 3\n[research]\nstream_hop = 100\nstyle_mix = 0.5\n")
    words = ("--data", healthy, "--config", tmp_path / "c.toml", "--hold-out", "time=0.2", "--inputs", "bands")
    found = failure_of("train", *words, "--out", tmp_path / "run")
    expect(found, SettingsError, "needs_network", settings=("epochs", "style_mix", "--inputs"))


@pytest.mark.parametrize("words", [("--qat", "--data", "d"), ("--target", "cpu"), ("--max-drop", "2")])
def test_convert_refuses_what_is_about_a_network(learned: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    found = failure_of("convert", learned, "--out", tmp_path / "b.drsn", *words)
    expect(found, SettingsError, "needs_network")
    assert words[0] in str(found) and not (tmp_path / "b.drsn").exists()


def test_a_bundle_that_finds_nothing_is_refused(learned: Path, tmp_path: Path) -> None:
    found = failure_of("convert", learned, "--out", tmp_path / "b.drsn", "--false-unknown", "0")
    expect(found, SettingsError, "only_unknown")


def test_evaluate_refuses_what_is_about_a_network(learned: Path, tmp_path: Path) -> None:
    found = failure_of("evaluate", learned, "--snr-db", "0", "--out", tmp_path / "report")
    expect(found, SettingsError, "needs_network", settings=("--snr-db", "--out"))


def test_too_short_recordings_are_refused_with_the_number(healthy: Path, tmp_path: Path) -> None:
    found = failure_of("train", "--data", healthy, "--out", tmp_path / "run", "--window", "4096")
    expect(found, TrainingError, "too_few_windows", limit=50)


def test_damaged_windows_are_left_out_or_refused(healthy: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for path in healthy.iterdir():
        with np.load(path) as file:
            arrays = dict(file)
        arrays["x"][:, 30_000:] = 0
        np.savez(data / path.name, **arrays)
    expect(failure_of("train", "--data", data, "--out", tmp_path / "run"), SplitError, "damaged", label="healthy")


def test_standing_still_and_knocks_are_not_learned(run: Run, healthy: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(5)
    for path in healthy.iterdir():
        with np.load(path) as file:
            arrays = dict(file)
        arrays["x"][:, 10_000:20_000] = rng.normal(scale=0.002, size=(3, 10_000))
        arrays["x"][:, 5000:5500] *= 6
        np.savez(data / path.name, **arrays)
    metrics = json.loads(run("train", "--data", data, "--out", tmp_path / "run", "--json").out)
    assert set(metrics["left_out"]) == {"not running", "level jumps"}
    assert metrics["left_out"]["not running"] == pytest.approx(36, abs=4)
    assert metrics["learned_windows"] + sum(metrics["left_out"].values()) == metrics["classes"][0]["train"]


@pytest.fixture(scope="module")
def at_two_speeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a healthy machine at two speeds."""
    folder: Path = tmp_path_factory.mktemp("speeds")
    (folder / "data").mkdir()
    for rpm in (1200, 1480):
        recording = simulate_recording(Machine(rpm=rpm), Condition(), 20.0, seed=rpm)
        save(folder / "data", f"at-{rpm}", recording, "healthy")
    cli.main(["train", "--data", str(folder / "data"), "--out", str(folder / "run")], standalone_mode=False)
    return folder / "run"


def test_a_fault_that_the_allowance_hides_is_said_and_found_without_it(
    run: Run, at_two_speeds: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    save(tmp_path / "data", "fine", simulate_recording(Machine(), Condition(), 5.0, seed=6), "healthy")
    worn = simulate_recording(Machine(), Condition("outer_race", 0.4), 5.0, seed=7)
    save(tmp_path / "data", "worn", worn, "worn")
    wide, narrow = tmp_path / "wide.drsn", tmp_path / "narrow.drsn"
    for out, more in ((wide, ()), (narrow, ("--learned-only",))):
        assert run("convert", at_two_speeds, "--out", out, *more).code == 0
    found = values_of(run("evaluate", wide, "--data", tmp_path / "data", "--json"))
    windows, _ = of_label(found, "worn")
    assert windows["auroc"] == 1.0 and windows["unknown"] == 0.0
    assert len(found["in_words"]) == 1 and found["in_words"][0].startswith("worn is more novel")
    found = values_of(run("evaluate", narrow, "--data", tmp_path / "data", "--json"))
    assert of_label(found, "worn")[0]["unknown"] == 1.0 and found["in_words"] == []


def test_a_network_has_no_learned_loads(trained_run: Path, tmp_path: Path) -> None:
    found = failure_of("convert", trained_run, "--out", tmp_path / "b.drsn", "--learned-only")
    assert isinstance(found, click.UsageError) and "--learned-only" in str(found)


def test_where_a_network_is_needed_the_run_says_that_it_has_none(learned: Path, healthy: Path, tmp_path: Path) -> None:
    with refused(TrainingError, "no_network", label="healthy"):
        load_run(learned)
    found = failure_of("search", "--data", healthy, "--hold-out", "time=0.3", "--out", tmp_path / "found")
    expect(found, SplitError, "one_class", classes=("healthy",))


def test_one_class_of_another_name_is_refused(judged: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(judged / "imbalance.npz", tmp_path / "data")
    rule = ("--hold-out", "time=0.3", "--inputs", "waveform")
    found = failure_of("train", "--data", tmp_path / "data", *rule, "--out", tmp_path / "run")
    expect(found, SplitError, "one_class", classes=("imbalance",))
    assert "healthy, normal, good, ok" in str(found)


def test_two_classes_need_a_hold_out_rule(judged: Path, run: Run, tmp_path: Path) -> None:
    done = run("train", "--data", judged, "--out", tmp_path / "run")
    assert done.code == 2 and "--hold-out" in done.err
