"""k of n: what changes a decision, and what never may."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.bundle.votes import Votes
from drsn_edge.monitor.stages.decision import Decider
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.verdicts import Verdict

MakeResult = Callable[..., WindowResult]

VOTES = st.integers(1, 9).flatmap(lambda n: st.builds(Votes, st.integers(n // 2 + 1, n), st.just(n)))
STATES = st.sampled_from(["A", "B", "!lost samples", "!clipped", "!flat line"])


def result_of(make: MakeResult, state: str, at: float) -> WindowResult:
    return make(reason=state[1:], at=at) if state.startswith("!") else make(state, at=at)


def play(make: MakeResult, votes: Votes, states: list[str]) -> list[tuple[int, Decision]]:
    decider = Decider(votes)
    decisions = [(index, decider.add(result_of(make, state, index))) for index, state in enumerate(states)]
    return [(index, decision) for index, decision in decisions if decision]


@given(votes=VOTES, states=st.lists(STATES, max_size=60))
def test_every_change_has_its_votes_and_every_majority_its_change(
    window_result: MakeResult, votes: Votes, states: list[str]
) -> None:
    decider = Decider(votes)
    recent: deque[WindowResult] = deque(maxlen=votes.window_count)
    current: WindowResult | None = None
    for at, state in enumerate(states):
        result = result_of(window_result, state, at)
        recent.append(result)
        decision = decider.add(result)
        same = [other for other in recent if other.state == result.state]
        broken = [other for other in recent if other.verdict is Verdict.NO_VERDICT]
        if decision:
            agreed = same if len(same) >= votes.needed else broken
            assert decision.window is result
            assert len(agreed) >= votes.needed and result in agreed
            assert decision.since == agreed[0].device_time_s
            assert current is None or current.state != result.state
            current = result
        if len(same) >= votes.needed:
            assert current is not None and current.state == result.state
        if len(broken) >= votes.needed:
            assert current is not None and current.verdict is Verdict.NO_VERDICT


@pytest.mark.parametrize("states", [["A", "B"], ["A", "!lost samples"], ["A", "A", "B", "B", "B"]])
def test_a_wavering_signal_does_not_flap(window_result: MakeResult, states: list[str]) -> None:
    found = play(window_result, Votes(4, 5), ["A"] * 5 + states * 20)
    assert [decision.window.label for _, decision in found] == ["A"]


def test_a_lone_window_changes_nothing(window_result: MakeResult) -> None:
    found = play(window_result, Votes(4, 5), (["A"] * 9 + ["B"]) * 5 + (["A"] * 9 + ["!clipped"]) * 5)
    assert [index for index, _ in found] == [3]


def test_a_change_is_dated_back_to_its_first_vote(window_result: MakeResult) -> None:
    (_, first), (index, second) = play(window_result, Votes(4, 5), [*"AAAAA", *"BBABBB"])
    assert (first.window.label, first.since) == ("A", 0.0)
    assert (index, second.window.label, second.since) == (9, "B", 5.0)


def test_a_class_does_not_outlast_a_signal_that_is_damaged_in_several_ways(window_result: MakeResult) -> None:
    found = play(window_result, Votes(4, 5), ["A"] * 5 + ["!lost samples", "!clipped"] * 10)
    assert [(index, decision.window.state[1]) for index, decision in found] == [(3, "A"), (8, "clipped")]


def test_another_reason_needs_votes_of_its_own(window_result: MakeResult) -> None:
    found = play(window_result, Votes(4, 5), ["!clipped"] * 5 + ["!lost samples"] * 5)
    assert [(index, decision.window.reason) for index, decision in found] == [(3, "clipped"), (8, "lost samples")]


def test_force_needs_no_votes_and_ends_the_old_ones(window_result: MakeResult) -> None:
    decider = Decider(Votes(2, 3))
    for at in range(3):
        decider.add(window_result("A", at=at))
    lost = window_result(reason="LINK LOST", at=9)
    assert decider.force(lost) == Decision(lost, 9)
    assert decider.force(lost) is None  # it did not change
    assert decider.add(window_result("A", at=10)) is None  # the votes from before are gone
    assert decider.add(window_result("A", at=11)) == Decision(window_result("A", at=11), 10)


def test_forgotten_votes_do_not_count_and_the_decision_stands(window_result: MakeResult) -> None:
    decider = Decider(Votes(2, 3))
    for at in (0, 1):
        decider.add(window_result("A", at=at))
    decider.add(window_result("B", at=2))
    decider.forget_votes()
    assert decider.add(window_result("B", at=0)) is None
    assert decider.add(window_result("B", at=1)) == Decision(window_result("B", at=1), 0)
    decider.forget_votes()
    assert [decider.add(window_result("B", at=at)) for at in range(3)] == [None] * 3  # B already holds


@pytest.mark.parametrize(("needed", "of"), [(0, 0), (0, 1), (2, 4), (2, 1), (6, 5), (-1, -1), (-3, 1)])
def test_votes_that_could_contradict_each_other_are_refused(needed: int, of: int) -> None:
    with pytest.raises(ValueError, match=str(needed)):
        Votes(needed, of)
