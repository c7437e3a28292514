"""The file of settings: what it gives, and the line where it is wrong."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.bundle.votes import Votes
from drsn_edge.errors import SettingsError
from drsn_edge.monitor.stages import settings as module
from drsn_edge.monitor.stages.alarms import AlarmLimits, AlarmSettings
from drsn_edge.monitor.stages.settings import (
    CaptureSettings,
    DecisionSettings,
    MonitorSettings,
    read_settings,
    settings_for,
    settings_toml,
)

LABELS = ("healthy", "outer_race")
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def read(tmp_path: Path, text: str) -> MonitorSettings:
    (tmp_path / "monitor.toml").write_text(text)
    return read_settings(tmp_path / "monitor.toml", LABELS)


def test_the_example_in_the_docstring_gives_the_defaults_but_for_what_it_shows(tmp_path: Path) -> None:
    example = (module.__doc__ or "").partition("\n\n")[2].partition("\n\nOnly `normal`")[0]
    settings = read(tmp_path, "\n".join(line.strip() for line in example.splitlines()))
    outer = AlarmLimits(on=0.5, latch=True)
    alarms = AlarmSettings(("healthy",), inhibit_level_change=0.3, classes={"outer_race": outer})
    assert settings == MonitorSettings(Votes(), alarms, CaptureSettings("captures"), 0.02)


def test_the_page_shows_every_key_and_what_it_shows_is_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S)
    outer = AlarmLimits(on=0.5, latch=True)
    alarms = AlarmSettings(("healthy",), inhibit_level_change=0.3, classes={"outer_race": outer})
    assert read(tmp_path, block) == MonitorSettings(Votes(), alarms, CaptureSettings("captures"), 0.02)
    tables = (DecisionSettings, AlarmSettings, AlarmLimits, CaptureSettings)
    keys = {each.name for kind in tables for each in fields(kind)}
    shown = set(re.findall(r"^(\w+) = ", block, re.M))
    assert shown == keys - {"limits", "classes"}


def test_an_empty_file_is_as_none(tmp_path: Path) -> None:
    assert read(tmp_path, "") == MonitorSettings()


@pytest.mark.parametrize(
    ("text", "line", "problem", "key"),
    [
        ("[decision]\nvotes = '1/5'", 2, "invalid_votes", "votes"),
        ("[decision]\nvotes = 4", 2, "wrong_type", "votes"),
        ("[decision]\nat_most_wrong = 0", 2, "wrong_type", "at_most_wrong"),
        ("[decision]\nat_most_wrong = 100", 2, "wrong_type", "at_most_wrong"),
        ("[decision]\nat_most_wrong = nan", 2, "wrong_type", "at_most_wrong"),
        ("[decision]\nvotes = '4/5'\nat_most_wrong = '2%'", 3, "wrong_type", "at_most_wrong"),
        ("[decision]\n\nvote = '4/5'", 3, "unknown_key", "vote"),
        ("\n[desision]\nvotes = '4/5'", 2, "unknown_key", "desision"),
        ("votes = '4/5'", 1, "unknown_key", "votes"),
        ("[alarms]\non = 0.5", 1, "missing_key", "normal"),
        ("[alarms]\nnormal = ['helthy']", 2, "unknown_class", "normal"),
        ("[alarms]\nnormal = 'healthy'", 2, "wrong_type", "normal"),
        ("[alarms]\nnormal = ['healthy', 'outer_race', 'UNKNOWN']", 2, "nothing_is_an_alarm", "normal"),
        ("[alarms]\nnormal = ['healthy']\noff = 0.9", 3, "invalid_limits", "off"),
        ("[alarms]\nnormal = ['healthy']\non = 1.5", 3, "invalid_limits", "on"),
        ("[alarms]\nnormal = ['healthy']\non = nan", 3, "invalid_limits", "on"),
        ("[alarms]\nnormal = ['healthy']\non_delay_s = -1.0", 3, "negative", "on_delay_s"),
        ("[alarms]\nnormal = ['healthy']\ninhibit_s = inf", 3, "negative", "inhibit_s"),
        ("[alarms]\nnormal = ['healthy']\nwindows = 0", 3, "too_small", "windows"),
        ("[alarms]\nnormal = ['healthy']\nwindows = 2.5", 3, "wrong_type", "windows"),
        ("[alarms]\nnormal = ['healthy']\nevidence = 'sum'", 3, "invalid_choice", "evidence"),
        ("[alarms]\nnormal = ['healthy']\nlatch = 1", 3, "wrong_type", "latch"),
        ("[alarms]\nnormal = ['healthy']\nlimits = 1", 3, "unknown_key", "limits"),
        ("[alarms]\nnormal = ['healthy']\n# on\nom = 1", 4, "unknown_key", "om"),
        ("[alarms]\nnormal = ['healthy']\n[alarms.class.outer]\non = 0.5", 3, "unknown_class", "outer"),
        ("[alarms]\nnormal = ['healthy']\nclass = 3", 3, "not_a_table", "class"),
        ("[alarms]\nnormal = ['healthy']\n[alarms.class.outer_race]\nof = 0.5", 4, "unknown_key", "of"),
        ("[alarms]\nnormal = ['healthy']\n[alarms.class.outer_race]\non = 0.1", 4, "invalid_limits", "on"),
        ("[alarms]\nnormal = ['healthy']\nclass.outer_race = {on = 0.1}", 3, "invalid_limits", "on"),
        ("[capture]\nbefore_s = 3.0", 1, "missing_key", "folder"),
        ("[capture]\nfolder = 'x'\nkeep = 0", 3, "too_small", "keep"),
        ("[capture]\nfolder = 'x'\nafter_s = -3", 3, "negative", "after_s"),
        ("capture = 3", 1, "not_a_table", "capture"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, line: int, problem: str, key: str) -> None:
    place = f"{tmp_path / 'monitor.toml'}, line {line}"
    with refused(SettingsError, problem, place=place, key=key) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize("text", ["[alarms", "a = [1,\n2", "a = 1\na = 2"])
def test_what_is_no_toml_is_said_with_its_place(tmp_path: Path, text: str) -> None:
    with refused(SettingsError, "not_toml", path=tmp_path / "monitor.toml"):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused(SettingsError, "missing", path=tmp_path / "none.toml"):
        read_settings(tmp_path / "none.toml", LABELS)


LIMITS = st.builds(
    lambda off, gap, *rest: AlarmLimits(min(1.0, off + gap), off, *rest),
    st.floats(0.01, 0.9), st.floats(0, 0.5), st.floats(0, 1e4), st.floats(0, 1e4), st.booleans(),
)  # fmt: skip
SETTINGS = st.builds(
    MonitorSettings,
    st.integers(1, 9).flatmap(lambda n: st.builds(Votes, st.integers(n // 2 + 1, n), st.just(n))),
    st.none()
    | st.builds(
        AlarmSettings,
        st.sampled_from([("healthy",), ("healthy", "UNKNOWN"), ()]),
        st.sampled_from(["mean", "votes"]),
        st.integers(1, 1000),
        st.floats(0, 1e6),
        st.none() | st.floats(0, 10),
        st.floats(0, 1e6),
        LIMITS,
        st.dictionaries(st.sampled_from(["healthy", "outer_race", "UNKNOWN"]), LIMITS),
    ),
    st.none()
    | st.builds(
        CaptureSettings,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.floats(0, 1e3),
        st.floats(0, 1e3),
        st.integers(1, 10**6),
    ),
    st.none() | st.integers(1, 999_999).map(lambda n: max(n / 10_000, 0.01) / 100),
)


@given(settings=SETTINGS)
def test_what_is_written_is_read_back_exactly(
    settings: MonitorSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert read(tmp_path_factory.mktemp("settings"), settings_toml(settings)) == settings


def test_the_promise_of_the_bundle_is_asked_for(manifest: Manifest, tmp_path: Path) -> None:
    point = RiskPoint(0.8, 0.0234567, 0.7, 0.9)
    able = replace(manifest, promise=Promise(1.2, "another rpm of these machines", 3, 900, (point,)))
    assert settings_for(None, None, able, 0.03).at_most_wrong == 0.03
    with refused(SettingsError, "no_promise", asked=0.03):
        settings_for(None, None, manifest, 0.03)
    with refused(SettingsError, "cannot_be_promised", asked=0.02, least=0.0234567) as caught:
        settings_for(None, None, able, 0.02)
    assert "2.35 %, on another rpm of these machines" in str(caught.value)  # rounded up, so that it can be typed
    file = tmp_path / "monitor.toml"
    file.write_text("[decision]\nat_most_wrong = 2")
    with refused(SettingsError, "cannot_be_promised"):
        settings_for(file, None, able)
    assert settings_for(file, None, able, 0.03).at_most_wrong == 0.03
