"""Catalogues as a table: the same meaning as the TOML ones, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import values_for
from drsn_edge.recordings.loading.catalogue_csv import parse_csv_catalogue
from drsn_edge.recordings.loading.load import load_recording, load_recordings
from drsn_edge.recordings.metadata import Metadata

SAMPLES = "x,y\n1,2\n3,4\n"
COMPLETE = "file,sample_rate_hz,unit,label\n*,10,g,ok\n"


def look_up(text: str, file_name: str = "a.csv") -> Metadata:
    """Return the values that a table with this text states."""
    return values_for(parse_csv_catalogue(text, "test.csv"), file_name, {})


def test_later_lines_win_and_empty_cells_say_nothing() -> None:
    text = "label,file,rpm,unit\nd,*,1,g\nfirst,*.csv,2,\nsecond,a*,,\n"
    assert look_up(text) == {"unit": "g", "rpm": 2, "label": "second"}
    assert look_up(text, "b.csv") == {"unit": "g", "rpm": 2, "label": "first"}
    assert look_up(text, "A.wav") == {"unit": "g", "rpm": 1, "label": "d"}


def test_each_kind_of_value() -> None:
    text = (
        "file,sample_rate_hz,full_scale,axes,unit,label,group,load,ok,side,code\n"
        "*,3200.5,16,x y  z,m/s2,007,12,0.5,TRUE,left,1-2\n"
    )
    assert look_up(text) == {
        "sample_rate_hz": 3200.5, "full_scale": 16.0, "axes": ("x", "y", "z"), "unit": "m/s2", "label": "007",
        "group": "12", "load": 0.5, "ok": True, "side": "left", "code": "1-2",
    }  # fmt: skip


def test_digits_without_end_are_text() -> None:
    assert look_up("file,serial\n*," + "1" * 5000)["serial"] == "1" * 5000


@pytest.mark.parametrize("axes", ["x;y", "x; y", "x y", " x  y ", "x;y;"])
def test_names_of_axes_are_separated_by_spaces_or_semicolons(axes: str) -> None:
    assert look_up(f'file,axes\n*,"{axes}"\n')["axes"] == look_up(f'file;axes\n*;"{axes}"\n')["axes"] == ("x", "y")


def test_a_name_with_brackets_is_itself_and_a_glob_still_a_glob() -> None:
    text = "file,label\na [1].csv,odd\nb[12].csv,glob\n"
    assert look_up(text, "a [1].csv") == {"label": "odd"}
    assert look_up(text, "b2.csv") == {"label": "glob"}
    assert look_up(text, "b3.csv") == {}


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1).map("a".__add__)


@given(
    rows=st.lists(st.tuples(PLAIN, PLAIN | st.just(""), st.integers() | st.just("")), max_size=5),
    separator=st.sampled_from(",;"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_what_a_spreadsheet_writes_is_read(
    rows: list[tuple[str, str, int | str]], separator: str, line_end: str, mark: str
) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator=line_end).writerows([("file", "label", "rpm"), *rows])
    entries = parse_csv_catalogue(mark + file.getvalue(), "test.csv").entries
    assert [(entry.globs[:1], dict(entry.values)) for entry in entries] == [
        ((name,), {key: value for key, value in (("label", label), ("rpm", rpm)) if value != ""})
        for name, label, rpm in rows
    ]


@given(st.text())
def test_any_text_is_a_catalogue_or_an_error(text: str) -> None:
    try:
        parse_csv_catalogue("file,label\n" + text, "test.csv")
    except RecordingError as exc:
        assert str(exc).startswith("test.csv")


def test_empty_lines_and_columns_of_spreadsheets_are_passed_over() -> None:
    assert look_up("file,label,,\n*,ok,,\n,,,\n\n*,fine\n") == {"label": "fine"}


@pytest.mark.parametrize(
    ("text", "problem", "line", "facts"),
    [
        ("", "no_file_column", None, {"got": ""}),
        ("name,label\na,b\n", "no_file_column", None, {"got": "name,label"}),
        ("file\tlabel\na\tb\n", "no_file_column", None, {"got": "file\tlabel"}),
        ("File,label\na,b\n", "no_file_column", None, {"got": "File,label"}),
        ("file,label,label\na,b,c\n", "column_twice", None, {"columns": ("file", "label", "label")}),
        ("file,pattern\n*,(?P<a>.)\n", "condition_column", None, {"key": "pattern"}),
        ("file,label\n,b\n", "no_condition", 2, {}),
        ("file,label\na,b\na,b,c\n", "unnamed_column", 3, {}),
        ("file,label,\na,b,c\n", "unnamed_column", 2, {}),
        ('file,label\na,"b\n', "not_csv", 2, {}),
        ('file,label\na,"b"c\n', "not_csv", 2, {}),
        ("file,sample_rate_hz\n*,0\n", "wrong_value", 2, {"key": "sample_rate_hz", "got": "0"}),
        ("file,sample_rate_hz\n*,10\n*,fast\n", "wrong_value", 3, {"key": "sample_rate_hz", "got": "'fast'"}),
        ('file,sample_rate_hz\n*,"3200,5"\n', "decimal_comma", 2, {"key": "sample_rate_hz", "got": "3200,5"}),
        ("file;size\n*;0,007\n", "decimal_comma", 2, {"key": "size", "got": "0,007"}),
        ("file,axes\n*,x x\n", "wrong_value", 2, {"key": "axes", "got": "('x', 'x')"}),
        ("file,axes\n*,;\n", "wrong_value", 2, {"key": "axes", "got": "()"}),
    ],
)
def test_refuses(text: str, problem: str, line: int | None, facts: dict[str, object]) -> None:
    place = "test.csv" if line is None else f"test.csv, line {line}"
    with refused(RecordingError, problem, place=place, **facts) as caught:
        parse_csv_catalogue(text, "test.csv")
    assert str(caught.value).startswith(place)


# Beside the recordings.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(SAMPLES)
    return tmp_path


def test_the_table_beside_the_recordings_is_used_and_is_no_recording(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (folder / "catalogue.csv").write_text("file;sample_rate_hz;unit;label\n*;10;g;\na.csv;;;ok\nb.*;;;worn\n")
    assert [(each.name, each.label, each.unit) for each in load_recordings(folder)] == [
        ("a", "ok", "g"), ("b", "worn", "g"),
    ]  # fmt: skip
    assert caplog.messages == [f"Recordings in {folder}: catalogues used: {folder / 'catalogue.csv'}."]
    assert load_recording(folder / "b.csv").label == "worn"


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_of_another_name_is_used_on_request(folder: Path, separator: str) -> None:
    (folder / "mine.csv").write_text(COMPLETE.replace(",", separator))
    assert [each.label for each in load_recordings(folder, folder / "mine.csv")] == ["ok", "ok"]
    assert [each.label for each in load_recordings(folder, folder / ".." / folder.name / "mine.csv")] == ["ok", "ok"]


def test_two_catalogues_are_refused_unless_one_is_chosen(folder: Path) -> None:
    (folder / "catalogue.csv").write_text(COMPLETE)
    (folder / "catalogue.toml").write_text("[defaults]\nsample_rate_hz = 10\nunit = 'g'\nlabel = 'toml'\n")
    with refused(RecordingError, "two_catalogues", path=folder):
        load_recordings(folder)
    with refused(RecordingError, "two_catalogues", path=folder):
        load_recording(folder / "a.csv")
    assert load_recordings(folder, folder / "catalogue.csv")[0].label == "ok"
    assert load_recordings(folder, folder / "catalogue.toml")[0].label == "toml"


def test_a_table_that_is_none_is_never_taken_for_a_recording(folder: Path) -> None:
    (folder / "catalogue.csv").write_text("time_s,x_g\n0,1\n0.1,2\n")
    with refused(RecordingError, "no_file_column", place=folder / "catalogue.csv", got="time_s,x_g"):
        load_recordings(folder)
    (folder / "catalogue.csv").write_bytes("file,label\n*,schräg\n".encode("latin-1"))
    with refused(RecordingError, "not_utf8", path=folder / "catalogue.csv", what="a catalogue"):
        load_recordings(folder)


def test_what_is_missing_is_asked_for_as_columns(folder: Path) -> None:
    (folder / "catalogue.csv").write_text("file,label\n*,ok\n")
    missing = ("sample_rate_hz", "unit")
    with refused(RecordingError, "incomplete", missing=missing, advised=folder / "catalogue.csv") as caught:
        load_recordings(folder)
    assert "columns sample_rate_hz, unit" in str(caught.value) and "\n" not in str(caught.value)


def test_file_and_table_must_agree(folder: Path) -> None:
    (folder / "c.csv").write_text("time_s,x_g\n0,1\n0.1,2\n")
    (folder / "catalogue.csv").write_text("file,sample_rate_hz,unit\n*,20,g\n")
    with refused(RecordingError, "contradiction", key="sample_rate_hz", file=10.0, catalogue=20.0):
        load_recording(folder / "c.csv")
