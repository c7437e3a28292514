"""Doubts: units against gravity, levels of classes, and what a hold-out set leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drsn_edge.datasets.coverage import coverage_doubts
from drsn_edge.datasets.doubts import doubts_about, likelier_unit, profile_of
from drsn_edge.datasets.split import make_split, parse_hold_out
from drsn_edge.recordings.recording import Recording


def recording(name: str, label: str, factor: float = 1.0, unit: str = "g", **fields: Any) -> Recording:
    rng = np.random.default_rng(list(name.encode()))
    samples = ((0.1 * rng.normal(size=(2000, 3)) + [0.1, 0.2, 0.97]) * factor).astype(np.float32)
    group = str(fields.pop("group", name))
    return Recording(name, samples, 800.0, ("x", "y", "z"), unit, label, group, fields)


@pytest.mark.parametrize(
    ("unit", "means", "likely"),
    [
        ("g", (0.1, 0.2, 0.97), None),
        ("g", (0.1, 1.0, 9.75), "m/s2"),
        ("g", (-9.8,), "m/s2"),
        ("g", (3.0, -10.0, 998.0), "mg"),
        ("mg", (0.0, 0.02, 1.01), "g"),
        ("mg", (20.0, -20.0, 1003.0), None),
        ("m/s2", (0.0, 0.05, -1.0), "g"),
        ("m/s^2", (0.0, 0.05, -1.0), "g"),
        ("m/s2", (1.0,), None),
        ("m/s2", (0.2, 0.3, 9.7), None),
        ("g", (0.0, 0.0, 0.0), None),
        ("g", (3.0, 3.0, 3.0), None),
        ("counts", (0.0, 0.0, 9.8), None),
    ],
)
def test_gravity_tells_the_unit(unit: str, means: tuple[float, ...], likely: str | None) -> None:
    assert likelier_unit(unit, np.array(means)) == likely


def test_a_wrong_unit_is_doubted_by_file() -> None:
    some = [recording("a", "calm"), recording("b", "calm", 9.81), recording("c", "worn"), recording("d", "worn")]
    (doubt,) = doubts_about([profile_of(each) for each in some])
    assert doubt.kind == "unit" and doubt.facts["recordings"] == ("b",) and 'unit = "m/s2"' in doubt.sentence


def test_levels_a_factor_of_100_apart_are_doubted() -> None:
    def of(factor: float) -> list[str]:
        some = [recording("a", "calm", unit="V"), recording("b", "worn", factor, unit="V")]
        return [doubt.kind for doubt in doubts_about([profile_of(each) for each in some])]

    assert of(150) == ["level"] and of(1 / 150) == ["level"] and not of(60)


def coverage(hold_out: str, recordings: list[Recording]) -> list[str]:
    rule = parse_hold_out(hold_out)
    split = make_split(recordings, rule, 256, 128, np.random.default_rng(0))
    return [doubt.sentence for doubt in coverage_doubts(recordings, rule, split)]


def test_a_class_of_one_session_is_named_with_what_to_record() -> None:
    some = [recording(f"calm{n}", "calm", session=n) for n in (1, 2, 3)] + [recording("ball", "ball", session=3)]
    some.append(recording("ball2", "ball", session=3))
    found = coverage("time=0.4", [*some])
    assert not found  # five groups, as each file is its own
    found = coverage("session=2", some)
    assert "Class ball was recorded with session 3 only" in found[0]
    assert "no window of class ball" in found[1] and "with session 2" in found[1] and len(found) == 2


def test_nothing_is_said_where_all_classes_are_on_both_sides() -> None:
    some = [recording(f"{label}{n}", label, session=n) for n in (1, 2) for label in ("calm", "worn")]
    assert not coverage("session=2", some)


def test_classes_of_one_group_each_share_a_sentence() -> None:
    (sentence,) = coverage("time=0.4", [recording(label, label) for label in ("a", "b", "c", "d", "e", "f")])
    assert sentence.startswith("Each class was recorded with one group only")
