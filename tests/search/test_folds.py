"""Inner folds: what they hold out, what they refuse, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.datasets.span import Span, Split
from drsn_edge.datasets.split import parse_hold_out
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.search.folds import BETWEEN, HIGHER, LOWER, MOST_FOLDS, UNPLACED, InnerFolds, inner_folds

pytest.importorskip("sklearn")

Made = list[Recording]


def split_of(recordings: Sequence[Recording], rule: str = "rpm=9") -> Split:
    """Return a split whose training side is all of these recordings."""
    labels = tuple(sorted({recording.label or "" for recording in recordings}))
    return Split(tuple(Span(each, 0, len(each.samples)) for each in recordings), (), (), rule, labels)


def folds_of(recordings: Sequence[Recording], rule: str, window: int = 100, **more: Any) -> InnerFolds:
    return inner_folds(split_of(recordings, rule), parse_hold_out(rule), window, **more)


@pytest.fixture
def grid(make_recording: Any) -> Made:
    """Recordings of two classes at three speeds and two loads."""
    return [
        make_recording(f"{label}-{rpm}-{load}", label=label, fields={"rpm": rpm, "load_hp": load})
        for label in ("calm", "worn")
        for rpm in (600, 1200, 3000)
        for load in (0, 1)
    ]


def test_folds_hold_out_the_values_of_the_hold_out_sets_own_field(grid: Made) -> None:
    found = folds_of(grid, "rpm=1800")
    assert found.field == "rpm" and found.names == ("rpm=600", "rpm=1200", "rpm=3000") and not found.remarks
    assert found.held_out == "another rpm of these machines"
    for fold, rpm in zip(found.folds, (600, 1200, 3000), strict=True):
        assert {span.recording.fields["rpm"] for span in fold.split.held_out} == {rpm}
        assert rpm not in {span.recording.fields["rpm"] for span in fold.split.train}
        assert len(fold.split.train) + len(fold.split.held_out) == len(grid)
        assert fold.split.labels == ("calm", "worn")


@pytest.mark.parametrize(
    ("rule", "place", "alike"),
    [
        ("rpm=300", LOWER, ["rpm=600"]),
        ("rpm=900", BETWEEN, ["rpm=1200"]),
        ("rpm=5000", HIGHER, ["rpm=3000"]),
        ("load_hp=7", HIGHER, ["load_hp=1"]),
        ("load_hp=0.5", BETWEEN, ["load_hp=0", "load_hp=1"]),
        ("session=9", UNPLACED, ["session=1", "session=2"]),
        ("machine=9", UNPLACED, ["rpm=600", "rpm=1200", "rpm=3000"]),
    ],
)
def test_only_folds_that_lie_like_the_hold_out_set_say_what_to_expect(
    grid: Made, make_recording: Any, rule: str, place: str, alike: list[str]
) -> None:
    name, _, value = rule.partition("=")
    if name == "session":
        grid = [replace(each, fields={**each.fields, name: 1 + number % 2}) for number, each in enumerate(grid)]
    held_out = [make_recording("out", label="calm", fields={"rpm": 600, "load_hp": 0} | {name: float(value)})]
    split = replace(split_of(grid, rule), held_out=(Span(held_out[0], 0, len(held_out[0].samples)),))
    found = inner_folds(split, parse_hold_out(rule), 100)
    assert (found.place, [found.names[number] for number in found.alike]) == (place, alike)
    is_lacking = rule == "load_hp=0.5"
    assert any("No inner fold is like that" in remark for remark in found.remarks) == is_lacking


def test_another_field_is_held_out_where_one_value_is_left_and_that_is_said(grid: Made) -> None:
    found = folds_of([each for each in grid if each.fields["load_hp"] == 0], "load_hp=1")
    assert found.field == "rpm"
    assert len(found.remarks) == 1 and "another load_hp cannot be estimated" in found.remarks[0]
    assert "at least two more values of load_hp" in found.remarks[0]


def test_a_field_whose_name_begins_with_load_is_known(grid: Made) -> None:
    found = folds_of([each for each in grid if each.fields["rpm"] == 600], "rpm=1200")
    assert (found.field, found.names) == ("load_hp", ("load_hp=0", "load_hp=1"))


def test_a_fold_without_a_class_to_train_on_is_left_out_and_said(grid: Made, make_recording: Any) -> None:
    alone = make_recording("broken", label="broken", fields={"rpm": 600, "load_hp": 0})
    found = folds_of([*grid, alone], "rpm=1800")
    assert found.names == ("rpm=1200", "rpm=3000")
    assert len(found.remarks) == 1 and "rpm=600" in found.remarks[0] and "broken" in found.remarks[0]


def test_copies_on_both_sides_of_a_fold_leave_it_out(grid: Made, make_recording: Any) -> None:
    copy = make_recording("copy", label="calm", samples=grid[0].samples, fields={"rpm": 1200, "load_hp": 0})
    assert folds_of([*grid, copy], "rpm=1800").field == "load_hp"
    assert folds_of([*grid, copy], "rpm=1800", allow_leaks=True).names == ("rpm=600", "rpm=1200", "rpm=3000")


def test_many_values_share_five_folds(make_recording: Any) -> None:
    many = [
        make_recording(f"{label}{machine}", label=label, fields={"machine": machine})
        for machine in range(11)
        for label in ("calm", "worn")
    ]
    found = folds_of(many, "machine=77")
    assert len(found.folds) == MOST_FOLDS and found.held_out == "another machine"
    held = [span.recording.name for fold in found.folds for span in fold.split.held_out]
    assert sorted(held) == sorted(each.name for each in many)
    for fold in found.folds:
        sides = [
            {span.recording.fields["machine"] for span in side} for side in (fold.split.train, fold.split.held_out)
        ]
        assert not sides[0] & sides[1]


def test_groups_are_held_out_where_no_field_says_more(make_recording: Any) -> None:
    recordings = [make_recording(f"{label}{n}", label=label) for label in ("calm", "worn") for n in range(4)]
    for rule in ("place=3", "fold=1/5"):
        found = folds_of(recordings, rule)
        assert found.field == "group" and len(found.folds) == 3


def test_folds_of_groups_are_judged_by_folds_of_groups(grid: Made) -> None:
    assert folds_of(grid, "fold=1/5").field == "group"


@pytest.mark.parametrize("rule", ["time=0.3", "windows=0.3"])
def test_stretches_of_time_are_held_out_for_a_share_of_time(grid: Made, rule: str) -> None:
    found = folds_of(grid, rule)
    assert found.field == "time" and len(found.folds) == 3
    middle = found.folds[1].split
    assert {(span.start, span.stop) for span in middle.held_out} == {(333, 666)}
    assert {(span.start, span.stop) for span in middle.train} == {(0, 333), (666, 1000)}


def test_a_stretch_of_time_holds_a_window_that_begins_at_a_multiple_of_its_length(grid: Made) -> None:
    found = folds_of(grid, "time=0.3", window=240)
    assert len(found.folds) == 2
    for fold in found.folds:
        assert all(-(-span.start // 240) * 240 + 240 <= span.stop for span in fold.split.held_out)
    with refused(SplitError, "no_inner_folds"):
        folds_of(grid, "time=0.3", window=260)


def test_windows_that_overlap_a_stretch_are_not_trained_on(make_recording: Any) -> None:
    recordings = [make_recording(label, label=label) for label in ("calm", "worn")]
    spans = tuple(Span(each, start, start + 100) for each in recordings for start in range(0, 900, 50))
    split = Split(spans, (), (), "windows=0.3", ("calm", "worn"))
    for fold in inner_folds(split, parse_hold_out("windows=0.3"), 100).folds:
        for held in fold.split.held_out:
            same = [span for span in fold.split.train if span.recording is held.recording]
            assert all(span.stop <= held.start or span.start >= held.stop for span in same)


def test_recordings_without_the_field_are_split_by_time(make_recording: Any) -> None:
    recordings = [make_recording("calm", label="calm")]
    recordings += [
        make_recording(f"{label}-{size}", label=label, fields={"size": size})
        for label in ("ball", "race")
        for size in (1, 2)
    ]
    for fold in folds_of(recordings, "size=3,time=0.4").folds:
        (kept,) = [span for span in fold.split.train if span.recording.label == "calm"]
        (held,) = [span for span in fold.split.held_out if span.recording.label == "calm"]
        assert (kept.start, kept.stop, held.start, held.stop) == (0, 600, 600, 1000)


@pytest.mark.parametrize("rule", ["rpm=1800", "time=0.3", "fold=1/5"])
def test_what_cannot_be_split_is_refused_with_the_reason(make_recording: Any, rule: str) -> None:
    recordings = [make_recording(label, 150, label=label, fields={"rpm": 600}) for label in ("calm", "worn")]
    with refused(SplitError, "no_inner_folds", rule=rule):
        folds_of(recordings, rule)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(100, 900)), min_size=2, max_size=14),
    st.sampled_from(["rpm=99", "time=0.3", "fold=1/3", "machine=1"]),
)
def test_no_fold_shares_a_sample_with_its_training_side(made: list[tuple[str, int, int]], rule: str) -> None:
    recordings = []
    for number, (label, rpm, n) in enumerate(made):
        samples = np.random.default_rng(number).normal(size=(n, 1)).astype(np.float32)
        name = f"r{number}"
        recordings.append(Recording(name, samples, 1000.0, ("x",), "g", label, name, {"rpm": rpm}))
    try:
        found = folds_of(recordings, rule)
    except SplitError as exc:
        assert exc.problem == "no_inner_folds"
        return
    assert 2 <= len(found.folds) <= 7
    for fold in found.folds:
        marks = {recording.name: np.zeros(len(recording.samples), int) for recording in recordings}
        for span in (*fold.split.train, *fold.split.held_out):
            marks[span.recording.name][span.start : span.stop] += 1
        assert max(int(each.max()) for each in marks.values()) <= 1
        assert {span.recording.label for span in fold.split.train} == {label for label, _, _ in made}
