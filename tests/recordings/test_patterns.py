from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import parse_catalogue, values_for
from drsn_edge.recordings.loading.patterns import MAX_NAME, MAX_PATTERN, NamePattern, PatternError, is_simple

EVIL = [
    "(?P<label>(a+)+)b",
    "(?P<label>(a|a)*)b",
    "(?P<label>(a|aa)+)b",
    "(?P<label>(a|a!?)*)c",
    "(?x)(?P<label>(a+) +b)",
    "(?P<label>" + r"\(?" * 2 + "a?" * 60 + "a" * 60 + ")b",
    "(?P<label>([a-z]*)*)@",
    r"(?P<label>(.*)(.*)(.*)(.*)(.*)\2\3\4\5x)",
    r"(?P<label>(\w+\s?)*)$x",
    "(?P<label>" + "(a|a)" * 60 + ")b",
    "(?P<label>" + "a?" * 60 + "a" * 60 + ")b",
    "(?P<label>a*" + "a*" * 20 + ")b",
    "(?P<label>(?:a{1,5}){1,60})b",
    "(?P<label>(?=(a+)+b)a)",
]


@pytest.mark.parametrize("text", EVIL)
def test_an_expression_that_never_ends_is_ended_and_said(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drsn_edge.recordings.loading.patterns.NAME_S", 0.15)
    catalogue = parse_catalogue(f"[[recordings]]\nfile = '*'\npattern = '{text}'\n", "catalogue.toml")
    with refused(RecordingError, "pattern_too_slow", place="catalogue.toml, [[recordings]] number 1"):
        values_for(catalogue, "a" * 60 + "!.csv", {})


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("pump_(?P<label>[a-z]+)_(?P<rpm>[0-9]+)", "pump_worn_1480.wav", "worn"),
        ("(?P<label>[a-z]+(_[a-z]+)*)_load", "outer_race_load3.csv", "outer_race"),
        ("^(?P<label>normal|inner|outer|ball)_", "inner_3.csv", "inner"),
        (r"(?P<label>.+)-(?P<group>.+)-(?P<speed>[0-9.]+)\.\w+$", "ü\udc80-m1-3.5.csv", "ü\udc80"),
    ],
)
def test_what_catalogues_hold_is_read_as_ever(text: str, name: str, label: str) -> None:
    catalogue = parse_catalogue(f"[[recordings]]\nfile = '*'\npattern = '{text}'\n", "catalogue.toml")
    assert values_for(catalogue, name, {})["label"] == label


def test_one_process_reads_all_names_of_an_expression_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    popen = subprocess.Popen

    def start(*arguments: object, **options: object) -> object:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    pattern = NamePattern("(?P<label>([a-z]+_)+)[0-9]+")
    assert [pattern.read(f"ab_cd_{n}") for n in range(50)] == [{"label": "ab_cd_"}] * 50
    assert pattern.read("nothing") is None
    del pattern
    assert len(started) == 1 and started[0].poll() is not None


def test_all_names_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drsn_edge.recordings.loading.patterns.NAME_S", 60.0)
    monkeypatch.setattr("drsn_edge.recordings.loading.patterns.TOTAL_S", 0.3)
    pattern = NamePattern("(?P<label>(a+)+)b")
    with refused(PatternError, "pattern_too_slow", total_limit_s=0.3):
        pattern.read("a" * 60)


def test_nothing_in_the_current_folder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("re", "json", "resource"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert NamePattern("(?P<label>([a-z])+)").read("ab") == {"label": "ab"}
    assert not (tmp_path / "ran").exists()


def test_a_process_that_dies_is_no_answer() -> None:
    pattern = NamePattern("(?P<label>([a-z])+)")
    pattern.read("ab")
    assert pattern._child is not None
    pattern._child.kill()
    pattern._child.wait()
    with pytest.raises(PatternError):
        pattern.read("ab")
    assert pattern.read("ab") == {"label": "ab"}  # by another one


@pytest.mark.parametrize("text", ["(" * 500, "a{99999999999999999999}", "(?P<a>x)" + "y" * MAX_PATTERN, "("])
def test_what_is_no_expression_is_one_error(text: str) -> None:
    with pytest.raises(PatternError):
        NamePattern(text)


def test_a_name_has_a_bound() -> None:
    with refused(PatternError, "name_too_long", got=MAX_NAME + 1, limit=MAX_NAME):
        NamePattern("(?P<label>a)").read("a" * (MAX_NAME + 1))


def test_simple_ones_take_no_time_over_the_longest_name() -> None:
    for text in ("(?P<l>a*)a*b", "(?P<l>.+).+!", "(?P<l>a|a)a*b", "(?P<l>a?)a{0,255}b"):
        assert is_simple(text)
        NamePattern(text).read("a" * 255)
    assert not any(map(is_simple, EVIL))
    assert not is_simple(r"(?P<l>a)" + r"\(?" * 60)
