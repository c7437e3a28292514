"""Each command with a bundle that has no network: it does what is possible without one, or says why not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from refusals import after_notes, expect

from drsn_edge.bundle.bundle import Bundle, write_bundle
from drsn_edge.errors import BundleError, SettingsError
from drsn_edge.evaluation.without_network import area_under_roc
from drsn_edge.monitor.stages.settings import read_settings
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor

Run = Callable[..., Any]


@pytest.fixture
def pump(healthy_bundle_of_noise: Bundle, tmp_path: Path) -> Path:
    """Return the file of a bundle that knows white noise of 0.1 g at 4000 Hz."""
    write_bundle(healthy_bundle_of_noise, tmp_path / "pump.drsn")
    return tmp_path / "pump.drsn"


@pytest.fixture
def recording(save_recording: Callable[..., Path], tmp_path: Path) -> Path:
    """Return the file of a second of the healthy machine, and a second with a tone on x."""
    samples = np.random.default_rng(1).normal(scale=0.1, size=(2, 8000))
    samples[0, 4000:] += np.sin(2 * np.pi * 900 * np.arange(4000) / 4000)
    return save_recording(tmp_path / "pump.npz", x=samples)


def values_of(done: Any) -> dict[str, Any]:
    assert (done.code, after_notes(done.err)) == (0, ""), done
    values: dict[str, Any] = json.loads(done.out)
    return values


def test_classify_tells_healthy_from_unknown(run: Run, pump: Path, recording: Path) -> None:
    (found,) = values_of(run("classify", recording, "--model", pump, "--json"))["recordings"]
    assert found["verdicts"] == {"healthy": pytest.approx(186, abs=2), "UNKNOWN": pytest.approx(63, abs=2)}
    said = [(each["verdict"], each["label"], each["scores"]) for each in found["decisions"]]
    assert said == [("CLASS", "healthy", None), ("UNKNOWN", None, None)]
    assert 1.48 < found["decisions"][1]["since"] < 1.52  # half of a second is evidence
    healthy, unknown = (each["differences"] for each in found["decisions"])
    assert healthy == [] and {each["axis"] for each in unknown} == {"x", None}, unknown
    tone = next(each for each in unknown if each["axis"] == "x")
    assert tone["low_hz"] < 900 < tone["high_hz"] and tone["db"] > 10 and "since learning" in tone["words"]


def test_the_monitor_sends_to_every_output_without_scores(
    run: Run, pump: Path, recording: Path, tmp_path: Path
) -> None:
    sensor = virtual_sensor(load_recording(recording), Playback(speed=None), link=tmp_path / "port")
    thread = Thread(target=sensor.run)
    thread.start()
    outputs = ("--json", "--history", tmp_path / "h.sqlite")
    done = run("monitor", "--port", sensor.port, "--model", pump, *outputs)
    thread.join()
    lines = [json.loads(line) for line in done.out.splitlines()]
    windows = [line for line in lines if line["type"] == "window"]
    verdicts = [line["verdict"] for line in windows]
    assert len(windows) == 249 and set(verdicts[:184]) == {"CLASS"} and set(verdicts[188:]) == {"UNKNOWN"}
    assert all(line["scores"] is line["between"] is None and line["novelty"] > 0 for line in windows)
    assert lines[-1]["type"] == "summary" and lines[-1]["labels"]["healthy"] >= 184
    (history,) = values_of(run("history", tmp_path / "h.sqlite", "--json"))["machines"]
    assert [(each["verdict"], each["score"], each["nearest"]) for each in history["decisions"]] == [
        ("CLASS", None, None),
        ("UNKNOWN", None, None),
    ]


@pytest.mark.parametrize("command", ["monitor", "classify"])
def test_unknown_is_all_that_it_can_find(run: Run, pump: Path, recording: Path, playing: Any, command: str) -> None:
    with playing(n=64) as (port, _):
        of = {"monitor": ("--port", port), "classify": (recording,)}[command]
        done = run(command, *of, "--model", pump, "--no-unknown")
    assert done.code == 1
    expect(done.why, SettingsError, "only_unknown", bundle="pump 1.0.0")


def test_it_promises_no_share_of_wrong_classes(run: Run, pump: Path, recording: Path) -> None:
    done = run("classify", recording, "--model", pump, "--at-most-wrong", "2")
    expect(done.why, SettingsError, "no_promise", bundle="pump 1.0.0", asked=0.02)
    assert "has no network" in done.err and "--inputs" not in done.err


def test_bundle_show_says_that_there_is_no_network(run: Run, pump: Path) -> None:
    done = run("bundle", "show", pump)
    assert done.code == 0
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines() if not line.startswith("signed"))
    assert rows["network"].startswith("none: a window is healthy, UNKNOWN or without a verdict")
    assert rows["operators"] == "none, and no runtime is needed" and "model.tflite" not in rows["parts"]
    values = values_of(run("bundle", "show", pump, "--json"))
    assert "input" not in values["manifest"] and set(values["sizes"]) == {"golden.npz", "novelty.npz"}


def test_there_is_nothing_to_compile_for_an_edge_tpu(run: Run, pump: Path, tmp_path: Path) -> None:
    (tmp_path / "compiled.tflite").write_bytes(b"compiled")
    done = run("bundle", "edgetpu", pump, "--compiled", tmp_path / "compiled.tflite")
    expect(done.why, BundleError, "no_network", bundle="pump 1.0.0")


WITHOUT_A_RUNTIME = """
import sys

