from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.signal.references import Heard
from drsn_edge.signal.suited import JUMP, STOOD, starts, unsuited
from drsn_edge.verdicts import NOT_RUNNING


def heard(levels: NDArray[np.float64], stretches: NDArray[np.intp] | None = None) -> Heard:
    n = len(levels)
    numbers = np.zeros(n, np.intp) if stretches is None else stretches
    none = np.full(n, np.nan)
    return Heard(1, np.zeros((n, 1), np.float32), levels, numbers, none, np.zeros((n, 1)), np.zeros((n, 0, 1), "f4"))


def left_out(levels: NDArray[np.float64], stretches: NDArray[np.intp] | None = None) -> dict[str, list[int]]:
    return {reason: np.flatnonzero(is_so).tolist() for reason, is_so in unsuited(heard(levels, stretches)).items()}


def test_a_steady_machine_is_suited() -> None:
    levels = np.random.default_rng(0).normal(1.0, 0.1, 200)
    assert left_out(levels) == {NOT_RUNNING: [], JUMP: []}


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_few_windows_are_judged_as_well(n: int) -> None:
    assert left_out(np.ones(n)) == {NOT_RUNNING: [], JUMP: []}


def test_a_knock_is_a_jump() -> None:
    levels = np.ones(50)
    levels[20] = 3.0
    assert left_out(levels) == {NOT_RUNNING: [], JUMP: [20]}


def test_another_load_is_none() -> None:
    levels = np.concatenate([np.ones(50), np.full(40, 3.0)])
    assert left_out(levels) == {NOT_RUNNING: [], JUMP: []}


def test_stretches_are_not_compared_with_each_other() -> None:
    levels, stretches = np.array([1.0] * 20 + [3.0, 1.0] + [1.0] * 20), np.zeros(42, np.intp)
    assert left_out(levels)[JUMP] == [20]
    stretches[20] = 1
    assert left_out(levels, stretches)[JUMP] == []


def test_a_machine_that_stands_still_for_a_while_is_not_learned_then() -> None:
    levels = np.concatenate([np.ones(50), np.full(20, 0.1), np.ones(50)])
    assert left_out(levels)[NOT_RUNNING] == list(range(50, 70))


def test_a_start_follows_some_time_of_standing_still() -> None:
    runs, stood = [False] * 5, [True] * STOOD
    assert starts(np.array(runs + stood + runs)) == 1
    assert starts(np.array(stood + stood + runs + stood + runs)) == 2
    assert starts(np.array(runs + stood[1:] + runs)) == 0
    assert starts(np.array(runs + stood)) == starts(np.array([True])) == 0
