from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.training.epochs import LOG_COLUMNS, EpochReport, best_epoch, is_over, step_share, write_log


def course(*validation: tuple[float, float] | None, **changes: Any) -> list[EpochReport]:
    return [
        EpochReport(number, 9, 4, 4, 0.5, 0.75, *(scores or (None, None)), **changes)
        for number, scores in enumerate(validation, start=1)
    ]


def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first() -> None:
    assert best_epoch(course((0.5, 1.0), (0.9, 2.0), (0.8, 0.1))) == 2
    assert best_epoch(course((0.9, 0.3), (0.9, 0.2), (0.9, 0.25))) == 2
    assert best_epoch(course((0.9, 0.2), (0.9, 0.2))) == 1
    assert best_epoch(course((0.9, float("nan")), (0.9, 0.2))) == 2
    assert best_epoch(course((0.9, 0.2), (0.9, float("nan")))) == 1


@pytest.mark.parametrize(("patience", "over"), [(0, False), (1, True), (2, True), (3, False)])
def test_patience_ends_after_so_many_epochs_without_a_better_one(patience: int, over: bool) -> None:
    assert is_over(course((0.5, 1.0), (0.9, 1.0), (0.8, 1.0), (0.7, 1.0)), 9, patience) is over


def test_all_epochs_are_the_end() -> None:
    assert is_over(course((0.5, 1.0), (0.9, 1.0)), 2, 0)
    assert not is_over([], 2, 1)


def test_reports_are_compared_without_their_times() -> None:
    assert course((0.5, 1.0), step_s=1.0) == course((0.5, 1.0), step_s=2.0)
    assert course((0.5, 1.0)) != course((0.5, 1.1))


def test_the_share_of_the_steps_is_of_all_the_time() -> None:
    reports = [*course(None, step_s=1.0, epoch_s=2.0), *course(None, step_s=5.0, epoch_s=6.0)]
    assert step_share(reports) == 0.75
    assert reports[0].step_share == 0.5
    assert step_share(course(None)) == 0.0


def test_the_log_has_a_row_per_epoch(tmp_path: Path) -> None:
    write_log(course((0.5, 1.25), None, learning_rate=1e-3, feed_s=0.5, step_s=3.0, epoch_s=4.0), tmp_path / "log.csv")
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [list(row) for row in rows] == [list(LOG_COLUMNS)] * 2
    assert rows[0] == {
        "epoch": "1", "loss": "0.5", "accuracy": "0.75", "validation_accuracy": "0.5", "validation_loss": "1.25",
        "learning_rate": "0.001", "feed_s": "0.5", "step_s": "3", "epoch_s": "4", "step_share": "0.75",
    }  # fmt: skip
    assert rows[1]["validation_accuracy"] == ""
