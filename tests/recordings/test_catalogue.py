"""Catalogues: precedence, conditions, patterns, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import built_in_catalogues, parse_catalogue, read_catalogue, values_for
from drsn_edge.recordings.metadata import Metadata


def look_up(text: str, file_name: str = "a.csv", **stated: str | int | float | bool) -> Metadata:
    """Return the values that a catalogue with this text states."""
    return values_for(parse_catalogue(text, "test.toml"), file_name, stated)


def test_later_entries_win_over_earlier_ones_and_defaults() -> None:
    text = """
        [defaults]
        unit = "g"
        rpm = 1
        label = "d"
        [[recordings]]
        file = "*.csv"
        rpm = 2
        label = "first"
        [[recordings]]
        file = "a*"
        label = "second"
    """
    assert look_up(text) == {"unit": "g", "rpm": 2, "label": "second"}
    assert look_up(text, "b.csv") == {"unit": "g", "rpm": 2, "label": "first"}
    assert look_up(text, "A.wav") == {"unit": "g", "rpm": 1, "label": "d"}


def test_all_conditions_of_an_entry_must_hold() -> None:
    text = '[[recordings]]\nfile = ["a*", "b*"]\nwhere = {load_hp = [0, 1], ok = true}\nlabel = "x"\n'
    assert look_up(text, "b.csv", load_hp=1, ok=True) == {"label": "x"}
    assert look_up(text, "c.csv", load_hp=1, ok=True) == {}
    assert look_up(text, "a.csv", load_hp=2, ok=True) == {}
    assert look_up(text, "a.csv", load_hp=1) == {}


def test_where_sees_what_earlier_entries_read_from_the_name() -> None:
    text = """
        [[recordings]]
        file = "*"
        pattern = "_load(?P<load_hp>[0-9]+)"
        [[recordings]]
        where = {load_hp = 3}
        label = "heavy"
    """
    assert look_up(text, "pump_load3.wav") == {"load_hp": 3, "label": "heavy"}
    assert look_up(text, "pump_load2.wav") == {"load_hp": 2}


def test_pattern_reads_numbers_but_leaves_names_as_text() -> None:
    pattern = "(?P<label>[0-9]+)_(?P<rpm>[0-9]+)rpm_(?P<temp_c>-?[0-9]+([.][0-9]+)?)(_(?P<side>[a-z]+))?"
    text = f"[[recordings]]\nfile = '*'\npattern = '{pattern}'\n"
    assert look_up(text, "007_0600rpm_-1.5.csv") == {"label": "007", "rpm": 600, "temp_c": -1.5}
    assert look_up(text, "7_1rpm_2_left.csv") == {"label": "7", "rpm": 1, "temp_c": 2, "side": "left"}


def test_pattern_must_match_the_files_its_entry_is_for() -> None:
    text = "[[recordings]]\nfile = '*.csv'\npattern = '(?P<rpm>[0-9]+)rpm'\n"
    assert look_up(text, "a.wav") == {}
    place, pattern = "test.toml, [[recordings]] number 1", "(?P<rpm>[0-9]+)rpm"
    with refused(RecordingError, "pattern_no_match", place=place, pattern=pattern, name="a.csv"):
        look_up(text, "a.csv")


@given(st.text().filter(lambda text: "/" not in text))
def test_any_text_of_a_name_becomes_a_plain_value(text: str) -> None:
    values = look_up("[[recordings]]\nfile = '*'\npattern = '(?s)^(?P<found>.*)$'\n", text)
    assert str(values["found"]) == text or float(values["found"]) == float(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "line"),
    [("[defaults]\nunit = g\n", 2), ("x = " + "[" * 5000, None), ("x = " + "1" * 5000, None)],
)
def test_refuses_other_text_than_toml(text: str, line: int | None) -> None:
    with refused(RecordingError, "not_toml", path="test.toml", line=line):
        parse_catalogue(text, "test.toml")


@pytest.mark.parametrize(
    ("text", "problem", "facts"),
    [
        ("sample_rate_hz = 100\n", "unknown_section", {"section": "sample_rate_hz"}),
        ("[default]\nunit = 'g'\n", "unknown_section", {"section": "default"}),
        ("[recordings]\nfile = '*'\n", "wrong_section", {"section": "recordings"}),
        ("[[defaults]]\nunit = 'g'\n", "wrong_section", {"section": "defaults"}),
    ],
)
def test_refuses_sections(text: str, problem: str, facts: dict[str, object]) -> None:
    with refused(RecordingError, problem, place="test.toml", **facts):
        parse_catalogue(text, "test.toml")


@pytest.mark.parametrize(
    ("lines", "problem", "facts"),
    [
        ("unit = 'g'", "no_condition", {}),
        ("file = 5", "wrong_condition", {"key": "file", "got": "5"}),
        ("file = ['a', 5]", "wrong_condition", {"key": "file", "got": "['a', 5]"}),
        ("where = 'x'", "wrong_condition", {"key": "where", "got": "'x'"}),
        ("where = {a = []}", "wrong_condition", {"key": "where.a", "got": "[]"}),
        ("where = {a = {b = 1}}", "wrong_condition", {"key": "where.a", "got": "{'b': 1}"}),
        ("file = '*'\npattern = '(?P<a'", "not_a_pattern", {"pattern": "'(?P<a'"}),
        ("file = '*'\npattern = 5", "not_a_pattern", {"pattern": "5"}),
        ("file = '*'\npattern = '[0-9]+'", "no_named_group", {"pattern": "'[0-9]+'"}),
        ("file = '*'\npattern = '(?P<axes>.)'", "group_not_allowed", {"key": "axes"}),
        ("file = '*'\npattern = '(?P<rpm>.)'\nrpm = 5", "group_not_allowed", {"key": "rpm"}),
    ],
)
def test_refuses_entries(lines: str, problem: str, facts: dict[str, object]) -> None:
    with refused(RecordingError, problem, place="test.toml, [[recordings]] number 1", **facts) as caught:
        parse_catalogue(f"[[recordings]]\n{lines}\n", "test.toml")
    assert str(caught.value).startswith("test.toml, [[recordings]] number 1")


def test_refuses_an_entry_that_is_no_table() -> None:
    with refused(RecordingError, "no_condition", place="test.toml, [[recordings]] number 1"):
        parse_catalogue("recordings = [1]\n", "test.toml")


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("sample_rate_hz = 0", "0"),
        ("sample_rate_hz = true", "True"),
        ("sample_rate_hz = 1" + "0" * 400, None),
        ("axes = 'X'", "'X'"),
        ("axes = ['']", "['']"),
        ("axes = []", "[]"),
        ("axes = [1, 2]", "[1, 2]"),
        ("unit = ''", "''"),
        ("label = 1.5", "1.5"),
        ("made = 2020-01-01", "datetime.date(2020, 1, 1)"),
        ("nested = {a = 1}", "{'a': 1}"),
    ],
)
def test_refuses_values(line: str, got: str | None) -> None:
    facts = {} if got is None else {"got": got}
    with refused(RecordingError, "wrong_value", place="test.toml, [defaults]", key=line.split()[0], **facts):
        parse_catalogue(f"[defaults]\n{line}\n", "test.toml")


def test_refuses_a_condition_among_the_defaults() -> None:
    with refused(RecordingError, "misplaced_condition", place="test.toml, [defaults]", key="file"):
        parse_catalogue("[defaults]\nfile = '*'\n", "test.toml")


def test_refuses_a_value_of_the_name_that_the_key_does_not_take() -> None:
    with refused(RecordingError, "wrong_value", key="sample_rate_hz", got="'fast'"):
        look_up("[[recordings]]\nfile = '*'\npattern = '(?P<sample_rate_hz>[a-z]+)'\n", "fast.csv")


def test_refuses_a_missing_or_unreadable_file(tmp_path: Path) -> None:
    with refused(RecordingError, "missing", path=tmp_path / "none.toml", what="a catalogue"):
        read_catalogue(tmp_path / "none.toml")
    with refused(RecordingError, "unreadable", path=tmp_path, what="a catalogue", reason="Is a directory"):
        read_catalogue(tmp_path)
    (tmp_path / "latin.toml").write_bytes("[defaults]\nlabel = 'schräg'\n".encode("latin-1"))
    with refused(RecordingError, "not_utf8", path=tmp_path / "latin.toml", what="a catalogue"):
        read_catalogue(tmp_path / "latin.toml")


def test_built_in_catalogues_name_the_key_that_recognises_them() -> None:
    keys = {catalogue.source: catalogue.recognise for catalogue in built_in_catalogues()}
    assert keys == {
        "built-in adi_mfs.toml": "bias_volts",
        "built-in cwru.toml": "cwru_file",
        "built-in msa301_fan.toml": "file_index",
    }
