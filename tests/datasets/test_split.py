from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.datasets import leaks
from drsn_edge.datasets import split as split_module
from drsn_edge.datasets.leaks import refuse_leaks
from drsn_edge.datasets.span import HoldOut, Span, Split
from drsn_edge.datasets.split import make_split, parse_hold_out
from drsn_edge.errors import SplitError

SIDES = ("train", "validation", "held_out")
WINDOW = 100


def cut(
    recordings: Any, hold_out: str, window: int = WINDOW, hop: int = WINDOW, seed: int = 0, allow_leaks: bool = False
) -> Split:
    rng = np.random.default_rng(seed)
    return make_split(recordings, parse_hold_out(hold_out), window, hop, rng, allow_leaks=allow_leaks)


def names(split: Split, side: str) -> list[str]:
    return [span.recording.name for span in getattr(split, side)]


def overlapping(split: Split) -> bool:
    """Tell, sample by sample, whether two sides share one."""
    owner: dict[bytes, Any] = {}
    for number, side in enumerate(SIDES, start=1):
        for span in getattr(split, side):
            marks = owner.setdefault(span.recording.samples.tobytes(), np.zeros(len(span.recording.samples), int))
            taken = marks[span.start : span.stop]
            if ((taken != 0) & (taken != number)).any():
                return True
            taken[:] = number
    return False


@pytest.fixture
def machines(make_recording: Any) -> Any:
    """Two classes on each of three machines."""
    return [
        make_recording(f"{label}-{machine}", label=label, fields={"machine": machine, "load": machine * 0.5})
        for machine in (1, 2, 3)
        for label in ("calm", "worn")
    ]


# What is asked for.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load_hp=3", HoldOut("field", "load_hp", "3")),
        ("path=a=b", HoldOut("field", "path", "a=b")),
        ("time=0.25", HoldOut("time", "", "0.25")),
        ("windows=1e-1", HoldOut("windows", "", "1e-1")),
        ("fold=2/5", HoldOut("fold", "", "2/5")),
        ("size=0.007,time=0.5", HoldOut("field", "size", "0.007", "0.5")),
        ("site=a,b,time=0.5", HoldOut("field", "site", "a,b", "0.5")),
    ],
)
def test_hold_out_is_parsed_and_printed_as_typed(text: str, expected: HoldOut) -> None:
    assert parse_hold_out(text) == expected
    assert str(parse_hold_out(text)) == text


@pytest.mark.parametrize(
    "text", ["", "=", "load", "load=", "=3", "time=0", "time=1", "time=1.5", "time=-0.2", "time=half", "time=nan",
             "windows=0", "windows=inf", "time=0.2=3", "fold=3", "fold=0/3", "fold=4/3", "fold=1/0", "fold=1.0/2",
             "fold=-1/3", "fold=/", "fold=1/3/5", "fold=1/3,time=0.2", "load=3,time=2", "load=3,time=",
             "load=,time=0.2", "load=3,time=0.2,time=0.3", "time=0.2,time=0.3"],
)  # fmt: skip
def test_other_hold_outs_are_refused(text: str) -> None:
    with pytest.raises(SplitError) as caught:
        parse_hold_out(text)
    assert caught.value.problem in ("bad_hold_out", "bad_share", "bad_fold")
    assert str(caught.value.facts["got"]) in text and "--hold-out" in str(caught.value)


# Hold out a field.


def test_field_holds_out_whole_recordings(machines: Any) -> None:
    split = cut(machines, "machine=2")
    assert names(split, "held_out") == ["calm-2", "worn-2"]
    assert names(split, "train") == names(split, "validation") == ["calm-1", "worn-1", "calm-3", "worn-3"]
    assert all((span.start, span.stop) == (0, 1000) for span in split.held_out)
    assert split.labels == ("calm", "worn")
    assert split.rule == "machine=2"


@pytest.mark.parametrize("hold_out", ["group=calm-1", "name=calm-1"])
def test_group_and_name_count_as_fields(machines: Any, hold_out: str) -> None:
    assert names(cut(machines, hold_out), "held_out") == ["calm-1"]


