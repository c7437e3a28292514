from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from refusals import after_notes, expect

from drsn_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.errors import OutputError, RecordingError
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor

Run = Callable[..., Any]


def json_of(done: Any) -> dict[str, Any]:
    assert (done.code, after_notes(done.err)) == (0, ""), done
    values: dict[str, Any] = json.loads(done.out)
    return values


def test_it_says_what_the_monitor_says(run: Run, save_recording: Any, tiny_bundle_path: Path, tmp_path: Path) -> None:
    """The wire's 16 bits move scores a little, and one of them now and then over a border."""
    recording = load_recording(save_recording(tmp_path / "noise.npz"))
    sensor = virtual_sensor(recording, Playback(speed=None), link=tmp_path / "port")
    thread = Thread(target=sensor.run)
    thread.start()
    lines = run("monitor", "--port", sensor.port, "--model", tiny_bundle_path, "--json").out.splitlines()
    thread.join()
    said = [line["label"] for line in map(json.loads, lines) if line["type"] == "window"]
    counts = {label: said.count(label) for label in said}
    (found,) = json_of(run("classify", tmp_path / "noise.npz", "--model", tiny_bundle_path, "--json"))["recordings"]
    assert (found["recording"], found["windows"], found["duration_s"]) == ("noise", 124, 1.0)
    assert sum(abs(found["verdicts"].get(label, 0) - counts.get(label, 0)) for label in ("calm", "worn", "loud")) <= 4


def test_damage_has_its_reason_and_labels_stand_beside_verdicts(
    run: Run, save_recording: Any, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    flat = np.random.default_rng(0).normal(size=(2, 640))
    flat[1, 320:] = 0.25
    save_recording(folder / "flat.npz", x=flat, label="worn")
    save_recording(folder / "noise.npz", label="calm")
    done = run("classify", folder, "--model", tiny_bundle_path, "--votes", "1/1")
    assert (done.code, after_notes(done.err)) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["recording", "label", "windows", "verdicts"]
    assert lines[1].split()[:3] == ["flat", "worn", "19"] and "NO_VERDICT 52.6%" in lines[1]
    assert lines[2].split() == ["9", "flat", "line"]
    assert lines[3].split() == ["1", "stuck"]  # half of it is flat
    assert lines[4].split()[:3] == ["noise", "calm", "124"]
    assert lines[5].startswith("143 windows: ")


def test_the_picture(run: Run, save_recording: Any, tiny_bundle_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    save_recording(tmp_path / "a.npz")
    picture = tmp_path / "verdicts.png"
    json_of(run("classify", tmp_path / "a.npz", "--model", tiny_bundle_path, "--json", "--picture", picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = run("classify", tmp_path / "a.npz", "--model", tiny_bundle_path, "--picture", tmp_path / "no" / "v.png")
    assert refused.code == 1 and type(refused.why) is OutputError and "v.png" in refused.err


def test_what_does_not_fit_names_the_recording(
    run: Run, save_recording: Any, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    wrong: dict[str, dict[str, Any]] = {"short": {"n": 63}, "slow": {"fs": 1000}, "strange": {"axes": ("x", "q")}}
    for name, keys in wrong.items():
        done = run("classify", save_recording(tmp_path / f"{name}.npz", **keys), "--model", tiny_bundle_path)
        assert done.code == 1 and f"Error: {name}" in done.err, done
    missing = run("classify", tmp_path / "absent.npz", "--model", tiny_bundle_path)
    assert missing.code == 1
    expect(missing.why, RecordingError, "missing", path=tmp_path / "absent.npz")


@pytest.mark.parametrize("command", [("classify",), ("tune-alarms", "--normal", "calm")])
def test_a_path_where_nothing_is_is_said_to_be_missing(
    run: Run, tiny_bundle_path: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = run(*command, tmp_path / "nowhere", "--model", tiny_bundle_path)
    assert done.code == 1 and "suffix" not in done.err
    expect(done.why, RecordingError, "missing", path=tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a\u202eb", "s\udcff", "nl\nx", "esc\x1b[31m", "$^$"])
def test_any_name_of_a_file_can_be_shown(
    run: Run, save_recording: Any, tiny_bundle_path: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    save_recording(tmp_path / "plain.npz").rename(folder / f"{name}.npz")
    done = run("classify", folder, "--model", tiny_bundle_path)
    assert (done.code, after_notes(done.err)) == (0, "")
    assert len(done.out.splitlines()) == 3 and all(line.isprintable() for line in done.out.splitlines())
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    done = run("classify", folder, "--model", tiny_bundle_path, "--picture", tmp_path / "p.png")
    assert done.code == 0 and (tmp_path / "p.png").stat().st_size > 5000


@pytest.mark.parametrize("name", ["nl\nx", "s\udcff", "\u00e9" * 120])
def test_any_name_of_a_file_becomes_a_device_id(save_recording: Any, tmp_path: Path, name: str) -> None:
    path = save_recording(tmp_path / "plain.npz").rename(tmp_path / f"{name}.npz")
    sensor = virtual_sensor(load_recording(path), Playback(speed=None), link=tmp_path / "port")  # fmt: skip
    sensor.close()


def test_a_promise_is_asked_for_and_what_is_too_close_to_call_is_unsure(
    run: Run, save_recording: Any, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    recording, model = save_recording(tmp_path / "fan.npz"), tmp_path / "promise.drsn"
    bundle = read_bundle(tiny_bundle_path)
    promise = Promise(1.0, "another rpm of these machines", 3, 900, (RiskPoint(1.0, 0.02, 0.0, 0.9),))
    write_bundle(Bundle(replace(bundle.manifest, promise=promise), bundle.model, bundle.extras), model)
    ask = ("classify", recording, "--model")
    values = json.loads(run(*ask, model, "--at-most-wrong", 2, "--no-unknown", "--json").out)["recordings"][0]
    assert values["verdicts"]["UNSURE"] == values["windows"]
    assert len(values["decisions"][0]["between"]) == 2
    refused = run(*ask, tiny_bundle_path, "--at-most-wrong", 2)
    assert refused.code == 1 and "no promise" in refused.err
    refused = run(*ask, model, "--at-most-wrong", "1%")
    assert refused.code == 1 and "least that it can promise is 2 %" in refused.err
