"""A machine that became unlike what was learned gets a name only from two stretches in a row that agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.monitor.stages.unlike import Unlike
from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.likeness import NOT_LOCATED
from drsn_edge.signal.resemblance import Naming
from drsn_edge.signal.windows import Scaling

CONTRACT = SignalContract(1000.0, ("x",), "g", 512, 256, Scaling())
HOP_S = 0.256
NAMING = Naming(SKF_6205, (25.0,), ())
OUTER, BALL = "like outer_race", "like ball"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the answers that a naming gives, the next one first; it is asked of stretches of 1024 samples or more."""
    said: list[str] = []

    def answer(self: Naming, samples: NDArray[np.float32], sample_rate_hz: float, shaft_hz: float) -> str:
        assert samples.shape == (1024, 1) and (sample_rate_hz, shaft_hz) == (1000.0, 25.0)
        return said.pop(0)

    monkeypatch.setattr(Naming, "label_of", answer)
    return said


def windows(count: int, first: int = 0) -> Iterator[tuple[NDArray[np.float32], float]]:
    for number in range(first, first + count):
        yield np.full((1, 512, 1), number, np.float32), number * HOP_S


def taking(unlike: Unlike, count: int, first: int = 0) -> list[str | None]:
    said = []
    for window, start_s in windows(count, first):
        unlike.take(window, start_s)
        said.append(unlike.resembles)
    return said


def named() -> Unlike:
    return Unlike(CONTRACT, NAMING, 25.0)


def test_two_stretches_that_agree_give_a_name(answers: list[str]) -> None:
    answers += [OUTER, OUTER, OUTER]
    assert taking(named(), 9) == [NOT_LOCATED] * 5 + [OUTER] * 4


def test_answers_that_change_are_a_guess(answers: list[str]) -> None:
    answers += [OUTER, BALL, OUTER, BALL]
    assert taking(named(), 12) == [NOT_LOCATED] * 12


def test_a_name_ends_when_the_answer_changes(answers: list[str]) -> None:
    answers += [OUTER, OUTER, NOT_LOCATED, OUTER, OUTER]
    assert taking(named(), 15) == [NOT_LOCATED] * 5 + [OUTER] * 3 + [NOT_LOCATED] * 6 + [OUTER]


def test_a_healthy_window_ends_it(answers: list[str]) -> None:
    answers += [OUTER, OUTER, OUTER]
    unlike = named()
    taking(unlike, 6)
    unlike.clear()
    assert not unlike.is_so and unlike.resembles == NOT_LOCATED
    assert taking(unlike, 5, 7) == [NOT_LOCATED] * 5


def test_a_gap_is_inside_no_stretch(answers: list[str]) -> None:
    answers += [OUTER, OUTER]
    unlike = named()
    assert taking(unlike, 2) == [NOT_LOCATED] * 2
    assert taking(unlike, 6, 10) == [NOT_LOCATED] * 5 + [OUTER]


@pytest.mark.parametrize(("naming", "shaft_hz"), [(None, 25.0), (NAMING, None), (NAMING, 0.1), (NAMING, 1e7)])
def test_without_geometry_or_speed_or_too_slowly_nothing_is_named(
    naming: Naming | None, shaft_hz: float | None
) -> None:
    unlike = Unlike(CONTRACT, naming, shaft_hz)
    assert set(taking(unlike, 12)) == {None} and unlike.is_so
