from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

from drsn_edge.datasets.labels import (
    ClassCount,
    check_labelled,
    check_labels_differ,
    check_labels_usable,
    likely_slips,
    one_letter_apart,
    plain,
)
from drsn_edge.errors import SplitError
from drsn_edge.recordings.loading.catalogue import parse_catalogue, values_for
from drsn_edge.recordings.recording import Recording


def recording(label: str | None, name: str = "a") -> Recording:
    return Recording(name, np.zeros((10, 1), np.float32), 100.0, ("x",), "g", label, name)


def count(label: str, recordings: int, windows: int) -> ClassCount:
    return ClassCount(label, windows, 0, 0, recordings, recordings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("healthy", "Healthy"), ("healthy", " healthy"), ("outer race", "outerrace"), ("outer race", "outer_race"),
        ("outer-race", "Outer Race"), ("STRASSE", "straße"), ("ball\u00a0a", "ball a"),
    ],
)  # fmt: skip
def test_labels_that_differ_only_by_case_or_spaces_are_refused(one: str, other: str) -> None:
    with refused(SplitError, "similar_labels", labels=(one, other), recordings=("first", "second")) as caught:
        check_labels_differ([recording(one, "first"), recording(other, "second"), recording("worn", "third")])
    assert "--keep-labels" in str(caught.value)


@pytest.mark.parametrize("label", ["", " ", "B014 ", "\tB014", "a\x1b[1m", "UNKNOWN", "NO_VERDICT"])
def test_labels_that_no_bundle_may_have_are_refused(label: str) -> None:
    with refused(SplitError, "unusable_label", label=label, recording="second"):
        check_labels_usable([recording("worn", "first"), recording(None), recording(label, "second")])


def test_other_labels_are_taken() -> None:
    labels = ("IR007", "OR007", "IR014", "helthy", "Healthy", "-1", "1", "normal", None)
    check_labels_differ([recording(label) for label in labels])
    check_labels_usable([recording(label) for label in labels])


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ("helthy", "healthy", True), ("healthy", "helthy", True), ("heelthy", "healthy", True),
        ("haelthy", "healthy", True), ("healthyy", "healthy", True), ("xhealthy", "healthy", True),
        ("healthy", "healthy", False), ("hlthy", "healthy", False), ("hxxlthy", "healthy", False),
        ("ir007", "ir014", False), ("ir007", "or007", True), ("", "a", True), ("ab", "ba", True), ("abc", "cba", False),
    ],
)  # fmt: skip
def test_one_letter_apart(a: str, b: str, apart: bool) -> None:
    assert one_letter_apart(a, b) == one_letter_apart(b, a) == apart


def test_a_rare_label_beside_a_common_one_is_told_of() -> None:
    slips = likely_slips([count("helthy", 1, 12), count("Healthy", 8, 900), count("worn", 8, 900)])
    assert len(slips) == 1 and "'helthy'" in slips[0] and "'Healthy'" in slips[0] and "1 recording," in slips[0]
    assert likely_slips([count("helthy", 1, 100), count("healthy", 2, 200)])


def test_two_common_labels_may_be_one_letter_apart() -> None:
    names = [f"{kind}{size}" for kind in ("B", "IR", "OR") for size in ("007", "014", "021")]
    assert not likely_slips([*(count(name, 4, 950) for name in names), count("normal", 4, 2800)])
    assert not likely_slips([count("IR007", 4, 950), count("OR007", 12, 2850)])  # three places of the sensor


def test_short_names_and_numbers_are_no_slips() -> None:
    pairs = (("A", "B"), ("ok", "ko"), ("100", "10"), ("1", "12"))
    assert not any(likely_slips([count(one, 1, 5), count(other, 9, 900)]) for one, other in pairs)


def test_missing_labels_come_with_the_lines_to_write() -> None:
    found = [recording("worn", "w"), recording(None, "pump[1]#0"), recording(None, "pump[1]#1"), recording(None, "fan")]
    with refused(SplitError, "no_label", count=2, first="pump[1]") as caught:
        check_labelled(found)
    _, line = str(caught.value).split("\n\n")
    assert '{file = "pump[[]1].*", label = ""}, {file = "fan.*", label = ""}' in line
    check_labelled(found[:1])


def test_many_missing_labels_are_few_lines() -> None:
    with refused(SplitError, "no_label", count=5000, first="r0") as caught:
        check_labelled([recording(None, f"r{number}") for number in range(5000)])
    assert len(str(caught.value).splitlines()) == 3 and "4998 more" in str(caught.value)


def test_folders_are_proposed_as_labels_where_no_recording_has_one() -> None:
    found = [recording(None, f"{folder}/{number}") for folder in ("fine", "worn [1]") for number in range(3)]
    with refused(SplitError, "no_label", count=6, first="fine/0") as caught:
        check_labelled(found)
    _, lines = str(caught.value).split("\n\n")
    assert values_for(parse_catalogue(lines, "test.toml"), "worn [1]/2.csv", {}) == {"label": "worn [1]"}
    with refused(SplitError, "no_label") as caught:
        check_labelled([recording("new", "new/1"), *found])
    lines = str(caught.value).split("\n\n")[1].replace('label = ""', 'label = "filled in"')
    assert values_for(parse_catalogue(lines, "test.toml"), "worn [1]/2.csv", {}) == {"label": "filled in"}


def test_plain() -> None:
    assert plain(" Outer _Race\t") == "outerrace" and plain("-1") == "-1"
