"""Folders inside folders: what is found, how it is named and labelled, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading import folder as searching
from drsn_edge.recordings.loading.folder import kinds_of, list_folder
from drsn_edge.recordings.loading.load import load_all, load_recording, load_recordings, open_recordings
from drsn_edge.recordings.loading.report import Report

CSV = "time_s,x_g\n0,1\n0.1,2\n0.2,4\n"


def write(folder: Path, *names: str, text: str = CSV) -> None:
    """Write the same table under several paths below a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def said(folder: Path) -> list[str]:
    """Return what a report says after a folder was read."""
    report = Report()
    load_recordings(folder, report=report)
    return report.lines()


# Names, groups and labels.


def test_equal_file_names_in_several_folders(tmp_path: Path) -> None:
    write(tmp_path, "healthy/1.csv", "fault/1.csv", "fault/deep/down/1.csv", "0.csv")
    names = [(each.name, each.group) for each in load_recordings(tmp_path)]
    assert names == [("0", "0"), ("fault/1", "fault/1"), ("fault/deep/down/1", "fault/deep/down/1"),
                     ("healthy/1", "healthy/1")]  # fmt: skip


def test_names_that_differ_only_by_the_suffix_are_refused_within_one_folder(tmp_path: Path) -> None:
    write(tmp_path, "a/1.csv", "b/1.csv")
    np.savez(tmp_path / "b" / "1.npz", x=np.arange(3.0), fs=10, axes=["x"], unit="g")
    with refused(RecordingError, "name_twice", path=tmp_path / "b", files=("1.csv", "1.npz")):
        load_recordings(tmp_path)


def test_a_number_at_the_end_of_a_name_is_no_suffix(tmp_path: Path) -> None:
    write(tmp_path, "normal/12.288.csv", "imbalance/6g/13.9264.csv")
    assert [each.name for each in load_recordings(tmp_path)] == ["imbalance/6g/13.9264", "normal/12.288"]


def test_two_folders_with_equal_names_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, "one/1.csv", "two/1.csv")
    names = [each.name for each in load_all([tmp_path / "one", tmp_path / "two"])]
    assert names == [f"{tmp_path}/one/1", f"{tmp_path}/two/1"]


def test_folders_are_labels_if_one_is_named_like_a_healthy_machine(tmp_path: Path) -> None:
    write(tmp_path, "healthy/1.csv", "inner race/1.csv")
    assert [each.label for each in load_recordings(tmp_path)] == ["healthy", "inner race"]
    assert any("healthy, inner race" in line for line in said(tmp_path))


def test_a_folder_may_have_more_words(tmp_path: Path) -> None:
    write(tmp_path, "1 - Baseline_Conditions/1.csv", "2 - Faults/1.csv")
    assert [each.label for each in load_recordings(tmp_path)] == ["1 - Baseline_Conditions", "2 - Faults"]


@pytest.mark.parametrize(
    "names",
    [
        ("bearing1/1.csv", "bearing2/1.csv"),
        ("healthy/1.csv",),
        ("healthy/1.csv", "fault/deep/1.csv"),
        ("healthy/1.csv", "fault/1.csv", "0.csv"),
        ("healthy/1.csv", "UNKNOWN/1.csv"),
    ],
)
def test_other_folders_are_no_labels(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, *names)
    assert {each.label for each in load_recordings(tmp_path)} == {None}


def test_a_catalogue_that_states_labels_keeps_folders_from_being_labels(tmp_path: Path) -> None:
    write(tmp_path, "healthy/1.csv", "fault/1.csv")
    (tmp_path / "catalogue.toml").write_text('[[recordings]]\nfile = "healthy/*"\nlabel = "ok"\n')
    assert [each.label for each in load_recordings(tmp_path)] == [None, "ok"]


def test_a_pattern_with_a_slash_reads_folders(tmp_path: Path) -> None:
    write(tmp_path, "35Hz12kN/Bearing1_1/1.csv", "35Hz12kN/Bearing1_2/1.csv")
    (tmp_path / "catalogue.toml").write_text(
        """[[recordings]]\nfile = "*"\npattern = '(?P<speed>[0-9]+)Hz(?P<load>[0-9]+)kN/(?P<group>[^/]+)/'\n"""
    )
    found = [(each.group, each.fields) for each in load_recordings(tmp_path)]
    assert found == [("Bearing1_1", {"speed": 35, "load": 12}), ("Bearing1_2", {"speed": 35, "load": 12})]


