"""From verdicts to alarms: what raises one, what never may, and that none flaps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.monitor.stages.alarms import AlarmLimits, Alarms, AlarmSettings
from drsn_edge.monitor.stages.results import Alarm, AlarmState, WindowResult
from drsn_edge.verdicts import NOT_RUNNING, Verdict

LABELS = ("calm", "worn", "loud")
HOP_S = 0.5
AT_ONCE = AlarmLimits(on=0.75, off=0.25, on_delay_s=0.0, off_delay_s=0.0)

RAISED, ACKNOWLEDGED, CLEARED = AlarmState


def window(at: float, says: Any) -> WindowResult:
    """Make a window that says a label (surely), a number (probability of worn), None (UNKNOWN) or "!reason"."""
    if says is None:
        return WindowResult(0, at, Verdict.UNKNOWN, None, {"calm": 1.0, "worn": 0.0, "loud": 0.0}, None, 0, 3.0, 1.0)
    if isinstance(says, str) and says.startswith("!"):
        return WindowResult(0, at, Verdict.NO_VERDICT, None, None, says[1:], 0)
    worn = says if isinstance(says, float) else float(says == "worn")
    scores = {"calm": 1 - worn, "worn": worn, "loud": 0.0} if says != "loud" else {"calm": 0, "worn": 0, "loud": 1.0}
    label = max(scores, key=scores.__getitem__)
    return WindowResult(0, at, Verdict.CLASS, label, scores, None, 0, 0.5, 1.0)


def play(says: list[Any], limits: AlarmLimits = AT_ONCE, **settings: Any) -> list[tuple[int, str, AlarmState]]:
    """Return which window changed which alarm; the word "ACK" between windows acknowledges."""
    alarms = Alarms(AlarmSettings(("calm",), **{"windows": 4, **settings}, limits=limits), LABELS, HOP_S)
    found: list[tuple[int, str, AlarmState]] = []
    at = 0
    for each in says:
        changed = alarms.acknowledge() if each == "ACK" else alarms.take(window(at * HOP_S, each))
        found += [(at, alarm.name, alarm.state) for alarm in changed]
        at += each != "ACK"
    return found


@pytest.mark.parametrize("evidence", ["mean", "votes"])
def test_an_alarm_begins_when_three_of_four_windows_say_so_and_ends_below_one(evidence: str) -> None:
    says = ["calm"] * 5 + ["worn"] * 6 + ["calm"] * 6
    assert play(says, evidence=evidence) == [(7, "worn", RAISED), (14, "worn", CLEARED)]


def test_the_mean_is_of_probabilities_and_votes_are_of_labels() -> None:
    says = ["calm"] * 4 + [0.6] * 8
    assert play(says, evidence="votes") == [(6, "worn", RAISED)]
    assert play(says, evidence="mean") == []
    assert play(["calm"] * 4 + [0.8] * 8, evidence="mean") == [(7, "worn", RAISED)]


def test_unknown_is_an_alarm_of_its_own_and_may_be_normal() -> None:
    assert play(["calm"] * 4 + [None] * 4) == [(6, "UNKNOWN", RAISED)]
    alarms = Alarms(AlarmSettings(("calm", "UNKNOWN"), windows=1, limits=AT_ONCE), LABELS, HOP_S)
    assert alarms.take(window(0, None)) == []


def test_nothing_is_raised_before_there_are_enough_windows() -> None:
    assert play(["worn"] * 3) == []
    assert play(["worn"] * 4) == [(3, "worn", RAISED)]


def test_delays_are_times_without_a_break() -> None:
    limits = AlarmLimits(on=0.75, off=0.5, on_delay_s=2.0, off_delay_s=1.0)
    assert play(["worn"] * 12, limits, windows=1) == [(4, "worn", RAISED)]  # the fifth is 2 s after the first
    assert play((["worn"] * 4 + ["calm"]) * 5, limits, windows=1) == []
    broken = ["worn"] * 5 + ["calm"] * 2 + ["worn"] + ["calm"] * 3
    assert play(broken, limits, windows=1) == [(4, "worn", RAISED), (10, "worn", CLEARED)]


def test_an_alarm_is_dated_to_where_it_was_pending_first() -> None:
    alarms = Alarms(AlarmSettings(("calm",), windows=1, limits=AlarmLimits(0.75, 0.5, 2.0, 1.0)), LABELS, HOP_S)
    says = ["calm"] * 3 + ["worn"] * 5
    changed = [alarm for at, each in enumerate(says) for alarm in alarms.take(window(at * HOP_S, each))]
    assert changed == [Alarm("worn", RAISED, 0, 3.5, 1.5, 1.0)]


def test_a_latched_alarm_stays_until_it_is_acknowledged() -> None:
    limits = AlarmLimits(0.75, 0.5, 0.0, 0.0, latch=True)
    assert play(["worn", *["calm"] * 9], limits, windows=1) == [(0, "worn", RAISED)]
    assert play(["worn", *["calm"] * 9, "ACK"], limits, windows=1)[1:] == [
        (10, "worn", ACKNOWLEDGED),
        (10, "worn", CLEARED),
    ]
    # one that is acknowledged while its cause is there ends by itself
    found = play(["worn", "worn", "ACK", "worn", "calm", "calm"], limits, windows=1)
    assert found == [(0, "worn", RAISED), (2, "worn", ACKNOWLEDGED), (3, "worn", CLEARED)]
    # the cause that came back is there again
    found = play(["worn", "calm", "worn", "ACK", "worn", "calm"], limits, windows=1)
    assert found == [(0, "worn", RAISED), (3, "worn", ACKNOWLEDGED), (4, "worn", CLEARED)]


def test_acknowledging_says_it_once_and_nothing_without_an_alarm() -> None:
    assert play(["ACK", "worn", "ACK", "ACK"], windows=1) == [(0, "worn", RAISED), (1, "worn", ACKNOWLEDGED)]


@pytest.mark.parametrize("reason", ["lost samples", "clipped", "LINK LOST", NOT_RUNNING])
def test_windows_without_a_verdict_neither_raise_nor_clear(reason: str) -> None:
    damaged = ["!" + reason] * 50
    assert play([*["worn"] * 4, *damaged]) == [(3, "worn", RAISED)]
    assert play([*["worn"] * 2, *damaged, *["worn"] * 2]) == []  # what was said before is too old


def test_single_damaged_windows_do_not_hold_an_alarm_up() -> None:
    assert play(["calm"] * 4 + ["worn", "!lost samples"] * 4) == [(8, "worn", RAISED)]


def test_what_comes_right_after_a_standstill_does_not_count() -> None:
    start = ["!" + NOT_RUNNING, *["worn"] * 4, *["calm"] * 8]
    assert play([*["calm"] * 8, *start], windows=1, inhibit_after_start_s=2.0) == []
    assert play([*["calm"] * 8, *start], windows=1)[0] == (9, "worn", RAISED)
    assert play(["worn"] * 5, windows=1, inhibit_after_start_s=2.0) == [(4, "worn", RAISED)]


def test_windows_do_not_count_while_the_level_changes() -> None:
    def said(**settings: Any) -> list[tuple[int, str]]:
        alarms = Alarms(AlarmSettings(("calm",), windows=1, limits=AT_ONCE, **settings), LABELS, HOP_S)
        found = []
        for at in range(100):
            result = window(at * HOP_S, "worn" if 46 <= at < 60 else "calm")
            level = 1.0 if at < 40 else 2.0
            found += [(at, a.name) for a in alarms.take(WindowResult(**{**vars(result), "level_rms": level}))]
        return found

    assert said()[0] == (46, "worn")
    assert said(inhibit_level_change=0.5, inhibit_s=5.0) == []
    assert said(inhibit_level_change=1.5, inhibit_s=5.0)[0] == (46, "worn")


def test_an_interrupted_stream_keeps_alarms_and_begins_delays_anew() -> None:
    limits = AlarmLimits(on=0.75, off=0.5, on_delay_s=1.0, off_delay_s=1.0)
    alarms = Alarms(AlarmSettings(("calm",), windows=1, limits=limits), LABELS, HOP_S)
    for at in range(3):
        alarms.take(window(at, "worn"))
    assert alarms.raised == ("worn",)
    for at in range(2):
        alarms.take(window(at, "calm"))
    alarms.interrupt()
    assert [bool(alarms.take(window(at, "calm"))) for at in range(3)] == [False, False, True]
    assert alarms.raised == ()


def floats_to(most: float) -> st.SearchStrategy[float]:
    """Return numbers from 0, none so small that a processor may take it for 0, as tflite-runtime on armv7l has it."""
    return st.floats(0, most, allow_subnormal=False)


LIMITS = st.builds(
    lambda off, gap, *rest: AlarmLimits(min(1.0, off + gap), off, *rest),
    st.floats(0.05, 0.9), floats_to(0.5), floats_to(5), floats_to(5), st.booleans(),
)  # fmt: skip
SAYS = st.one_of(floats_to(1), st.sampled_from(["calm", "worn", "loud", None, "!clipped", "!not running", "ACK"]))


@given(
    limits=LIMITS,
    says=st.lists(SAYS, max_size=200),
    windows=st.integers(1, 6),
    evidence=st.sampled_from(["mean", "votes"]),
)
def test_no_alarm_flaps(limits: AlarmLimits, says: list[Any], windows: int, evidence: str) -> None:
    """Whatever the scores do: each alarm goes raised, cleared, raised, and its delays lie between."""
    counted = []  # judged time of each position
    judged = 0
    for each in says:
        if each == "ACK":
            continue
        judged += not (isinstance(each, str) and each.startswith("!"))
        counted.append(judged)
    by_name: dict[str, list[tuple[int, AlarmState]]] = {}
    for at, name, state in play(says, limits, windows=windows, evidence=evidence):
        by_name.setdefault(name, []).append((at, state))
    for changes in by_name.values():
        states = [state for _, state in changes if state is not ACKNOWLEDGED]
        assert states == [RAISED, CLEARED] * (len(states) // 2) + [RAISED] * (len(states) % 2)
        ends = [(at, state) for at, state in changes if state is not ACKNOWLEDGED]
        for (first, state), (second, _) in pairwise(ends):
            if second >= len(counted):  # cleared by an acknowledgement behind the last window
                continue
            passed_s = (counted[second] - counted[first]) * HOP_S
            if state is RAISED:
                acknowledged = any(at <= second for at, other in changes if other is ACKNOWLEDGED and at > first)
                assert passed_s >= limits.off_delay_s - HOP_S or (limits.latch and acknowledged)
            else:
                assert passed_s >= limits.on_delay_s - HOP_S


@given(says=st.lists(SAYS.filter(lambda each: each != "ACK"), max_size=100), windows=st.integers(1, 6))
def test_damage_alone_never_changes_an_alarm(says: list[Any], windows: int) -> None:
    found = play(says, windows=windows)
    assert all(not (isinstance(says[at], str) and says[at].startswith("!")) for at, _, _ in found)