@pytest.mark.parametrize(
    ("value", "typed", "held"),
    [
        (3, "3", True), (3, "3.0", True), (3.0, "3", True), (3, "3e0", True), (3, "03", True), (3, "30", False),
        (0.1, "0.1", True), (0.1, ".1", True), (3, "three", False), (float("nan"), "nan", False),
        ("3", "3", True), ("3", "3.0", False), ("Outer", "outer", True), ("outer ", "outer", False),
        (True, "true", True), (True, "True", True), (True, "1", False), (False, "false", True), (False, "0", False),
        (1, "true", False), (0, "false", False),
    ],
)  # fmt: skip
def test_values_match_as_a_person_would_type_them(make_recording: Any, value: Any, typed: str, held: bool) -> None:
    other = "another" if isinstance(value, str) else (not value if isinstance(value, bool) else 99)
    recordings = [
        make_recording(f"{label}-{field}", label=label, fields={"field": field})
        for field in (value, other)
        for label in ("calm", "worn")
    ]
    if held:
        assert names(cut(recordings, f"field={typed}"), "held_out") == [f"calm-{value}", f"worn-{value}"]
    else:
        found = tuple(sorted((str(value), str(other))))
        with refused(SplitError, "no_match", field="field", value=typed, values=found):
            cut(recordings, f"field={typed}")


def test_a_value_that_nothing_has_lists_what_there_is(machines: Any) -> None:
    with refused(SplitError, "no_match", field="machine", value="7", values=("1", "2", "3")):
        cut(machines, "machine=7")


def test_a_field_that_one_recording_lacks_is_refused(machines: Any) -> None:
    machines[3] = replace(machines[3], fields={"load": 1.0})
    known = ("group", "load", "name")
    with refused(SplitError, "no_field", field="machine", recording="worn-2", known=known) as caught:
        cut(machines, "machine=1")
    assert "machine=VALUE,time=SHARE" in str(caught.value)


def test_recordings_without_the_field_are_split_by_time_on_request(machines: Any) -> None:
    machines[2] = replace(machines[2], fields={})
    split = cut(machines, "machine=2,time=0.4")
    assert [(span.recording.name, span.start, span.stop) for span in split.held_out] == [
        ("worn-2", 0, 1000), ("calm-2", 600, 1000),
    ]  # fmt: skip
    kept = [(span.recording.name, span.start) for span in split.train]
    assert kept == [(name, 0) for name in ("calm-1", "worn-1", "calm-3", "worn-3", "calm-2")]
    assert split.train[-1].stop == 500 and split.validation[-1].stop == 600  # a validation of one window at least
    assert split.rule == "machine=2,time=0.4"


def test_time_for_the_rest_does_no_harm_where_there_is_none(machines: Any) -> None:
    assert names(cut(machines, "machine=2,time=0.4"), "held_out") == ["calm-2", "worn-2"]


def test_a_field_that_no_recording_has_is_refused(machines: Any) -> None:
    with refused(SplitError, "no_match", field="site", value="2", values=()):
        cut(machines, "site=2,time=0.4")


def test_holding_out_everything_is_refused(machines: Any) -> None:
    with refused(SplitError, "empty_side", side="training", rule="load=0.5", train=0, held_out=2):
        cut(machines[:2], "load=0.5")


# Hold out time.


def test_time_holds_out_the_end_of_each_recording(machines: Any) -> None:
    split = cut(machines, "time=0.3")
    assert [(span.start, span.stop) for span in split.held_out] == [(700, 1000)] * 6
    assert [(span.start, span.stop) for span in split.train] == [(0, 595)] * 6
    assert [(span.start, span.stop) for span in split.validation] == [(595, 700)] * 6


@pytest.mark.parametrize("share", ["0.05", "0.95"])
def test_time_too_short_for_a_window_is_refused(machines: Any, share: str) -> None:
    with refused(SplitError, "too_short", recording="calm-1", got=50, window=100, rule=f"time={share}"):
        cut(machines, f"time={share}")


# Hold out a fold of groups.