@pytest.mark.parametrize("glob", ["fault/*.csv", "fault/1.csv", "**/1.csv", "*/1.csv", "1.csv", "f*"])
def test_globs_with_and_without_a_slash(tmp_path: Path, glob: str) -> None:
    write(tmp_path, "fault/1.csv", "fault.csv")
    (tmp_path / "catalogue.toml").write_text(f'[[recordings]]\nfile = "{glob}"\nlabel = "meant"\n')
    labels = {each.name: each.label for each in load_recordings(tmp_path)}
    assert labels == ({"fault": "meant", "fault/1": None} if glob == "f*" else {"fault": None, "fault/1": "meant"})


def test_a_table_as_catalogue_holds_paths_also_as_windows_writes_them(tmp_path: Path) -> None:
    write(tmp_path, "fault/1.csv", "healthy/1.csv")
    (tmp_path / "catalogue.csv").write_text("file,label\nfault\\1.csv,worn\nhealthy/1.csv,fine\n")
    assert [each.label for each in load_recordings(tmp_path)] == ["worn", "fine"]


# Which catalogue counts.


def test_the_nearest_catalogue_wins_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "a/1.csv", "b/1.csv")
    (tmp_path / "catalogue.toml").write_text('[defaults]\nrpm = 1\nlabel = "outer"\n')
    (tmp_path / "b" / "catalogue.toml").write_text('[[recordings]]\nfile = "1.csv"\nlabel = "inner"\n')
    assert [(each.label, each.fields) for each in load_recordings(tmp_path)] == [
        ("outer", {"rpm": 1}), ("inner", {"rpm": 1}),
    ]  # fmt: skip


def test_without_a_catalogue_the_nearest_one_above_counts_and_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a/b/1.csv")
    (tmp_path / "catalogue.toml").write_text('[[recordings]]\nfile = "a/b/*"\nlabel = "meant"\n')
    report = Report()
    assert load_recording(tmp_path / "a" / "b" / "1.csv", report=report).label == "meant"
    assert [each.label for each in load_recordings(tmp_path / "a")] == ["meant"]
    assert any(str(tmp_path / "catalogue.toml") in line for line in report.lines())


def test_paths_in_a_catalogue_that_the_user_names(tmp_path: Path) -> None:
    write(tmp_path, "data/a/1.csv")
    mine = tmp_path / "data" / "mine.toml"
    mine.write_text('[[recordings]]\nfile = "a/*"\nlabel = "meant"\n')
    assert load_recording(tmp_path / "data" / "a" / "1.csv", mine).label == "meant"
    assert load_recordings(tmp_path / "data", mine)[0].label == "meant"
    mine.rename(tmp_path / "mine.toml")
    assert load_recordings(tmp_path / "data", tmp_path / "mine.toml")[0].label == "meant"


def test_no_catalogue_is_taken_from_where_everybody_may_write(tmp_path: Path) -> None:
    write(tmp_path, "open/a/1.csv")
    (tmp_path / "open" / "catalogue.toml").write_text('[defaults]\nlabel = "planted"\n')
    (tmp_path / "open").chmod(0o777)
    assert load_recordings(tmp_path / "open" / "a")[0].label is None


def test_guesses_are_neither_trained_nor_measured_with(tmp_path: Path) -> None:
    write(tmp_path, "1.csv")
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text('confirmed = false\n[defaults]\nlabel = "guess"\n')
    with refused(RecordingError, "not_confirmed", path=catalogue):
        load_recordings(tmp_path)
    with refused(RecordingError, "not_confirmed", path=catalogue):
        load_all([tmp_path])
    report = Report()
    assert [each.label for each in open_recordings([tmp_path], report=report)] == ["guess"]
    assert load_recording(tmp_path / "1.csv").label == "guess"
    assert f"Look through {catalogue}, then set confirmed = true in it." in "".join(report.lines())
    catalogue.write_text('confirmed = true\n[defaults]\nlabel = "known"\n')
    assert load_recordings(tmp_path)[0].label == "known"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("confirmed = 'no'\n", "wrong_value"),
        ("[defaults]\nconfirmed = false\n", "misplaced_condition"),
        ("[[recordings]]\nfile = 'a'\nconfirmed = false\n", "misplaced_condition"),
    ],
)
def test_a_line_that_confirms_nothing_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path, "1.csv")
    (tmp_path / "catalogue.toml").write_text(text)
    with refused(RecordingError, problem):
        load_recordings(tmp_path)


# What is read, and what is passed over.


def test_what_was_passed_over_is_named(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "readme.txt", "a/1.jpg", "a/2.JPG", "evil\x1b[2J.pdf")
    os.mkfifo(tmp_path / "pipe")
    os.symlink("nowhere", tmp_path / "dead")
    line = next(each for each in said(tmp_path) if each.startswith("Passed over"))
    assert line.startswith("Passed over 6 files in ")
    assert "2 of .jpg" in line and "readme.txt" in line and "evil\\x1b[2J.pdf" in line
    assert "\x1b" not in line


