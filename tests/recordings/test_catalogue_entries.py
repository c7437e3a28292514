"""Entries of catalogues: which files and captures they are for, and what is said of those that are for none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drsn_edge.looking.look import look
from drsn_edge.recordings.loading.catalogue import parse_catalogue, values_for
from drsn_edge.recordings.loading.load import load_recording, load_recordings
from drsn_edge.recordings.loading.report import Report

CSV = "time_s,x_g\n" + "".join(f"{number / 10},{number % 7}\n" for number in range(100))
UNMATCHED = "matches no file"


def notes(folder: Path, catalogue: str) -> list[str]:
    """Return what is said of entries once the folder was read with the catalogue."""
    (folder / "catalogue.toml").write_text(catalogue)
    report = Report()
    load_recordings(folder, report=report)
    return [line for line in report.lines() if "no file" in line]


def entry(*globs: str, label: str = "a") -> str:
    return f"[[recordings]]\nfile = {list(globs)!r}\nlabel = {label!r}\n"


def test_entries_that_match_no_file_are_named_once_each(tmp_path: Path) -> None:
    (tmp_path / "healthy").mkdir()
    (tmp_path / "healthy" / "1.csv").write_text(CSV)
    text = entry("helthy/*") + entry("healthy/*") + entry("*[neu]*") + entry("old.csv", "1.csv")
    found = notes(tmp_path, text)
    assert len(found) == 2 and all(UNMATCHED in line for line in found)
    assert 'number 1 matches no file: file = "helthy/*".' in found[0] and "[[]" in found[1]
    passed_over = look([tmp_path], None, 1 << 30).passed_over
    assert sum(UNMATCHED in line for line in passed_over) == 2


def test_a_single_file_needs_no_other_entry(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(CSV)
    (tmp_path / "catalogue.toml").write_text(entry("2.csv"))
    report = Report()
    load_recording(tmp_path / "1.csv", report=report)
    assert not any(UNMATCHED in line for line in report.lines())


def test_a_catalogue_above_is_for_other_folders_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.csv").write_text(CSV)
    (tmp_path / "catalogue.toml").write_text(entry("b/*"))
    report = Report()
    load_recordings(tmp_path / "a", report=report)
    assert not any(UNMATCHED in line for line in report.lines())


def test_many_entries_without_a_file_take_few_lines_without_control_characters(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(CSV)
    found = notes(tmp_path, "".join(entry(f"{number}" + "x" * 300) for number in range(9)))
    assert len(found) == 5 and found[-1].endswith("5 more entries of catalogues match no file.")
    assert max(map(len, found)) < 400
    (line,) = notes(tmp_path, '[[recordings]]\nfile = "\\u001b[2J"\n')
    assert "\x1b" not in line


def test_captures_of_one_file_have_labels_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", x=np.arange(24.0).reshape(4, 1, 6), fs=10, axes=["x"], unit="g")
    text = entry("*", label="other") + entry("all.npz#0", label="healthy") + entry("a*#[12]", label="worn")
    assert notes(tmp_path, text) == []
    labels = {each.name: each.label for each in load_recordings(tmp_path)}
    assert labels == {"all#0": "healthy", "all#1": "worn", "all#2": "worn", "all#3": "other"}
    assert load_recording(f"{tmp_path}/all.npz#1").label == "worn"


@pytest.mark.parametrize(
    ("glob", "path", "capture", "is_for"),
    [
        ("a.h5#0", "a.h5", 0, True), ("a.h5#0", "sub/a.h5", 0, True), ("sub/a.h5#0", "sub/a.h5", 0, True),
        ("a.h5#0", "a.h5", 1, False), ("a.h5#0", "a.h5", None, False), ("a.h5", "a.h5", 7, True),
        ("sub/*#*", "sub/a.h5", 7, True), ("*0", "a.h5", 0, False), ("a#1", "a#1", None, True), ("*5", "a.h5", 1, True),
    ],
)  # fmt: skip
def test_which_captures_a_glob_is_for(glob: str, path: str, capture: int | None, is_for: bool) -> None:
    catalogue = parse_catalogue(entry(glob), "test.toml")
    assert ("label" in values_for(catalogue, path, {}, capture)) is is_for


def test_a_capture_names_the_file_that_holds_it() -> None:
    catalogue = parse_catalogue(entry("a.dat#0"), "test.toml")
    assert catalogue.names("a.dat") and not catalogue.names("b.dat")
    assert not parse_catalogue(entry("*#0"), "test.toml").names("a.dat")
