from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drsn_edge.looking.catalogue_text import catalogue_text
from drsn_edge.looking.measures import measure
from drsn_edge.looking.proposal import Proposal, propose
from drsn_edge.looking.sight import Sight
from drsn_edge.recordings.loading.catalogue import parse_catalogue, values_for
from drsn_edge.recordings.metadata import checked


def sight(path: str, channels: int = 3, mean: float = 0.0, **more: Any) -> Sight:
    samples = np.random.default_rng(0).normal(size=(2048, channels)) * 0.1
    samples[:, -1] += mean
    values = {"stated": {}, "catalogued": {}, **more}
    return Sight(path, path, measures=measure([samples], channels, None), channels=channels, axes=(), **values)


def guessed(found: Proposal, key: str) -> dict[str, Any]:
    return {path: values[key].value for path, values in found.guesses.items() if key in values}


def test_class_folders_give_labels_and_sessions_groups() -> None:
    paths = [
        f"session{session}/{label}/{number}.csv" for session in (1, 2) for label in ("ok", "worn") for number in (1, 2)
    ]
    found = propose([sight(path) for path in paths])
    assert guessed(found, "label") == {path: path.split("/")[1] for path in paths}
    assert guessed(found, "group") == {path: path.split("/")[0] for path in paths}


def test_folders_of_unknown_words_are_labels_and_those_of_machines_are_not() -> None:
    assert set(guessed(propose([sight(f"{kind}/{n}.csv") for kind in "AB" for n in "12"]), "label").values()) == {
        "A",
        "B",
    }
    found = propose([sight(f"pump{pump}/{n}.csv") for pump in "12" for n in "12"])
    assert guessed(found, "label") == {} and set(guessed(found, "group").values()) == {"pump1", "pump2"}
    assert list(found.missing) == ["sample_rate_hz", "unit", "label"]


def test_files_with_other_words_keep_their_first_word() -> None:
    paths = ["normal_0.csv", "normal_1.csv", "low_0.csv", "low_1.csv"]
    assert list(guessed(propose([sight(path) for path in paths]), "label").values()) == [
        "normal",
        "normal",
        "low",
        "low",
    ]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("no_fault_1 no_fault_2 bearing_fault_1", "no_fault no_fault bearing_fault"),
        ("oil_1 oil_2 no_oil_1 no_oil_2", "oil oil no_oil no_oil"),
        ("ohne_unwucht_1 ohne_unwucht_2 unwucht_1 unwucht_2", "ohne_unwucht ohne_unwucht unwucht unwucht"),
        ("bearing_new_1 bearing_worn_1", "new bearing_worn"),
        ("bearing_1 bearing_worn_1", "None bearing_worn"),
        ("run_low_1 run_low_2 run_high_1 run_high_2", "low low high high"),
    ],
)
def test_labels_keep_negations_and_are_words_that_differ(names: str, labels: str) -> None:
    found = guessed(propose([sight(f"{name}.csv") for name in names.split()]), "label")
    assert [str(found.get(f"{name}.csv")) for name in names.split()] == labels.split()


@pytest.mark.parametrize(("mean", "unit"), [(1.0, "g"), (9.8, "m/s2"), (1000.0, "mg"), (0.0, None), (3.0, None)])
def test_gravity_tells_the_unit(mean: float, unit: str | None) -> None:
    found = guessed(propose([sight("a.csv", mean=mean), sight("b.csv", mean=mean)]), "unit")
    assert set(found.values()) == ({unit} if unit else set())


def test_counts_and_shares_of_full_scale_get_units_that_never_convert() -> None:
    found = propose([sight("a.csv", is_whole=True), sight("b.wav", is_relative=True)])
    assert guessed(found, "unit") == {"a.csv": "counts", "b.wav": "full scale"}
    assert guessed(found, "full_scale") == {"b.wav": 1.0}


def test_what_is_stated_is_not_guessed() -> None:
    stated = {"sample_rate_hz": 100.0, "unit": "g", "axes": ("x", "y", "z"), "label": "a", "group": "b", "load_hp": 1}
    found = propose([sight("pump1_worn_load2_12k.csv", stated=stated, mean=9.8)])
    assert found.guesses == {"pump1_worn_load2_12k.csv": {}} and found.missing == {}


def test_a_life_is_proposed_for_known_runs_to_failure_only() -> None:
    known = [f"35Hz12kN/Bearing1_1/{n}.csv" for n in range(1, 13)]
    labels = guessed(propose([sight(path, channels=2) for path in known]), "label")
    assert [labels[path] for path in known] == ["early_life"] * 4 + ["mid_life"] * 4 + ["late_life"] * 4
    named = [sight(path, channels=2, stated={"axes": ("x", "y")}) for path in known]
    assert guessed(propose(named), "label") == {} == guessed(propose(named), "sample_rate_hz")
    own = [f"Bearing1/{n}.csv" for n in range(1, 13)]
    assert guessed(propose([sight(path, channels=2) for path in own]), "label") == {}


def test_the_text_gives_each_file_its_guesses_and_no_other_file() -> None:
    paths = [
        f"pump{pump}/{label}_{rpm}rpm.csv" for pump in (1, 2, 3) for label in ("ok", "worn") for rpm in (900, 1500)
    ]
    found = propose([sight(path, mean=9.8) for path in paths])
    text = catalogue_text(Proposal(found.guesses, {"sample_rate_hz": tuple(paths)}, ("pump1/notes.txt",)))
    assert text.splitlines()[2] == "confirmed = false"
    assert "# sample_rate_hz = 0   # FILL IN" in text
    catalogue = parse_catalogue(text.replace("# sample_rate_hz = 0", "sample_rate_hz = 100"), "proposed")
    assert not catalogue.is_confirmed
    for path in paths:
        values = values_for(catalogue, path, {})
        assert {key: values[key] for key in found.guesses[path]} == {
            key: checked(key, guess.value, "") for key, guess in found.guesses[path].items()
        }
    assert not {"label", "group", "rpm"} & values_for(catalogue, "pump1/notes.txt", {}).keys()


def test_names_of_strangers_cannot_break_the_text() -> None:
    paths = ['worn "]\n/a.csv', "ok [x]*?/a.csv", "ok\x1b[2J/b.csv", "w'\\u/c.csv"]
    found = propose([sight(path) for path in paths])
    text = catalogue_text(found)
    catalogue = parse_catalogue(text, "proposed")
    labels = guessed(found, "label")
    assert {path: values_for(catalogue, path, {}).get("label") for path in paths} == {
        path: labels.get(path) for path in paths
    }
    assert "\x1b" not in text


def test_a_catalogue_with_gaps_can_be_read_and_shows_how_files_get_labels() -> None:
    paths = ["run/a1.csv", "run/a2.csv", "run/a3.csv"]
    text = catalogue_text(propose([sight(path) for path in paths]))
    catalogue = parse_catalogue(text, "proposed")
    assert values_for(catalogue, "run/a1.csv", {}) == {"axes": ("x", "y", "z")}
    filled = "\n".join(
        line.removeprefix("# ").replace('label = ""', f'label = "{number}"') if number > 4 else line
        for number, line in enumerate(text.splitlines())
        if "FILL IN the condition" not in line
    )
    catalogue = parse_catalogue(filled.replace("sample_rate_hz = 0 ", "sample_rate_hz = 5 "), "proposed")
    labels = [values_for(catalogue, path, {}).get("label") for path in paths]
    assert labels[0] and labels[2] and labels[0] != labels[2] and labels[1] is None
