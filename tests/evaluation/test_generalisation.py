from __future__ import annotations

from typing import Any

import pytest

from drsn_edge.evaluation.generalisation import Generalisation, from_json, from_metrics


def metrics(held_out: float, validation: float | None, rule: str = "machine=3") -> dict[str, object]:
    return {
        "split": rule,
        "kept_epoch": 2,
        "epochs": [{"epoch": 1, "validation_accuracy": 0.1}, {"epoch": 2, "validation_accuracy": validation}],
        "held_out": {"clean": {"accuracy": held_out}},
    }


def test_a_network_that_learned_the_machines_is_said_in_words() -> None:
    found = from_metrics(metrics(0.68, 0.96))
    assert found == Generalisation("machine=3", 0.68, 0.96)
    for words in (
        "68.0%",
        "96.0%",
        "28 percentage points",
        "learned the machines",
        "not the faults",
        "Record more machines",
    ):
        assert words in found.warning


@pytest.mark.parametrize(("held_out", "validation"), [(0.9, 0.96), (0.86, 0.96), (0.99, 0.5), (0.1, None)])
def test_up_to_ten_points_or_without_validation_nothing_is_said(held_out: float, validation: float | None) -> None:
    found = from_metrics(metrics(held_out, validation))
    assert found is not None and found.warning == ""


@pytest.mark.parametrize(("fewest", "is_said"), [(8, False), (29, False), (30, True), (None, True)])
def test_few_windows_say_nothing_of_the_network(fewest: int | None, is_said: bool) -> None:
    found = Generalisation("time=0.3", 0.5, 0.9, fewest)
    assert bool(found.warning) is is_said and from_json(found.to_json()) == found


def test_the_class_with_the_fewest_held_out_windows_counts() -> None:
    values: Any = metrics(0.5, 0.9)
    values["held_out"]["clean"]["confusion"] = [[30, 20, 0], [3, 5, 0], [0, 0, 0]]
    found = from_metrics(values)
    assert found is not None and found.fewest_windows == 8


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("time=0.3", "end of the same recordings"), ("windows=0.2", "too few"), ("fold=1/5", "learned the machines"),
        ("group=pump3", "learned the machines"), ("load_hp=3", "values of load_hp"),
        ("fault_size_in=0.007,time=0.5", "values of fault_size_in"),
    ],
)  # fmt: skip
def test_the_words_are_of_what_was_held_out(rule: str, words: str) -> None:
    assert words in Generalisation(rule, 0.5, 0.9).warning


def test_it_survives_json_and_anything_else_is_none() -> None:
    found = Generalisation("machine=3", 0.68, 0.96)
    assert from_json(found.to_json()) == found
    values: Any
    for values in (None, 5, [], {}, {"rule": 1, "held_out": 0.5}, {"rule": "", "held_out": 2.0}, {"held_out": True}):
        assert from_json(values) is None
    assert from_metrics({}) is None and from_metrics({"epochs": None}) is None


def test_a_rule_from_elsewhere_is_one_line_of_plain_text() -> None:
    found = from_json({"rule": "\x1b[2Ja\nb=" + "x" * 9999, "held_out": 0.5, "validation": 0.9})
    assert found is not None and found.rule.isprintable() and len(found.rule) <= 200
