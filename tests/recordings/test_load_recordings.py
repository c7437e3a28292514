"""Files and folders: what is read, what is left out, and what is asked of the user."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording, load_recordings
from drsn_edge.recordings.loading.report import Report
from drsn_edge.recordings.readers.registry import SUFFIXES as READ

SUFFIXES = ", ".join(READ)
CSV = "time_s,x_g\n0,1\n0.1,2\n"


def save_npz(path: Path, **keys: Any) -> Path:
    """Write one axis of three samples."""
    np.savez(path, **{"x": np.arange(3.0), **keys})
    return path


def test_reads_known_files_sorted_by_name_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "b.CSV").write_text(CSV)
    save_npz(tmp_path / "a.npz", fs=5, axes=["x"], unit="g")
    (tmp_path / "c-1.csv").write_text(CSV)
    (tmp_path / "index.csv").write_text("file,label\na.npz,ok\n")
    (tmp_path / "SHA256SUMS").write_text("?")
    (tmp_path / "._b.csv").write_bytes(b"\0\5\x16\7")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.csv").write_text(CSV)
    (tmp_path / "sub.csv").mkdir()
    (tmp_path / "catalogue.toml").write_text("[defaults]\nlabel = 'ok'\n")
    calls: list[tuple[int, int]] = []
    recordings = load_recordings(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert [(recording.name, recording.label) for recording in recordings] == [
        ("a", "ok"), ("b", "ok"), ("c-1", "ok"), ("sub/d", "ok"),
    ]  # fmt: skip
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [record.getMessage() for record in caplog.records] == [
        f"Skipped {tmp_path / 'index.csv'}: it is an index of other files.",
        f"Recordings in {tmp_path}: catalogues used: {tmp_path / 'catalogue.toml'}.",
    ]


def test_an_explicit_catalogue_replaces_that_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "catalogue.toml").write_text("[defaults]\nlabel = 'folder'\nrpm = 1\n")
    (tmp_path / "other.toml").write_text("[defaults]\nlabel = 'other'\ngroup = 'session'\n")
    recording = load_recording(tmp_path / "a.csv", tmp_path / "other.toml")
    assert (recording.label, recording.group, recording.fields) == ("other", "session", {})
    assert load_recordings(tmp_path, tmp_path / "other.toml")[0].label == "other"
    with refused(RecordingError, "missing", path=tmp_path / "missing.toml", what="a catalogue"):
        load_recording(tmp_path / "a.csv", tmp_path / "missing.toml")


def test_a_built_in_catalogue_is_recognised_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = save_npz(tmp_path / "a.npz", cwru_file=105)
    recording = load_recording(path)
    assert (recording.label, recording.unit, recording.sample_rate_hz) == ("IR007", "g", 12000.0)
    assert caplog.messages == [f"Recordings in {tmp_path}: catalogues used: built-in cwru.toml."]


def test_the_own_catalogue_wins_over_the_built_in_one_but_need_not_repeat_it(tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text("[defaults]\nlabel = 'inner race'\n")
    recording = load_recording(save_npz(tmp_path / "a.npz", cwru_file=105))
    assert (recording.label, recording.unit, recording.fields["load_hp"]) == ("inner race", "g", 0)


def test_the_key_of_the_fan_alone_names_no_axes(tmp_path: Path) -> None:
    with refused(RecordingError, "incomplete", missing=("axes", "unit")):
        load_recording(save_npz(tmp_path / "mine.npz", file_index=[1, 2], fs=10))


@pytest.mark.parametrize(
    ("key", "of_file", "of_catalogue"),
    [("label", "IR007", "B007"), ("unit", "g", "counts"), ("group", "a", "b"), ("rpm", 1797.0, 1750)],
)
def test_file_and_catalogue_must_agree(
    tmp_path: Path, key: str, of_file: str | float, of_catalogue: str | float
) -> None:
    path = save_npz(tmp_path / "a.npz", **{"fs": 10, "axes": ["X"], "unit": "g", key: of_file})
    (tmp_path / "catalogue.toml").write_text(f"[defaults]\n{key} = {of_catalogue!r}\n")
    with refused(RecordingError, "contradiction", path=path, key=key, file=of_file, catalogue=of_catalogue):
        load_recording(path)


def test_a_person_corrects_the_unit_of_a_file_without_a_conversion(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", x=np.full((1, 8), 9.8), fs=10, axes=["X"], unit="g")
    (tmp_path / "catalogue.toml").write_text("[defaults]\nunit = 'm/s^2'\n")
    report = Report()
    recording = load_recording(path, report=report)
    assert recording.unit == "m/s2" and recording.samples[0, 0] == np.float32(9.8)
    assert any("The file says g, but the catalogue says m/s2, which counts." in line for line in report.lines())


def test_a_built_in_catalogue_corrects_no_unit(tmp_path: Path) -> None:
    with refused(RecordingError, "contradiction", key="unit", file="m/s2", catalogue="g"):
        load_recording(save_npz(tmp_path / "a.npz", cwru_file=105, unit="m/s2"))


def test_numbers_agree_in_spite_of_their_precision(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", fs=10, axes=["X"], unit="g", load=np.float32(0.1), rpm=np.float32(1797))
    (tmp_path / "catalogue.toml").write_text("[defaults]\nload = 0.1\nrpm = 1797\n")
    assert load_recording(path).fields == {"load": 0.1, "rpm": 1797}


def test_the_lines_to_write_are_accepted_once_filled_in(tmp_path: Path) -> None:
    path = save_npz(tmp_path / 'odd [1] "name".npz', x=np.zeros((3, 5)))
    catalogue = tmp_path / "catalogue.toml"
    missing = ("sample_rate_hz", "axes", "unit")
    with refused(RecordingError, "incomplete", path=path, missing=missing, advised=catalogue) as caught:
        load_recording(path)
    advice, lines = str(caught.value).split("\n\n")
    assert advice.endswith(f"write into {catalogue}:")
    catalogue.write_text(lines)
    with refused(RecordingError, "wrong_value", key="sample_rate_hz", got="0"):
        load_recording(path)
    filled = lines.replace("_hz = 0", "_hz = 100").replace('["", "", ""]', '["X", "Y", "Z"]').replace('""', '"g"')
    catalogue.write_text(filled)
    recording = load_recording(path)
    assert (recording.sample_rate_hz, recording.axes, recording.unit) == (100.0, ("X", "Y", "Z"), "g")


@pytest.mark.parametrize("name", ["-Z", "x,y", "x\n"])
def test_axes_have_names_that_a_sensor_could_send(tmp_path: Path, name: str) -> None:
    with refused(RecordingError, "wrong_value", key="axes", got=repr([name])):
        load_recording(save_npz(tmp_path / "a.npz", fs=100, unit="g", axes=[name]))


def test_two_recordings_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    save_npz(tmp_path / "a.npz")
    with refused(RecordingError, "name_twice", path=tmp_path, files=("a.csv", "a.npz")):
        load_recordings(tmp_path)


def test_folders_without_recordings(tmp_path: Path) -> None:
    with refused(RecordingError, "no_recordings", path=tmp_path) as caught:
        load_recordings(tmp_path)
    assert SUFFIXES in str(caught.value)
    with refused(RecordingError, "unreadable", path=tmp_path / "none", reason="No such file or directory"):
        load_recordings(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with refused(RecordingError, "unreadable", path=tmp_path / "file", reason="Not a directory"):
        load_recordings(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "problem", "facts"),
    [
        ("none.npz", "missing", {}),
        ("folder.npz", "folder", {}),
        ("notes.txt", "empty_file", {}),
        ("plain", "empty_file", {}),
        ("missing", "missing", {}),
        ("nul\0.npz", "unreadable", {}),
        ("empty.wav", "empty_file", {}),
    ],
)
def test_paths_that_are_no_recordings(tmp_path: Path, name: str, problem: str, facts: dict[str, object]) -> None:
    (tmp_path / "folder.npz").mkdir()
    for each in ("empty.wav", "notes.txt", "plain"):
        (tmp_path / each).touch()
    with refused(RecordingError, problem, path=f"{tmp_path}/{name}", **facts):
        load_recording(f"{tmp_path}/{name}")


def test_a_capture_of_a_missing_file(tmp_path: Path) -> None:
    with refused(RecordingError, "missing", path=tmp_path / "none.npz"):
        load_recording(f"{tmp_path}/none.npz#2")


def test_no_right_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.csv").write_text(CSV)
    monkeypatch.setattr("drsn_edge.recordings.raw.open_regular", refuse)
    with refused(RecordingError, "unreadable", path=tmp_path / "a.csv", reason="Permission denied"):
        load_recordings(tmp_path)
    monkeypatch.setattr(os, "scandir", refuse)
    with refused(RecordingError, "unreadable", path=tmp_path, reason="Permission denied"):
        load_recordings(tmp_path)


def test_import_leaves_scipy_alone() -> None:
    code = "import sys, drsn_edge.recordings; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