@given(
    groups=st.lists(st.integers(0, 9), min_size=6, max_size=24),
    folds=st.integers(2, 6),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_folds_part_the_recordings_and_never_a_group(
    make_recording: Any, groups: list[int], folds: int, order: Any
) -> None:
    recordings = [make_recording(f"r{i}", label="ab"[i % 2], group=f"g{group}") for i, group in enumerate(groups)]
    try:
        held = [[recordings[i].name for i in fold] for fold in split_module._folds(recordings, folds)]
    except SplitError:
        assert len(set(groups)) < folds or (len(groups) + 1) // 2 < folds
        return
    assert sorted(name for fold in held for name in fold) == sorted(recording.name for recording in recordings)
    group_of = {recording.name: recording.group for recording in recordings}
    assert sum(len({group_of[name] for name in fold}) for fold in held) == len(set(groups))
    order.shuffle(recordings)
    again = [sorted(recordings[i].name for i in fold) for fold in split_module._folds(recordings, folds)]
    assert again == [sorted(fold) for fold in held]


def test_classes_are_spread_over_the_folds(make_recording: Any) -> None:
    """Of 12 machines with 1 class each and 3 classes, each of 4 folds gets one of every class."""
    recordings = [make_recording(f"{label}{i}", label=label) for label in "abc" for i in range(4)]
    held = [cut(recordings, f"fold={k}/4").held_out for k in (1, 2, 3, 4)]
    assert [sorted(span.recording.label or "" for span in spans) for spans in held] == [["a", "b", "c"]] * 4


def test_folds_are_the_same_for_every_seed(machines: Any) -> None:
    machines = [replace(recording, group=f"m{recording.fields['machine']}") for recording in machines]
    split = cut(machines, "fold=1/3")
    assert split == cut(machines, "fold=1/3", seed=5)
    assert split.rule == "fold=1/3"
    assert len({span.recording.group for span in split.held_out}) == 1
    assert {span.recording.label for span in split.held_out} == {"calm", "worn"}


@pytest.mark.parametrize("folds", [1, 4, 999_999])
def test_too_few_groups_for_the_folds_are_refused(machines: Any, folds: int) -> None:
    machines = [replace(recording, group=f"m{recording.fields['machine']}") for recording in machines]
    with refused(SplitError, "wrong_folds", folds=folds, groups=3, recordings=3):
        cut(machines, f"fold=1/{folds}")


def test_a_class_of_one_group_is_in_the_test_only(machines: Any) -> None:
    machines[0] = replace(machines[0], label="broken")
    fold = next(k for k in (1, 2, 3) if machines[0].name in held_names(machines, k))
    with refused(SplitError, "unseen_class", classes=("broken",), rule=f"fold={fold}/3", groups=("calm-1",)):
        cut(machines, f"fold={fold}/3")


def held_names(recordings: Any, fold: int) -> list[str]:
    return [recordings[i].name for i in split_module._folds(recordings, 3)[fold - 1]]


# Hold out windows.


def test_windows_hold_out_a_random_share(make_recording: Any) -> None:
    recordings = [make_recording("a", 50_000), make_recording("b", 50_000, "worn")]
    split = cut(recordings, "windows=0.3")
    assert all(len(span) == WINDOW for side in SIDES for span in getattr(split, side))
    assert sum(len(getattr(split, side)) for side in SIDES) == 1000
    assert 250 < len(split.held_out) < 350
    assert 80 < len(split.validation) < 120
    assert not overlapping(split)
    assert cut(recordings, "windows=0.3") == split
    assert cut(recordings, "windows=0.3", seed=1) != split


def test_windows_that_overlap_are_refused(machines: Any) -> None:
    with refused(SplitError, "leak", rule="windows=0.3") as caught:
        cut(machines, "windows=0.3", hop=WINDOW - 1)
    assert "--hop of at least one window" in str(caught.value)


# No leaks, whatever is asked for.


@given(
    lengths=st.lists(st.integers(20, 300), min_size=2, max_size=8),
    window=st.integers(1, 40),
    hop=st.integers(1, 60),
    hold_out=st.sampled_from(["machine=0", "machine=1", "time=0.2", "time=0.5", "windows=0.2", "windows=0.6"]),
    copies=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=300, deadline=None)
def test_sides_never_share_a_sample(
    make_recording: Any, lengths: list[int], window: int, hop: int, hold_out: str, copies: bool, seed: int
) -> None:
    recordings = [
        make_recording(f"r{0 if copies else i}", n, ("calm", "worn")[i // 2 % 2], fields={"machine": i % 2})
        for i, n in enumerate(lengths)
    ]
    try:
        split = cut(recordings, hold_out, window, hop, seed)
    except SplitError:
        return
    assert not overlapping(split)
    assert split.train and split.held_out
    trained_on = {span.recording.label for span in split.train}
    assert {span.recording.label for side in SIDES for span in getattr(split, side)} == trained_on
    assert all(len(span) >= window for side in SIDES for span in getattr(split, side))


@given(
    lengths=st.lists(st.integers(200, 900), min_size=2, max_size=5),
    window=st.integers(1, 30),
    extra=st.integers(0, 20),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_windows_a_window_apart_always_split(
    make_recording: Any, lengths: list[int], window: int, extra: int, seed: int
) -> None:
    recordings = [make_recording(f"r{i}", n, ("calm", "worn")[i % 2]) for i, n in enumerate(lengths)]
    try:
        assert not overlapping(cut(recordings, "windows=0.5", window, window + extra, seed))
    except SplitError as exc:  # chance may leave a side or a class empty, but never makes a leak
        assert exc.problem in ("empty_side", "one_class", "unseen_class")


@given(window=st.integers(4, 40), seed=st.integers(0, 99), short=st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_windows_closer_than_a_window_never_split(make_recording: Any, window: int, seed: int, short: int) -> None:
    recordings = [make_recording("a", 1500), make_recording("b", 1500, "worn")]
    with refused(SplitError, "leak", rule="windows=0.5"):
        cut(recordings, "windows=0.5", window, max(1, window - short), seed)


def test_a_copy_under_another_name_is_a_leak(machines: Any) -> None:
    machines[2] = replace(machines[2], samples=machines[0].samples.copy())
    with refused(SplitError, "leak", recordings=("calm-1", "calm-2"), sides=("train", "held_out")):
        cut(machines, "machine=2")


def test_copies_on_one_side_are_no_leak(machines: Any) -> None:
    machines[4] = replace(machines[4], samples=machines[0].samples.copy())
    assert names(cut(machines, "machine=2"), "held_out") == ["calm-2", "worn-2"]


@pytest.mark.parametrize("trim", [slice(100, None), slice(0, 700), slice(150, 850)])
def test_a_shortened_copy_is_a_leak(machines: Any, trim: slice) -> None:
    machines[2] = replace(machines[2], samples=machines[0].samples[trim].copy())
    with refused(SplitError, "leak", recordings=("calm-1", "calm-2"), sides=("train", "held_out")):
        cut(machines, "machine=2")
    split = cut(machines, "machine=2", allow_leaks=True)
    start, stop, _ = trim.indices(1000)
    trained = min(stop, 850) - start
    assert f"({trained / (stop - start + 1000):.1%} of their samples)" in split.leak


def test_a_cut_of_a_copy_is_a_leak_too(machines: Any) -> None:
    """The whole copies are on one side, or on none: the cut is compared with all of them."""
    machines[4] = replace(machines[4], samples=machines[0].samples.copy())
    machines[2] = replace(machines[2], samples=machines[0].samples[300:].copy())
    assert "1 of 2 held-out spans" in cut(machines, "machine=2", allow_leaks=True).leak
    with refused(SplitError, "leak", rule="machine=2"):
        cut([machines[i] for i in (2, 4, 1, 3, 5)], "machine=2")


def test_other_times_of_one_original_are_no_leak(make_recording: Any) -> None:
    """Two files overlap, but training ends before the overlap, and the hold-out set begins after it."""
    original = make_recording("a", 2000)
    early = replace(original, name="early", samples=original.samples[:1200].copy())
    late = replace(original, name="late", samples=original.samples[800:].copy())
    refuse_leaks(Split((Span(early, 0, 800),), (Span(late, 0, 400),), (Span(late, 400, 1200),), "by hand"))
    expected = {"recordings": ("early", "late"), "spans": ((0, 801), (0, 400)), "sides": ("train", "validation")}
    with refused(SplitError, "leak", rule="by hand", **expected):
        refuse_leaks(Split((Span(early, 0, 801),), (Span(late, 0, 400),), (Span(late, 400, 1200),), "by hand"))


def test_a_long_span_far_before_is_still_seen(make_recording: Any) -> None:
    """The overlap is with the furthest end of the other side, not with the neighbour in the order of starts."""
    recording = make_recording("a", 1000)
    train = (Span(recording, 0, 900), Span(recording, 10, 20))
    with refused(SplitError, "leak", spans=((0, 900), (500, 600)), sides=("train", "held_out")):
        refuse_leaks(Split(train, (), (Span(recording, 500, 600),), "by hand"))


def test_spans_that_touch_are_no_leak(make_recording: Any) -> None:
    recording = make_recording("a", 1000)
    sides = [(Span(recording, start, start + 100),) for start in (0, 100, 200)]
    train, validation, held_out = sides
    refuse_leaks(Split(train, validation, held_out, "by hand"))


def test_validation_leaks_count_too(make_recording: Any) -> None:
    recording = make_recording("a", 1000)
    with refused(SplitError, "leak", sides=("validation", "held_out")):
        refuse_leaks(Split((), (Span(recording, 0, 101),), (Span(recording, 100, 200),), "by hand"))


def test_each_recording_is_hashed_once(make_recording: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """windows=SHARE makes hundreds of spans per recording."""
    hashed = []
    content_key = leaks._content_key
    monkeypatch.setattr(leaks, "_content_key", lambda r: hashed.append(r.name) or content_key(r))
    cut([make_recording("a", 5000), make_recording("b", 5000, "worn")], "windows=0.3")
    assert sorted(hashed) == ["a", "b"]


# Leaks on request.


def test_without_leaks_there_is_nothing_to_say(machines: Any) -> None:
    assert cut(machines, "machine=2", allow_leaks=True) == cut(machines, "machine=2")
    assert cut(machines, "machine=2").leak == cut(machines, "machine=2").remark == ""


def test_random_windows_are_remarked_upon(make_recording: Any) -> None:
    split = cut([make_recording("a", 5000), make_recording("b", 5000, "worn")], "windows=0.3", allow_leaks=True)
    assert split.leak == ""
    assert split.remark.startswith("Random windows of the same recordings are on both sides")


@given(window=st.integers(4, 40), hop=st.integers(1, 50), seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_a_leak_is_counted_sample_by_sample(make_recording: Any, window: int, hop: int, seed: int) -> None:
    recordings = [make_recording("a", 700), make_recording("b", 700, "worn")]
    split = cut(recordings, "windows=0.4", window, hop, seed, allow_leaks=True)
    trained = {(span.recording.name, i) for span in split.train for i in range(span.start, span.stop)}
    known = [sum((span.recording.name, i) in trained for i in range(span.start, span.stop)) for span in split.held_out]
    if any(known):
        hit, share = sum(map(bool, known)), sum(known) / sum(map(len, split.held_out))
        assert split.leak.startswith(
            f"{hit} of {len(known)} held-out spans share samples with training spans ({share:.1%} of their samples)"
        )
        assert split.remark == ""
    else:
        assert not overlapping(split) or "validation" in split.leak


def test_a_copy_under_another_label_on_one_side_is_doubted(machines: Any) -> None:
    machines[1] = replace(machines[1], samples=machines[0].samples.copy())
    (doubt,) = cut(machines, "machine=2").doubts
    assert doubt.sentence.startswith("calm-1 (calm) and worn-1 (worn) hold the same samples. Remove one")
    assert cut([machines[i] for i in (0, 2, 3, 4, 5)], "machine=2").doubts == ()


def test_a_copy_under_another_label_on_another_side_is_refused_by_name(machines: Any) -> None:
    machines[3] = replace(machines[3], samples=machines[0].samples.copy())
    facts = {"recordings": ("calm-1", "worn-2"), "labels": ("calm", "worn")}
    with refused(SplitError, "copy_of_other_label", **facts):
        cut(machines, "machine=2")
    (doubt,) = cut(machines, "machine=2", allow_leaks=True).doubts
    assert doubt.kind == "copies"


def test_a_copy_on_the_other_side_is_counted(machines: Any) -> None:
    machines[2] = replace(machines[2], samples=machines[0].samples.copy())
    split = cut(machines, "machine=2", allow_leaks=True)
    assert split.leak.startswith("1 of 2 held-out spans share samples with training spans (42.5% of their samples)")


def test_a_leak_of_the_validation_only_is_said(make_recording: Any) -> None:
    recording = make_recording("a", 1000)
    train, validation, held_out = ((Span(recording, *ends),) for ends in ((0, 101), (100, 200), (300, 400)))
    leak = leaks.leak_in_words(Split(train, validation, held_out, "by hand"))
    assert leak.startswith("1 of 1 validation spans share samples with training spans (1.0% of their samples)")
    leak = leaks.leak_in_words(Split(train, held_out, held_out, "by hand"))
    assert leak.startswith("1 of 1 held-out spans share samples with validation spans (100.0% of their samples)")


@pytest.mark.parametrize("allow_leaks", [False, True])
def test_thousands_of_captures_are_checked_quickly(make_recording: Any, allow_leaks: bool) -> None:
    recordings = [make_recording(f"r{i}", 200, "ab"[i % 2], fields={"odd": i // 2 % 2}) for i in range(3000)]
    start = time.process_time()
    assert cut(recordings, "odd=1", allow_leaks=allow_leaks).leak == ""
    assert time.process_time() - start < 5  # well below a second on an idle core


# Recordings that do not go together.


def test_a_class_in_the_test_only_is_refused(machines: Any) -> None:
    machines[2] = replace(machines[2], label="broken")
    with refused(SplitError, "unseen_class", classes=("broken",), rule="machine=2"):
        cut(machines, "machine=2")


def test_one_class_is_none(make_recording: Any) -> None:
    with refused(SplitError, "one_class", classes=("calm",)):
        cut([make_recording("a"), make_recording("b")], "time=0.3")


def test_no_recordings_are_refused() -> None:
    with refused(SplitError, "no_recordings"):
        cut([], "time=0.3")


def test_short_recordings_are_refused(machines: Any) -> None:
    machines[1] = replace(machines[1], samples=machines[1].samples[: WINDOW - 1])
    with refused(SplitError, "too_short", recording="worn-1", got=99, window=100) as caught:
        cut(machines, "machine=2")
    assert "--window" in str(caught.value)


def test_unlabelled_recordings_are_refused(machines: Any) -> None:
    machines[4] = replace(machines[4], label=None)
    with refused(SplitError, "no_label", count=1, first="calm-3"):
        cut(machines, "machine=2")


@pytest.mark.parametrize(("what", "other"), [("sample_rate_hz", 970.0), ("axes", ("y",)), ("unit", "counts")])
def test_recordings_of_several_kinds_are_refused(machines: Any, what: str, other: Any) -> None:
    machines[5] = replace(machines[5], **{what: other})
    values = (getattr(machines[0], what), other)
    with refused(SplitError, "mixed_recordings", what=what, recordings=("calm-1", "worn-3"), values=values):
        cut(machines, "machine=2")


# Validation.


def test_validation_is_the_end_of_each_training_recording(make_recording: Any) -> None:
    recordings = [make_recording(f"{label}{i}", 10_000, label, fields={"i": i}) for i in (1, 2) for label in "ab"]
    split = cut(recordings, "i=2")
    assert [(span.start, span.stop) for span in split.train] == [(0, 8500)] * 2
    assert [(span.start, span.stop) for span in split.validation] == [(8500, 10_000)] * 2


def test_validation_is_at_least_a_window_and_leaves_one_to_train_on(make_recording: Any) -> None:
    split = cut([make_recording("a", 350), make_recording("b", 350, "worn")], "time=0.3", window=100)
    assert [(span.start, span.stop) for span in split.train] == [(0, 145)] * 2
    assert [(span.start, span.stop) for span in split.validation] == [(145, 245)] * 2


def test_of_short_recordings_every_seventh_of_a_class_validates(make_recording: Any) -> None:
    recordings = [make_recording(f"{label}{i}", 150, label, fields={"i": i}) for i in range(8) for label in "ab"]
    split = cut(recordings, "i=7")
    assert names(split, "validation") == ["a6", "b6"]
    assert len(split.train) == 12


def test_a_rare_class_is_never_validated_only(make_recording: Any) -> None:
    """The seventh short recording is the only one of its class: it must be trained on."""
    recordings = [make_recording(f"calm{i}", 150, fields={"side": "train"}) for i in range(6)]
    recordings += [make_recording("worn", 150, "worn", fields={"side": "train"})]
    recordings += [make_recording("test", 150, fields={"side": "test"})]
    split = cut(recordings, "side=test")
    assert split.labels == ("calm", "worn")
    assert "worn" in names(split, "train")