class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
from pathlib import Path
from drsn_edge.cli.main import cli
try:
    cli.main(sys.argv[2:], prog_name="drsn-edge")
finally:
    Path(sys.argv[1]).write_text(str(sorted({"quantize.engine", "ai_edge_litert"} & set(sys.modules))))
"""


def test_it_needs_no_runtime(pump: Path, recording: Path, tmp_path: Path) -> None:
    """As on an armv7l, for which there is no LiteRT."""
    imported = tmp_path / "imported.txt"
    arguments = (str(imported), "classify", str(recording), "--model", str(pump), "--json")
    done = subprocess.run([sys.executable, "-c", WITHOUT_A_RUNTIME, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recordings"][0]["verdicts"]["healthy"] > 100, done
    assert imported.read_text() == "[]"


def test_inspect_describes_what_the_bundle_knows(run: Run, pump: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the page needs the extra `plots`")
    found = values_of(run("inspect", pump, "--json"))
    assert (found["model"], found["promise"], found["file"]["kind"]) == (None, None, "bundle pump 1.0.0")
    assert found["novelty"]["golden"]["windows"] == 16 and found["novelty"]["golden"]["deviation"] < 1e-3
    done = run("inspect", pump, "--out", tmp_path / "page")
    lines = done.out.splitlines()
    assert (
        lines[1].startswith("network         none: NumPy judges")
        and lines[3] == "levels          0.09 g RMS to 0.11 g RMS"
    )
    page = (tmp_path / "page" / "report.html").read_text()
    assert "none: NumPy judges a window by its novelty" in page and "Threshold budget" not in page


@pytest.mark.parametrize("option", [("--target", "cpu"), ("--target", "edgetpu")])
def test_no_target_is_asked_of_it(run: Run, pump: Path, option: tuple[str, ...]) -> None:
    done = run("inspect", pump, *option)
    expect(done.why, BundleError, "no_network", bundle="pump 1.0.0")
    assert "Leave --target out" in done.err


@pytest.fixture
def labelled(save_recording: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a folder with two healthy recordings, one of them called normal, and one of a tone on x."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for name in ("a", "b", "tone"):
        samples = rng.normal(scale=0.1, size=(2, 4000))
        if name == "tone":
            samples[0] += np.sin(2 * np.pi * 900 * np.arange(4000) / 4000)
        label = {"a": "healthy", "b": "normal", "tone": "worn"}[name]
        save_recording(folder / f"{name}.npz", x=samples, label=label)
    return folder


def test_evaluate_counts_what_is_unknown_label_by_label(run: Run, pump: Path, labelled: Path) -> None:
    found = values_of(run("evaluate", pump, "--data", labelled, "--json"))
    healthy, worn = found["labels"]
    windows = healthy["windows"]
    assert (healthy["name"], windows["count"], windows["auroc"]) == ("healthy", 124, None)
    assert windows["interval_95"][0] <= windows["unknown"] <= windows["interval_95"][1] < 0.1
    windows = worn["windows"]
    assert (worn["name"], windows["count"], windows["unknown"], windows["auroc"]) == ("worn", 62, 1.0, 1.0)
    assert [each["name"] for each in found["recordings"]] == ["a", "b", "tone"]
    lines = run("evaluate", pump, "--data", labelled).out.splitlines()
    assert lines[0] == "pump 1.0.0 (bundle without a network), healthy or UNKNOWN"
    assert any(line.split()[:3] == ["worn", "62", "100.0%"] for line in lines)


@pytest.mark.parametrize("option", [("--snr-db", "0"), ("--out", "report"), ("--seed", "1")])
def test_evaluate_refuses_what_only_a_network_has(
    run: Run, pump: Path, labelled: Path, option: tuple[str, ...]
) -> None:
    done = run("evaluate", pump, "--data", labelled, *option)
    expect(done.why, SettingsError, "needs_network", settings=option[:1])


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    faulty, healthy = np.array([1.0, 2.0, 3.0, 2.0]), np.array([0.5, 2.0, 2.5])
    pairs = [(f > h) + 0.5 * (f == h) for f in faulty for h in healthy]
    assert area_under_roc(faulty, healthy) == pytest.approx(float(np.mean(pairs)))


def test_tune_alarms_finds_settings_for_unknown(run: Run, pump: Path, labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "monitor.toml"
    found = values_of(run("tune-alarms", labelled, "--model", pump, "--false-alarms", 1e6, "--out", out, "--json"))
    assert found["chosen"]["missed"] == 0
    settings = read_settings(out, ("healthy",))
    assert settings.alarms is not None and settings.alarms.normal == ("healthy",)
    said = run("classify", labelled, "--model", pump, "--settings", out)
    assert said.code == 0 and "ALARM UNKNOWN" in said.out, said


def test_a_site_teaches_it_further_references(run: Run, pump: Path, save_recording: Any, tmp_path: Path) -> None:
    """The machine with a tone on x is healthy, too, if a person says so."""
    samples = np.random.default_rng(2).normal(scale=0.1, size=(2, 8000))
    samples[0] += np.sin(2 * np.pi * 900 * np.arange(8000) / 4000)
    recording = load_recording(save_recording(tmp_path / "tone.npz", x=samples))
    sensor = virtual_sensor(recording, Playback(speed=None), link=tmp_path / "port")
    thread = Thread(target=sensor.run)
    thread.start()
    learned = run("learn", "--port", sensor.port, "--model", pump, "--json")
    thread.join()
    assert values_of(learned)["windows"] == 249
    (found,) = values_of(run("classify", tmp_path / "tone.npz", "--model", pump, "--json"))["recordings"]
    assert found["verdicts"].get("UNKNOWN", 0) < 25
    assert run("learn", "--model", pump, "--remove").code == 0
    (found,) = values_of(run("classify", tmp_path / "tone.npz", "--model", pump, "--json"))["recordings"]
    assert found["verdicts"] == {"UNKNOWN": 249}


def test_it_is_signed_reissued_and_flashed_like_any_bundle(
    run: Run, pump: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert run("keys", "new", "--name", "works").code == 0
    assert run("keys", "trust", tmp_path / "config" / "drsn-edge" / "signing.key.pub").code == 0
    assert run("bundle", "sign", pump).code == 0
    verified = run("bundle", "verify", pump, "--gate")
    assert verified.code == 0 and "16 golden windows: NumPy's novelties differ by " in verified.out, verified
    newer = tmp_path / "newer.drsn"
    assert run("bundle", "reissue", pump, "--as", "1.1.0", "--out", newer).code == 0
    assert run("bundle", "diff", pump, newer).out == "version: 1.0.0 -> 1.1.0\n"
    assert "pump 1.1.0 is on trial at local" in run("flash", newer, "--to", "local").out
    assert run("gateway", "confirm").code == 0
    sensor = virtual_sensor(load_recording(recording), Playback(speed=None), link=tmp_path / "port")
    thread = Thread(target=sensor.run)
    thread.start()
    done = run("monitor", "--port", sensor.port, "--json")
    thread.join()
    assert done.code == 0 and json.loads(done.out.splitlines()[-1])["labels"]["healthy"] >= 124
    (found,) = (each for each in values_of(run("doctor", "--json"))["findings"] if each["check"] == "bundle")
    assert found["level"] == "ok" and "per window on NumPy" in found["what"]


def test_several_processes_judge_an_archive(run: Run, pump: Path, labelled: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    alone = values_of(run("classify", labelled, "--model", pump, "--json"))
    shared = ("--workers", 2, "--picture", tmp_path / "verdicts.png")
    assert values_of(run("classify", labelled, "--model", pump, "--json", *shared)) == alone
    assert (tmp_path / "verdicts.png").read_bytes().startswith(b"\x89PNG")