def test_kinds_stay_few_and_short() -> None:
    paths = [Path(f"{number}.s{number}") for number in range(20)] + [Path("2004.02.12"), Path("2004.02.13")]
    text = kinds_of([*paths, Path("x" * 250)])
    assert text.startswith("3 without a suffix such as 2004.02.12") and text.endswith("16 others") and len(text) < 300


def test_files_without_a_suffix_are_read_where_a_catalogue_names_them(tmp_path: Path) -> None:
    write(tmp_path, "2004.02.12.10.32.39", "2004.02.12.10.42.39", "README")
    with refused(RecordingError, "no_recordings", path=tmp_path, held=3) as caught:
        load_recordings(tmp_path)
    advice, lines = str(caught.value).split("\n\n")
    assert "2004.02.12.10.32.39" in advice
    (tmp_path / "catalogue.toml").write_text(lines)
    assert [each.name for each in load_recordings(tmp_path)] == ["2004.02.12.10.32.39", "2004.02.12.10.42.39"]
    assert load_recording(tmp_path / "README").name == "README"


def test_the_lines_of_a_catalogue_for_all_files_name_none(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "notes")
    (tmp_path / "catalogue.csv").write_text("file,rpm\n*,5\n")
    assert [(each.name, each.fields) for each in load_recordings(tmp_path)] == [("1", {"rpm": 5})]


def test_the_format_is_the_catalogues_before_the_suffix(tmp_path: Path) -> None:
    write(tmp_path, "1.wav")
    (tmp_path / "catalogue.toml").write_text('[defaults]\nformat = "table"\n')
    (recording,) = load_recordings(tmp_path)
    assert recording.axes == ("x",) and recording.fields == {}
    (tmp_path / "catalogue.toml").write_text('[defaults]\nformat = "tabel"\n')
    with refused(RecordingError, "unknown_format_name", path=tmp_path / "1.wav", got="tabel"):
        load_recordings(tmp_path)


# Bad folders.


def test_a_link_that_circles_is_refused_and_others_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path, "data/a/1.csv", "elsewhere/2.csv", "3.csv")
    data = tmp_path / "data"
    for name, target in {"again": "a", "out": "../elsewhere", "a/out": "../../elsewhere", "3.csv": "../3.csv",
                         "a/same.csv": "1.csv"}.items():  # fmt: skip
        os.symlink(target, data / name)
    listing = list_folder(data)
    assert [str(path.relative_to(data)) for path in listing.files] == ["3.csv", "a/1.csv", "out/2.csv"]
    assert len(listing.repeated) == 3
    os.symlink("..", data / "a" / "up")
    with refused(RecordingError, "link_circle", path=data / "a" / "up"):
        list_folder(data)


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    os.symlink("loop", tmp_path / "loop")
    assert list_folder(tmp_path).others == [tmp_path / "loop"]


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "deep" / "/".join(["d"] * (searching.MOST_LEVELS + 1))
    deep.mkdir(parents=True)
    with refused(RecordingError, "too_deep", path=tmp_path / "deep"):
        list_folder(tmp_path / "deep")
    write(tmp_path / "many", "1.csv", "2.csv", "3.csv")
    monkeypatch.setattr(searching, "MOST_ENTRIES", 2)
    with refused(RecordingError, "too_many_files", path=tmp_path / "many"):
        list_folder(tmp_path / "many")


def test_a_sub_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/1.csv", "b/1.csv")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path == tmp_path / "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with refused(RecordingError, "unreadable", path=tmp_path / "b", reason="Permission denied"):
        load_recordings(tmp_path)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "\x1b[31m")
    os.mkdir(folder)
    for name in (b"\xff\xfe.csv", b"new\nline.csv"):
        with open(os.path.join(folder, name), "w") as file:
            file.write(CSV)
    report = Report()
    assert len(load_recordings(tmp_path, report=report)) == 2
    assert all(line.isprintable() and line.isascii() for line in report.lines())


def test_a_file_that_vanishes_after_the_search(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "2.csv")
    opened = open_recordings([tmp_path])
    next(opened)
    (tmp_path / "2.csv").unlink()
    with refused(RecordingError, "missing", path=tmp_path / "2.csv"):
        next(opened)


def test_a_large_table_of_names_is_looked_up_fast(tmp_path: Path) -> None:
    names = [f"{number % 50}/{number}.csv" for number in range(5000)]
    for number in range(50):
        (tmp_path / str(number)).mkdir()
    for name in names:
        (tmp_path / name).touch()
    lines = [f"{name},{'fault' if number % 2 else 'fine'}" for number, name in enumerate(names)]
    (tmp_path / "catalogue.csv").write_text("\n".join(["file,label", *lines]))
    with refused(RecordingError, "empty_file"):
        load_recordings(tmp_path)
