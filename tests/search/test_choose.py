"""The choice: scores, ties, intervals and the estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy")

from drsn_edge.search.candidates import Family, Member
from drsn_edge.search.choose import Candidate, Judged, Truth, choose, expected, judge_candidate, members_of, ranked
from drsn_edge.search.logits import FoldLogits


def one_hot(predicted: Any, classes: int = 2) -> Any:
    """Return logits (1 for the predicted class) of shape (conditions, m, classes)."""
    return np.eye(classes, dtype=np.float32)[np.asarray(predicted)]


def judged(
    name: str, accuracy: list[float], *, macs: int = 100, epochs: int = 24, inputs: str = "spectra", seed: int = 0
) -> Judged:
    """Return a candidate that is right in about this share of the windows of each fold."""
    rng = np.random.default_rng(seed)
    truth = Truth(np.arange(400) % 2, np.arange(400) // 10)
    folds = []
    for number, share in enumerate(accuracy):
        rows = np.arange(number * 100, (number + 1) * 100)
        right = rng.permutation(np.arange(100) < round(100 * share))
        predicted = np.where(right, truth.labels[rows], 1 - truth.labels[rows])
        folds.append((rows, one_hot([predicted, predicted])))
    candidate = Candidate(name, name, Member(inputs), macs, epochs, True, inputs == "spectra", tuple(folds))
    return judge_candidate(candidate, truth)


def test_the_score_is_the_balanced_accuracy_in_both_conditions() -> None:
    truth = Truth(np.array([0, 0, 0, 1]), np.arange(4))
    folds = ((np.arange(4), one_hot([[0, 0, 0, 0], [0, 1, 1, 1]])),)
    found = judge_candidate(Candidate("a", "a", Member("bands"), 1, 1, True, False, folds), truth)
    np.testing.assert_allclose(found.by_fold, [[0.5, (1 / 3 + 1) / 2]])
    assert found.score == pytest.approx((0.5 + 2 / 3) / 2)
    assert sum(found.parts[0].values()) == pytest.approx(found.score)


def test_the_best_is_chosen_and_a_dearer_equal_is_not() -> None:
    best = judged("best", [0.9, 0.8, 0.9])
    assert choose([judged("worse", [0.5, 0.6, 0.5], macs=1), best]) is best
    assert choose([judged("dear", [0.9, 0.8, 0.9], macs=500), best]) is best


def test_the_first_family_of_the_table_is_taken_unless_another_is_clearly_better() -> None:
    first, other = judged("first", [0.85, 0.8, 0.9], macs=200, seed=1), judged("other", [0.87, 0.8, 0.9], macs=200)
    later = replace(other, candidate=replace(other.candidate, rank=1))
    assert choose([first, later]) is first
    assert choose([first, other]) is other
    clear = judged("clear", [0.99, 0.98, 0.99], macs=200)
    assert choose([first, replace(clear, candidate=replace(clear.candidate, rank=1))]).candidate.name == "clear"


def test_plain_blocks_are_chosen_where_they_are_as_good() -> None:
    best = judged("best", [0.9, 0.8, 0.9], macs=100)
    plain = judged("plain", [0.89, 0.8, 0.9], macs=99, seed=1)
    twin = replace(plain, candidate=replace(plain.candidate, plain_of="best"))
    assert choose([best, twin]) is twin
    assert choose([best, plain]) is best
    worse = judged("worse", [0.85, 0.8, 0.9], macs=99, seed=1)
    assert choose([best, replace(worse, candidate=replace(worse.candidate, plain_of="best"))]) is best


def test_the_estimate_is_that_of_the_folds_it_is_asked_for() -> None:
    one, other = judged("one", [0.9, 0.5, 0.9]), judged("other", [0.6, 0.7, 0.6], seed=1)
    found = expected([one, other], [1])
    assert found.clean.mean == pytest.approx(0.5), "chosen by the other folds"
    assert found.clean.over == "recordings"


def test_a_clearly_cheaper_candidate_within_the_standard_error_is_chosen() -> None:
    best, cheap = judged("best", [0.9, 0.8, 0.9], macs=100), judged("cheap", [0.89, 0.8, 0.9], macs=80, seed=1)
    assert choose([best, cheap]) is cheap
    almost = judged("almost as dear", [0.89, 0.8, 0.9], macs=81, seed=1)
    assert choose([best, almost]) is best


def test_only_trainings_to_the_end_are_compared_if_there_are_any() -> None:
    short, full = judged("short", [0.99, 0.99, 0.99], epochs=8), judged("full", [0.7, 0.7, 0.7])
    assert choose([short, full]) is full and choose([short]) is short
    assert ranked([full, short])[0] is short


def test_three_folds_give_students_t_and_two_the_spread_over_recordings() -> None:
    three = judged("a", [0.7, 0.8, 0.9]).estimate
    assert three.score.over == "folds" and three.score.mean == pytest.approx(0.8, abs=0.01)
    assert (
        three.score.high - three.score.mean == pytest.approx(4.303 * 0.1 / np.sqrt(3), abs=0.02)
        or three.score.high == 1
    )
    two = judged("a", [0.7, 0.9]).estimate
    assert two.score.over == "recordings" and 0.02 < two.score.high - two.score.mean < 0.2


def test_the_estimate_is_free_of_the_luck_of_the_best_of_many() -> None:
    """Candidates that guess look better than chance if the best is chosen by the folds that it is judged by."""
    lucky = [judged(f"{n}", [share, 1 - share, 0.5], seed=n, inputs=f"kind {n}") for n, share in enumerate((0.3, 0.7))]
    assert expected(lucky, range(len(lucky[0].by_fold))).score.mean < max(each.score for each in lucky) + 1e-9
    sure = [judged("good", [0.9, 0.9, 0.9]), judged("bad", [0.5, 0.5, 0.5], inputs="bands")]
    assert expected(sure, range(len(sure[0].by_fold))).score.mean == pytest.approx(0.9)


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(0, 99))
def test_an_estimate_lies_within_its_interval_and_that_within_0_and_1(shares: list[list[float]], seed: int) -> None:
    all_judged = [judged(f"c{n}", each, seed=seed + n, macs=n + 1) for n, each in enumerate(shares)]
    found = expected(all_judged, range(len(all_judged[0].by_fold)))
    for interval in (found.score, found.clean, found.noisy):
        assert 0 <= interval.low <= interval.mean + 1e-12 and interval.mean <= interval.high + 1e-12 <= 1 + 1e-9
    best = choose(all_judged)
    assert best.score <= max(each.score for each in all_judged)


def test_members_weigh_branches_and_discriminants() -> None:
    rng = np.random.default_rng(0)
    network, discriminants = rng.normal(size=(2, 2, 5, 3, 4)).astype(np.float32)
    members = (Member("spectra", (2.0, 1.0, 1.0), 0.1), Member("bands", (1.0, 0.0, 0.0), 0.0))
    family = Family("f", {"inputs": "spectra"}, members)
    rows = np.arange(5)
    folds = [FoldLogits(0, rows, network)], [FoldLogits(0, rows, discriminants)]
    (_, mixed), (_, bands) = members_of(family, *folds, n_classes=4)
    shares = np.array([0.5, 0.25, 0.25])[:, None]
    np.testing.assert_allclose(mixed[0][1], ((network + 0.1 * discriminants) * shares).sum(axis=2), rtol=1e-5)
    np.testing.assert_allclose(bands[0][1], network[:, :, 0], rtol=1e-6)
    (_, _), (_, highest) = members_of(family, *folds, n_classes=2)  # four outputs are two subclasses of two classes
    np.testing.assert_allclose(highest[0][1], network[:, :, 0].reshape(2, 5, 2, 2).max(axis=2), rtol=1e-6)


def test_the_benchmark_compares_ranks_of_what_was_trained_to_the_end() -> None:
    from search_ranks import ranks

    def row(name: str, short: float, whole: float, epochs: int = 24) -> dict[str, Any]:
        score = {"mean": whole}
        return {"name": name, "family": "f", "choosable": True, "epochs": epochs, "short_score": short, "score": score}

    rows = [row("a", 0.5, 0.7), row("b", 0.6, 0.8), row("c", 0.4, 0.6), row("dropped", 0.9, 0.9, 8)]
    found = ranks({"hold_out": "rpm=1", "candidates": rows})
    assert (found["candidates"], found["rank_correlation"], found["best"]) == (3, 1.0, "b")
