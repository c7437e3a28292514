"""Catalogues: precedence, conditions, patterns, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import built_in_catalogues, parse_catalogue, read_catalogue, values_for
from drsn_edge.recordings.metadata import Metadata


def look_up(text: str, file_name: str = "a.csv", **stated: str | int | float | bool) -> Metadata:
    """Return what a catalogue of this text says."""
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
    with pytest.raises(RecordingError, match=r"number 1: Expected pattern .* to match 'a\.csv'"):
        look_up(text, "a.csv")


@given(st.text())
def test_any_text_of_a_name_becomes_a_plain_value(text: str) -> None:
    values = look_up("[[recordings]]\nfile = '*'\npattern = '(?s)^(?P<found>.*)$'\n", text)
    assert str(values["found"]) == text or float(values["found"]) == float(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[defaults]\nunit = g\n", r"not valid TOML: .*line 2"),
        ("x = " + "[" * 5000, "not valid TOML"),
        ("x = " + "1" * 5000, ""),
        ("sample_rate_hz = 100\n", r"\[defaults\] and \[\[recordings\]\], got 'sample_rate_hz'"),
        ("[default]\nunit = 'g'\n", "got 'default'"),
        ("[recordings]\nfile = '*'\n", "got 'recordings' as another kind of section"),
        ("[[defaults]]\nunit = 'g'\n", "got 'defaults' as another kind of section"),
        ("recordings = [1]\n", "number 1: Expected file = "),
        ("[[recordings]]\nunit = 'g'\n", r'number 1: Expected file = "glob" .* Use \[defaults\]'),
        ("[defaults]\nfile = '*'\n", r"\[defaults\]: Expected values only, got 'file'"),
        ("[[recordings]]\nfile = 5\n", "a list of globs, got 5"),
        ("[[recordings]]\nfile = ['a', 5]\n", "a list of globs"),
        ("[[recordings]]\nwhere = 'x'\n", "Expected where = {key = value}, got 'x'"),
        ("[[recordings]]\nwhere = {a = []}\n", "where = {a = value} or a list of values"),
        ("[[recordings]]\nwhere = {a = {b = 1}}\n", "where = {a = value} or a list of values"),
        ("[[recordings]]\nfile = '*'\npattern = '(?P<a'\n", "number 1: Expected pattern to be a regular expression"),
        ("[[recordings]]\nfile = '*'\npattern = 5\n", "Expected pattern to be a regular expression, got 5"),
        ("[[recordings]]\nfile = '*'\npattern = '[0-9]+'\n", "named groups .* got none"),
        ("[[recordings]]\nfile = '*'\npattern = '(?P<axes>.)'\n", "named groups .* got axes"),
        ("[[recordings]]\nfile = '*'\npattern = '(?P<rpm>.)'\nrpm = 5\n", "named groups .* got rpm"),
        ("[defaults]\nsample_rate_hz = 0\n", "number > 0, got 0"),
        ("[defaults]\nsample_rate_hz = true\n", "number > 0, got True"),
        ("[defaults]\nsample_rate_hz = 1" + "0" * 400, "number > 0"),
        ("[defaults]\naxes = 'X'\n", "list of different names"),
        ("[defaults]\naxes = ['']\n", "list of different names"),
        ("[defaults]\naxes = []\n", "list of different names"),
        ("[defaults]\naxes = [1, 2]\n", "list of different names"),
        ("[defaults]\nunit = ''\n", "unit to be a name"),
        ("[defaults]\nlabel = 1.5\n", "label to be a name"),
        ("[defaults]\nmade = 2020-01-01\n", "made to be text, a number, true or false"),
        ("[defaults]\nnested = {a = 1}\n", "nested to be text, a number, true or false"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(RecordingError, match=f"^test.toml.*{message}"):
        parse_catalogue(text, "test.toml")


def test_refuses_a_value_of_the_name_that_the_key_does_not_take() -> None:
    with pytest.raises(RecordingError, match="sample_rate_hz to be a number > 0, got 'fast'"):
        look_up("[[recordings]]\nfile = '*'\npattern = '(?P<sample_rate_hz>[a-z]+)'\n", "fast.csv")


def test_refuses_a_missing_or_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"a catalogue from .*none.toml: No such file"):
        read_catalogue(tmp_path / "none.toml")
    with pytest.raises(RecordingError, match=r"a catalogue from .*Is a directory"):
        read_catalogue(tmp_path)
    (tmp_path / "latin.toml").write_bytes("[defaults]\nlabel = 'schräg'\n".encode("latin-1"))
    with pytest.raises(RecordingError, match=r"a catalogue from .*latin\.toml.*Save the file as UTF-8"):
        read_catalogue(tmp_path / "latin.toml")


def test_built_in_catalogues_name_the_key_that_recognises_them() -> None:
    keys = {catalogue.source: catalogue.recognise for catalogue in built_in_catalogues()}
    assert keys == {
        "built-in adi_mfs.toml": "bias_volts",
        "built-in cwru.toml": "cwru_file",
        "built-in msa301_fan.toml": "file_index",
    }
