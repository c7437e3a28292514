"""The summary of an evaluation in sentences and by recording, against counts by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drsn_edge.evaluation.conditions import NoiseCondition
from drsn_edge.evaluation.evaluation import Evaluation
from drsn_edge.evaluation.metrics import judge
from drsn_edge.evaluation.words import RecordingErrors, errors_by_recording, judgement_in_words

LABELS = ("calm", "worn")
NAMES = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 2)
TRUE = np.array([0] * 4 + [1] * 4 + [1] * 2)
NAMED = np.array([0, 0, 0, 1, 0, 0, 0, 1, 1, 1])


def logits_of(named: np.ndarray) -> np.ndarray:
    return (20 * np.eye(2)[named]).astype(np.float32)


def test_errors_are_counted_by_recording_the_worst_first() -> None:
    assert errors_by_recording(NAMES, TRUE, NAMED, LABELS) == (
        RecordingErrors("b", "worn", 4, 3, "calm"),
        RecordingErrors("a", "calm", 4, 1, "worn"),
        RecordingErrors("c", "worn", 2, 0, None),
    )


def test_the_sentence_says_how_much_where_and_what_noise_costs() -> None:
    clean, noisy = judge(logits_of(NAMED), TRUE, 2), judge(logits_of(1 - TRUE), TRUE, 2)
    errors = errors_by_recording(NAMES, TRUE, NAMED, LABELS)
    words = judgement_in_words(clean, {NoiseCondition("pink", -4.0): noisy}, errors, LABELS)
    for part in ("60.0% of 10 windows", "2 of 3 recordings have errors",
                 "3 of 4 in b (worn, mostly classified as calm)", "Check b first",
                 "worn with a recall of 50.0%", "pink noise at -4 dB: 0.0%",
                 "overstates its confidence by 40.0%"):  # fmt: skip
        assert part in words, words


def test_without_errors_it_says_so() -> None:
    words = judgement_in_words(
        judge(logits_of(TRUE), TRUE, 2), {}, errors_by_recording(NAMES, TRUE, TRUE, LABELS), LABELS
    )
    assert "100.0% of 10" in words and "No recording has errors." in words
    assert "weakest" not in words and "its confidence" not in words


def test_an_evaluation_has_both(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = make_evaluation()
    wrong = evaluation.clean.windows - int(np.trace(evaluation.clean.confusion))
    assert (
        sum(each.wrong for each in evaluation.errors) == wrong
        and f"{evaluation.clean.windows} windows" in evaluation.in_words
    )
